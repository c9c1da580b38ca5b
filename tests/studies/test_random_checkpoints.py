"""The tiny checkpoints: equal for equal seeds, and the caller's random numbers are left alone."""

import pytest
import torch

from studies.random_checkpoints import write_ced, write_sonar, write_translator


@pytest.mark.parametrize("write", [write_ced, write_sonar, write_translator])
def test_the_seed_decides_and_the_callers_generator_stays_as_it_was(write, tmp_path):
    before = torch.get_rng_state()
    weights = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        write(folder, seed=seed)
        weights.append((folder / "model.safetensors").read_bytes())
    assert torch.equal(torch.get_rng_state(), before)
    first, again, other = weights
    assert first == again
    assert first != other
