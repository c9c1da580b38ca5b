"""The interval over clips that share sounds: covers, and refuses groups that say nothing."""

import numpy as np
import pytest

from atri_lib import evaluation
from studies.shared_sounds import two_way_interval


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("seeds", [3, 8, 32])
def test_the_interval_covers_the_mean_where_clips_share_groups(seeds):
    """Seeds, clips and groups of clips each add variance; 95 % of the intervals hold the mean."""
    rng = np.random.default_rng(seeds)
    groups = np.zeros((60, 20), dtype=bool)
    for members in groups:
        members[rng.choice(20, rng.integers(1, 4), replace=False)] = True
    held = []
    for _ in range(1500):
        of_seeds = rng.normal(size=(seeds, 1)) / np.sqrt(60)
        of_clips = rng.standard_t(4, size=60) + groups @ rng.normal(size=20)
        values = of_seeds + of_clips + rng.normal(size=(seeds, 60))
        found = two_way_interval(values, np.zeros_like(values), groups)
        held.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.98


def test_a_group_for_every_clip_changes_nothing_and_empty_ones_do_not_count():
    a = noise(4, 30)
    b = noise(4, 30, seed=1)
    alone = np.eye(30, dtype=bool)
    plain = evaluation.two_way_interval(a, b)
    assert two_way_interval(a, b) == plain
    for groups in (alone, np.hstack([alone, np.zeros((30, 9), dtype=bool)])):
        found = two_way_interval(a, b, groups)
        assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


@pytest.mark.parametrize(
    "groups, message",
    [
        (np.ones((3, 2), dtype=bool), "a row per clip .* got bool"),
        ([[0, 1], [1, 2], [2, 3], [3, 0]], "got int64"),
        (np.eye(4, 3, dtype=bool), "every clip must be in a group"),
        (np.ones((4, 1), dtype=bool), "enough of them apart"),
        (np.array([[0, 0, 1], [1, 0, 0], [1, 1, 1], [1, 0, 1]]) > 0, "enough of them apart"),
    ],
)
def test_groups_that_say_nothing_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        two_way_interval(noise(3, 4), noise(3, 4, seed=1), groups)
