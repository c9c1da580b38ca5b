"""Bootstrap intervals of statistics other than a mean: medians and rank correlations.

Values come as [N] (one per clip or condition) or [S, N] (seeds by clips), crossed, and are
resampled so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from atri_lib.evaluation import significance
from atri_lib.evaluation.significance import Difference

CHUNK = 2**22  # resampled values held at once


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation and its 95 % percentile interval."""

    rho: float
    low: float
    high: float


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, statistic: Callable, repeats: int = 10_000, seed: int = 0
) -> Difference:
    """`evaluation.paired_bootstrap` of any statistic, with the same errors and the same p.

    statistic: reduces the last axis, called with axis=-1 on [repeats, S * N]: np.median.
    """
    a, b = significance.paired(a, b)

    def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return statistic(one, axis=-1) - statistic(other, axis=-1)

    observed = float(apart(a.ravel(), b.ravel()))
    resampled = []
    for at in _resamples(a.shape, repeats, seed):
        resampled.append(apart(a.flat[at], b.flat[at]))
    return significance.percentile_difference(observed, np.concatenate(resampled))


def spearman(x: ArrayLike, y: ArrayLike, repeats: int = 10_000, seed: int = 0) -> Correlation:
    """Spearman's rank correlation with a percentile bootstrap interval; ties share their mean rank.

    x, y: [N] or [S, N] (seeds by conditions, resampled crossed). Resamples in which x or y is
    constant have no correlation and are left out. Raises ValueError for fewer than 2 conditions,
    shapes that differ, NaN, or constant x or y. Source: Efron and Tibshirani 1993.
    """
    x, y = significance.paired(x, y)
    observed = float(_rank_correlation(x.ravel(), y.ravel()))
    if np.isnan(observed):
        raise ValueError("x or y is constant, so there is no rank correlation")
    resampled = []
    for at in _resamples(x.shape, repeats, seed):
        resampled.append(_rank_correlation(x.flat[at], y.flat[at]))
    every = np.concatenate(resampled)
    low, high = np.nanquantile(every, [0.025, 0.975])
    return Correlation(observed, float(low), float(high))


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation of the ranks along the last axis; NaN where one side is constant."""
    mean_rank = (x.shape[-1] + 1) / 2
    x = rankdata(x, axis=-1) - mean_rank
    y = rankdata(y, axis=-1) - mean_rank
    product = (x * y).sum(-1)
    scale = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    undefined = np.full_like(scale, np.nan)
    return np.divide(product, scale, out=undefined, where=scale > 0)


def _resamples(shape: tuple[int, int], repeats: int, seed: int) -> Iterator[np.ndarray]:
    """Yield chunks [repeats, S * N] of flat cell indices: seeds and clips drawn with replacement,
    crossed.
    """
    seeds, clips = shape
    random = np.random.default_rng(seed)
    values = seeds * clips
    at_once = max(1, CHUNK // values)
    for done in range(0, repeats, at_once):
        count = min(at_once, repeats - done)
        rows = random.integers(seeds, size=(count, seeds, 1))
        columns = random.integers(clips, size=(count, 1, clips))
        cells = rows * clips + columns
        yield cells.reshape(count, values)
