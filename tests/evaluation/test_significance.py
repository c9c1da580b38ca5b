"""Bootstrap: intervals that cover, p-values that are calibrated, resampling by clip and by seed,
determinism.
"""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.evaluation import clip_means, paired_bootstrap, significance, two_way_interval


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def loop_bootstrap(a, b, repeats, seed):
    """Percentile interval of the mean difference, one resample and one cell at a time."""
    rng = np.random.default_rng(seed)
    seeds, clips = a.shape
    differences = []
    for _ in range(repeats):
        rows = rng.integers(seeds, size=seeds)
        columns = rng.integers(clips, size=clips)
        differences.append(np.mean([a[s, c] - b[s, c] for s in rows for c in columns]))
    return np.quantile(differences, [0.025, 0.975])


@pytest.mark.parametrize("shape", [(1, 40), (4, 20)])
def test_interval_agrees_with_a_plain_loop_bootstrap(shape):
    a = noise(*shape) + 1
    b = noise(*shape, seed=1)
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
    a = noise(seeds, clips, seed=seed)
    b = noise(seeds, clips, seed=seed + 1)
    forth = paired_bootstrap(a, b, repeats=200, seed=seed)
    back = paired_bootstrap(b, a, repeats=200, seed=seed)
    assert forth.low <= forth.high
    assert 0 < forth.p_value <= 1
    np.testing.assert_allclose(
        [back.difference, back.low, back.high], [-forth.difference, -forth.high, -forth.low]
    )
    assert back.p_value == forth.p_value
    moved = paired_bootstrap(a + shift, b + shift, repeats=200, seed=seed)
    np.testing.assert_allclose([moved.low, moved.high], [forth.low, forth.high], atol=1e-9)


def test_no_difference_is_not_significant_and_a_constant_one_is_certain():
    a = noise(30)
    same = paired_bootstrap(a, a)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    better = paired_bootstrap(a + 1, a)
    assert (better.low, better.high) == pytest.approx((1, 1))
    assert better.p_value == pytest.approx(2 / 10_001)


def test_intervals_cover_and_p_values_are_calibrated():
    """300 experiments without a difference: about 5 % come out significant. With one of two
    deviations, nearly all.
    """

    def compared(seed, gain=0):
        a = noise(50, seed=seed) + gain
        b = noise(50, seed=seed + 1000)
        return paired_bootstrap(a, b, repeats=400)

    null = list(map(compared, range(300)))
    assert 0.02 < np.mean([r.p_value < 0.05 for r in null]) < 0.10
    assert 0.90 < np.mean([r.low <= 0 <= r.high for r in null]) < 0.98
    assert all(r.low > 0 or r.high < 0 for r in null if r.p_value < 0.05)
    assert 0.3 < np.mean([r.p_value for r in null]) < 0.7
    real = [compared(seed, gain=2) for seed in range(20)]
    assert all(r.p_value < 0.05 and r.low > 0 for r in real)


def test_pairing_is_used():
    """A small steady gain hides in the clips' spread unless the same clips are compared."""
    clips = 10 * noise(200)
    gain = paired_bootstrap(clips + 0.2 + 0.1 * noise(200, seed=1), clips)
    unpaired = paired_bootstrap(clips + 0.2, np.roll(clips, 1))
    assert gain.low > 0
    assert unpaired.low < 0


def test_seeds_are_a_level_of_their_own():
    """When the gain depends on the seed, many clips must not make three seeds look certain."""
    seed_effect = np.array([[-1.0], [0.2], [1.5]])
    a = seed_effect + 0.1 * noise(3, 500)
    b = np.zeros((3, 500))
    honest = paired_bootstrap(a, b)
    naive = paired_bootstrap(a.ravel(), b.ravel())
    assert honest.high - honest.low > 5 * (naive.high - naive.low)
    assert honest.low < 0 < naive.low


def test_captions_are_resampled_with_their_clip():
    """Five copies of a clip's value are one observation, not five."""
    per_clip = noise(40)
    owner = np.repeat(np.arange(40), 5)
    a = per_clip[owner]
    zero = np.zeros(200)
    clustered = paired_bootstrap(clip_means(a, owner), clip_means(zero, owner))
    naive = paired_bootstrap(a, zero)
    plain = paired_bootstrap(per_clip, np.zeros(40))
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))
    wider = (clustered.high - clustered.low) / (naive.high - naive.low)
    assert wider == pytest.approx(np.sqrt(5), rel=0.1)


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


def test_results_depend_on_the_seed_alone():
    a = noise(3, 30)
    b = noise(3, 30, seed=1)
    result = paired_bootstrap(a, b, repeats=500)
    assert result == paired_bootstrap(a, b, repeats=500)
    assert result != paired_bootstrap(a, b, repeats=500, seed=1)


@pytest.mark.parametrize("at_once", [1, 7, 499])
def test_resamples_at_once_do_not_change_the_interval(monkeypatch, at_once):
    a = noise(3, 30)
    b = noise(3, 30, seed=1)
    whole = paired_bootstrap(a, b, repeats=500)
    monkeypatch.setattr(significance, "CHUNK", 30 * at_once)
    parts = paired_bootstrap(a, b, repeats=500)
    assert dataclasses.astuple(parts) == pytest.approx(dataclasses.astuple(whole), abs=1e-12)


@pytest.mark.parametrize("seeds", [3, 8, 32])
def test_the_two_way_interval_covers_the_mean_whatever_varies(seeds):
    """Seeds and clips each add variance; 95 % of the intervals hold the mean."""
    rng = np.random.default_rng(seeds)
    held = []
    for _ in range(1500):
        of_seeds = rng.normal(size=(seeds, 1)) / np.sqrt(60)
        of_clips = rng.standard_t(4, size=60)
        values = of_seeds + of_clips + rng.normal(size=(seeds, 60))
        found = two_way_interval(values, np.zeros_like(values))
        held.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.975


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
        assert apart.low == apart.high == pytest.approx(shift)
        assert apart.p_value == 0


OWNER = "owner must be 2 integers from 0 to 1$"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: two_way_interval(noise(1, 4), noise(1, 4)), "runs of 2 or more"),
        (lambda: paired_bootstrap(noise(4), noise(5)), "same seeds and clips"),
        (lambda: two_way_interval(noise(4, 6), noise(6)), "same seeds and clips"),
        (lambda: paired_bootstrap([1.0], [2.0]), "at least 2 clips"),
        (lambda: paired_bootstrap([1.0, np.nan], [2.0, 3.0]), "finite numbers"),
        (lambda: paired_bootstrap(noise(2, 3, 4), noise(2, 3, 4)), r"\[S, N\]"),
        (lambda: paired_bootstrap(noise(0, 4), noise(0, 4)), "same seeds and clips"),
        (lambda: clip_means([1.0, 2.0, 3.0], [0, 2, 2]), "clip 1 has no caption"),
        (lambda: clip_means([1.0, 2.0], [-1, 0]), OWNER),
        (lambda: clip_means([1.0, 2.0], [0, 2]), OWNER),
        (lambda: clip_means([1.0, 2.0], [0.0, 1.0]), OWNER),
        (lambda: clip_means([1.0, 2.0], [0]), OWNER),
        (lambda: clip_means([1.0, 2.0], [0, 1, 1]), OWNER),
    ],
)
def test_bad_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
