"""Bootstrap of medians and rank correlations, against scipy; seeds decide."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.resampling import paired_bootstrap, spearman


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_interval_agrees_with_scipy_for_another_statistic():
    a, b = np.exp(noise(60)), np.exp(noise(60, seed=1))

    def difference_of_medians(x, y, axis):
        return np.median(x, axis=axis) - np.median(y, axis=axis)

    reference = scipy.stats.bootstrap(
        (a, b),
        difference_of_medians,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=9999,
        rng=1,
    ).confidence_interval
    result = paired_bootstrap(a, b, statistic=np.median)
    np.testing.assert_allclose([result.low, result.high], reference, atol=0.04)


def test_results_depend_on_the_seed_alone():
    a, b = noise(3, 30), noise(3, 30, seed=1)
    result = paired_bootstrap(a, b, np.median, repeats=500)
    assert result == paired_bootstrap(a, b, np.median, repeats=500)
    assert result != paired_bootstrap(a, b, np.median, repeats=500, seed=1)
    assert spearman(a, b, repeats=500) == spearman(a, b, repeats=500)


@settings(deadline=None, max_examples=30)
@given(size=st.integers(3, 20), levels=st.integers(2, 10), seed=st.integers(0, 2**16))
def test_spearman_equals_scipy_with_ties(size, levels, seed):
    rng = np.random.default_rng(seed)
    x, y = (
        rng.integers(levels, size=size).astype(float),
        rng.integers(levels, size=size).astype(float),
    )
    x[:2], y[:2] = (0, 1), (0, 1)  # not constant
    result = spearman(x, y, repeats=50)
    assert result.rho == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    assert -1 - 1e-12 <= result.low <= result.high <= 1 + 1e-12
    assert spearman(np.exp(x), y, repeats=50).rho == pytest.approx(
        result.rho
    )  # monotone maps change nothing
    assert spearman(-x, y, repeats=50).rho == pytest.approx(-result.rho)


def test_spearman_interval_excludes_zero_for_a_trend_and_not_for_noise():
    x = np.arange(30.0)
    trend, none = spearman(x, x + 3 * noise(30)), spearman(x, noise(30))
    assert trend.low > 0.5 and none.low < 0 < none.high
    assert spearman(x, x**3).low == pytest.approx(1)


def test_spearman_takes_seeds_by_conditions():
    conditions = np.arange(8.0)
    y = conditions + noise(5, 8)
    result = spearman(np.tile(conditions, (5, 1)), y)
    assert result.rho == pytest.approx(
        scipy.stats.spearmanr(np.tile(conditions, 5), y.ravel()).statistic
    )
    assert 0.5 < result.low < result.rho < result.high


def test_bad_input_says_what_is_wrong():
    with pytest.raises(ValueError, match="constant"):
        spearman([1, 1, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="same seeds and clips"):
        spearman([1, 2, 3], [1, 2])
