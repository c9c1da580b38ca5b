import itertools

import numpy as np
import pytest
import torch

from studies.rotated_draws import RotatedDraws, split
from tests.studies.toys import first_step, toy


@pytest.fixture
def experiment():
    return toy(languages=4, batch=3, epochs=2)


@pytest.mark.parametrize("m", [1, 3])
def test_groups_show_every_pair_equally_often_and_each_run_m_languages(experiment, m):
    draws = RotatedDraws(experiment, m, groups=2, seed=0)
    assert len(draws) == 8
    for step in experiment.steps(""):
        distribution = draws.distribution(step)
        shown = (distribution > 0).sum(-1)
        assert (shown == m).all()
        for group in distribution.chunk(2):
            torch.testing.assert_close(group.mean(0), step.even)
        totals = distribution.sum((1, 2))
        torch.testing.assert_close(totals, torch.ones_like(totals))


def test_each_run_alone_draws_all_subsets_equally_often():
    whole = toy(languages=4, epochs=1)
    draws = RotatedDraws(whole, 2, groups=400, seed=0)
    shown = draws.distribution(first_step(whole)).reshape(400, 4, 6, 4)
    second = shown[:, 1].reshape(-1, 4)  # the second run of every group
    subsets = [tuple(np.flatnonzero(row)) for row in second]
    counts = [subsets.count(pair) for pair in itertools.combinations(range(4), 2)]
    assert np.ptp(counts) < 5 * np.sqrt(400)


def test_split_finds_both_lengths():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(50, generator=generator).double()
    own = 3 * torch.randn(4000, 50, generator=generator).double()
    found = split(mean + own, groups=1000)
    assert found.systematic == pytest.approx(mean.norm().item(), rel=0.02)
    assert found.own == pytest.approx(3 * 50**0.5, rel=0.01)
    nothing = split(own, groups=1000)
    assert nothing.systematic < nothing.scatter


def test_mixed_negatives_need_one_language(experiment):
    with pytest.raises(ValueError, match="one language per clip"):
        RotatedDraws(experiment, 2, seed=0, mixed=True)
