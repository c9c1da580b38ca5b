"""Bootstrap: intervals that cover, p-values that are calibrated, resampling by clip and by seed,
determinism.
"""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import atri_lib.evaluation.significance as significance
from atri_lib.evaluation import clip_means, paired_bootstrap, two_way_interval


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def loop_bootstrap(a, b, repeats, seed):
    """Percentile interval of the mean difference, one resample and one cell at a time."""
    rng, (seeds, clips), differences = np.random.default_rng(seed), a.shape, []
    for _ in range(repeats):
        rows, columns = rng.integers(seeds, size=seeds), rng.integers(clips, size=clips)
        differences.append(np.mean([a[s, c] - b[s, c] for s in rows for c in columns]))
    return np.quantile(differences, [0.025, 0.975])


@pytest.mark.parametrize("shape", [(1, 40), (4, 20)])
def test_interval_agrees_with_a_plain_loop_bootstrap(shape):
    a, b = noise(*shape) + 1, noise(*shape, seed=1)
    result = paired_bootstrap(a, b)
    assert result.difference == pytest.approx(a.mean() - b.mean())
    # Two Monte-Carlo estimates with different draws: the width is about 0.8, its simulation error
    # below 0.03.
    np.testing.assert_allclose(
        [result.low, result.high], loop_bootstrap(a, b, 2000, seed=9), atol=0.08
    )


@settings(deadline=None, max_examples=25)
@given(
    clips=st.integers(2, 20),
    seeds=st.integers(1, 4),
    seed=st.integers(0, 2**16),
    shift=st.floats(-5, 5),
)
def test_swapping_sides_mirrors_and_a_common_shift_changes_nothing(clips, seeds, seed, shift):
    a, b = noise(seeds, clips, seed=seed), noise(seeds, clips, seed=seed + 1)
    forth, back = (paired_bootstrap(x, y, repeats=200, seed=seed) for x, y in ((a, b), (b, a)))
    assert forth.low <= forth.high and 0 < forth.p_value <= 1
    np.testing.assert_allclose(
        [back.difference, back.low, back.high], [-forth.difference, -forth.high, -forth.low]
    )
    assert back.p_value == forth.p_value
    moved = paired_bootstrap(a + shift, b + shift, repeats=200, seed=seed)
    np.testing.assert_allclose([moved.low, moved.high], [forth.low, forth.high], atol=1e-9)


def test_no_difference_is_not_significant_and_a_constant_one_is_certain():
    a = noise(30)
    same, better = paired_bootstrap(a, a), paired_bootstrap(a + 1, a)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    assert better.low == pytest.approx(1) and better.high == pytest.approx(1)
    assert better.p_value == pytest.approx(2 / 10_001)


def test_intervals_cover_and_p_values_are_calibrated():
    """300 experiments without a difference: about 5 % come out significant. With one of two
    deviations, nearly all.
    """
    null = [
        paired_bootstrap(noise(50, seed=i), noise(50, seed=i + 1000), repeats=400)
        for i in range(300)
    ]
    assert 0.02 < np.mean([r.p_value < 0.05 for r in null]) < 0.10
    assert 0.90 < np.mean([r.low <= 0 <= r.high for r in null]) < 0.98
    assert all(r.low > 0 or r.high < 0 for r in null if r.p_value < 0.05)
    assert 0.3 < np.mean([r.p_value for r in null]) < 0.7
    real = [
        paired_bootstrap(noise(50, seed=i) + 2, noise(50, seed=i + 1000), repeats=400)
        for i in range(20)
    ]
    assert all(r.p_value < 0.05 and r.low > 0 for r in real)


def test_pairing_is_used():
    """A small steady gain hides in the clips' spread unless the same clips are compared."""
    clips = 10 * noise(200)
    gain = paired_bootstrap(clips + 0.2 + 0.1 * noise(200, seed=1), clips)
    unpaired = paired_bootstrap(clips + 0.2, np.roll(clips, 1))
    assert gain.low > 0 and unpaired.low < 0


def test_seeds_are_a_level_of_their_own():
    """When the gain depends on the seed, many clips must not make three seeds look certain."""
    seed_effect = np.array([[-1.0], [0.2], [1.5]])
    a, b = seed_effect + 0.1 * noise(3, 500), np.zeros((3, 500))
    honest, naive = paired_bootstrap(a, b), paired_bootstrap(a.ravel(), b.ravel())
    assert honest.high - honest.low > 5 * (naive.high - naive.low)
    assert honest.low < 0 < naive.low


def test_captions_are_resampled_with_their_clip():
    """Five copies of a clip's value are one observation, not five."""
    per_clip, owner = noise(40), np.repeat(np.arange(40), 5)
    a, zero = per_clip[owner], np.zeros(200)
    clustered = paired_bootstrap(clip_means(a, owner), clip_means(zero, owner))
    naive = paired_bootstrap(a, zero)
    plain = paired_bootstrap(per_clip, np.zeros(40))
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))
    assert (clustered.high - clustered.low) / (naive.high - naive.low) == pytest.approx(
        np.sqrt(5), rel=0.1
    )


@settings(deadline=None, max_examples=30)
@given(
    clips=st.integers(1, 8),
    extra=st.integers(0, 12),
    seeds=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
def test_clip_means_equal_plain_loops(clips, extra, seeds, seed):
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(clips), rng.integers(clips, size=extra)]))
    values = rng.normal(size=(seeds, len(owner)))
    captions = [[j for j in range(len(owner)) if owner[j] == clip] for clip in range(clips)]
    expected = [[np.mean([row[j] for j in own]) for own in captions] for row in values]
    np.testing.assert_allclose(clip_means(values, owner), expected, atol=1e-12)


def test_results_depend_on_the_seed_alone(monkeypatch):
    a, b = noise(3, 30), noise(3, 30, seed=1)
    result = paired_bootstrap(a, b, repeats=500)
    assert result == paired_bootstrap(a, b, repeats=500)
    assert result != paired_bootstrap(a, b, repeats=500, seed=1)
    monkeypatch.setattr(significance, "CHUNK", 900)  # many chunks: other draws, same law
    chunked = paired_bootstrap(a, b, repeats=500)
    np.testing.assert_allclose([chunked.low, chunked.high], [result.low, result.high], atol=0.15)


@pytest.mark.parametrize("seeds", [3, 8, 32])
def test_the_two_way_interval_covers_the_mean_whatever_varies(seeds):
    """Seeds, clips and groups of clips each add variance; 95 % of the intervals hold the mean."""
    rng = np.random.default_rng(seeds)
    groups = np.zeros((60, 20), dtype=bool)
    for members in groups:
        members[rng.choice(20, rng.integers(1, 4), replace=False)] = True
    held = {"by clips": [], "by groups": []}
    for _ in range(1500):
        of_seeds = rng.normal(size=(seeds, 1)) / np.sqrt(60)
        of_clips = rng.standard_t(4, size=60)
        rest = rng.normal(size=(seeds, 60))
        values = of_seeds + of_clips + rest
        found = two_way_interval(values, np.zeros_like(values))
        held["by clips"].append(found.low <= 0 <= found.high)
        values = values + groups @ rng.normal(size=20)
        found = two_way_interval(values, np.zeros_like(values), groups)
        held["by groups"].append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(held["by clips"]) <= 0.975
    assert 0.93 <= np.mean(held["by groups"]) <= 0.98


def test_the_two_way_interval_is_students_where_only_seeds_vary():
    by_seed = noise(6)[:, None]
    values = np.tile(by_seed, 30)
    found = two_way_interval(values, np.zeros_like(values))
    known = scipy.stats.ttest_1samp(by_seed[:, 0], 0)
    interval = known.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(known.pvalue)


def test_equal_differences_have_an_interval_of_no_length():
    zero = np.zeros((3, 5))
    same = two_way_interval(zero, zero)
    assert (same.low, same.high, same.p_value) == (0, 0, 1)
    for shift in (1, 0.1):
        apart = two_way_interval(zero + shift, zero)
        assert apart.low == apart.high == pytest.approx(shift) and apart.p_value == 0


def test_a_group_for_every_clip_changes_nothing_and_empty_ones_do_not_count():
    a, b = noise(4, 30), noise(4, 30, seed=1)
    alone = np.eye(30, dtype=bool)
    plain = two_way_interval(a, b)
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


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: two_way_interval(noise(1, 4), noise(1, 4)), "runs of 2 or more"),
        (lambda: paired_bootstrap(noise(4), noise(5)), "same seeds and clips"),
        (lambda: two_way_interval(noise(4, 6), noise(6)), "same seeds and clips"),
        (lambda: paired_bootstrap([1.0], [2.0]), "at least 2"),
        (lambda: paired_bootstrap([1.0, np.nan], [2.0, 3.0]), "NaN or infinity"),
        (lambda: paired_bootstrap(noise(2, 3, 4), noise(2, 3, 4)), r"\[S, N\]"),
        (lambda: clip_means([1.0, 2.0], [0, 2]), "clip 1 has no caption"),
        (lambda: clip_means([1.0, 2.0, 3.0], [0, 1]), r"integers of shape \(3,\)"),
        (lambda: clip_means([1.0, 2.0], [-1, 0]), "owner must be integers"),
    ],
)
def test_bad_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
