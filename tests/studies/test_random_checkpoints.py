"""The tiny checkpoints: equal for equal seeds, and the caller's random numbers are left alone."""

import pytest
import torch

from studies.random_checkpoints import write_ced, write_sonar, write_translator


@pytest.mark.parametrize("write", [write_ced, write_sonar, write_translator])
def test_the_seed_decides_and_the_callers_generator_stays_as_it_was(write, tmp_path):
    before, weights = torch.get_rng_state(), []
    for folder, seed in (("first", 1), ("again", 1), ("other", 2)):
        write(tmp_path / folder, seed=seed)
        weights.append((tmp_path / folder / "model.safetensors").read_bytes())
    assert torch.equal(torch.get_rng_state(), before)
    assert weights[0] == weights[1] != weights[2]
