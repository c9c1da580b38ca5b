"""Is the difference real? Intervals over clips, and over seeds where a run was repeated.

Values come as [N] (one per clip) or [S, N] (seeds by clips), crossed, because every seed is tested
on the same clips. `two_way_interval` suits several seeds, the bootstrap one. With few seeds an
interval is rough, so report S with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from atri_lib.evaluation.input_checks import caption_counts, indices
from atri_lib.evaluation.scores import CHUNK


@dataclass(frozen=True)
class Difference:
    """statistic(a) - statistic(b), its 95 % interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def clip_means(values: ArrayLike, owner: ArrayLike) -> np.ndarray:
    """Mean of the captions' values per clip, so that a bootstrap resamples clips with all their
    captions.

    values: [..., M]; owner: [M], the clip each caption belongs to, every clip 0 ... N - 1 having
    one. Returns [..., N].
    """
    values = np.asarray(values, dtype=np.float64)
    owner = indices(owner, "owner", values.shape[-1], values.shape[-1])
    captions = caption_counts(owner)
    order = np.argsort(owner, kind="stable")
    starts = np.cumsum(captions) - captions
    return np.add.reduceat(values[..., order], starts, axis=-1) / captions


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, repeats: int = 10_000, seed: int = 0
) -> Difference:
    """Compare the means of two systems on the same clips (and seeds) by a paired, hierarchical
    percentile bootstrap.

    a, b: [N] or [S, N], the same clips in the same order; for captions, `clip_means` first. Returns
    `percentile_difference`. Raises ValueError for fewer than 2 clips, shapes that differ and NaN.
    Source: Efron and Tibshirani 1993, ch. 13.
    """
    a, b = paired(a, b)
    values = a - b
    random = np.random.default_rng(seed)
    # How often a resample has each seed and clip is enough for a mean: two products of matrices.
    of_seeds, of_clips = [
        partial(random.multinomial, items, np.full(items, 1 / items)) for items in values.shape
    ]
    parts = repeats * len(a.T) // CHUNK + 1
    sums = []
    for rows in np.array_split(of_seeds(repeats), parts):
        sums.append(np.einsum("rn,rn->r", rows @ values, of_clips(len(rows))))
    observed = a.mean() - b.mean()
    return percentile_difference(float(observed), np.concatenate(sums) / values.size)


def percentile_difference(observed: float, resampled: np.ndarray) -> Difference:
    """The 95 % percentile interval; p is twice the smaller share of resamples on one side of zero,
    at least 2 / (repeats + 1), at most 1.

    p < 0.05 implies that the interval excludes zero.
    """
    low, high = np.quantile(resampled, [0.025, 0.975])
    below = (resampled <= 0).sum()
    above = (resampled >= 0).sum()
    p_value = 2 * float(min(below, above) + 1) / (len(resampled) + 1)
    return Difference(observed, float(low), float(high), min(1.0, p_value))


def independent(effects: np.ndarray) -> tuple[float, float]:
    """Variance of the mean of independent effects, [n], and its degrees of freedom.

    effects: distances from their mean.
    """
    freedom = len(effects) - 1
    return np.square(effects).sum() / freedom / len(effects), freedom


def two_way_interval(a: ArrayLike, b: ArrayLike, among_clips: Callable = independent) -> Difference:
    """The mean of a - b over seeds and clips, both random, with its 95 % interval.

    The model: a - b = mean + effect of the seed + effect of the clip + rest, independent of each
    other. The variance of the mean follows from the mean squares and is never taken to be below
    that of the seeds or of the clips alone; its degrees of freedom are Satterthwaite's, and the
    interval is Student's. So it suits few seeds.

    a, b: [S, N], the same seeds and clips. among_clips: what to take in place of `independent`
    where clips are not. Raises ValueError for fewer than 2 seeds or clips, shapes that differ, and
    NaN. Sources: Satterthwaite 1946; Searle, Casella and McCulloch 1992, ch. 4.
    """
    difference = np.subtract(*paired(a, b))
    seeds, clips = difference.shape
    if seeds < 2:
        raise ValueError("seeds are random here: give runs of 2 or more")
    mean = float(difference.mean())
    by_seed = difference.mean(axis=1) - mean
    by_clip = difference.mean(axis=0) - mean
    rest = difference - by_seed[:, None] - by_clip - mean
    # What each adds to the variance of the mean; the rest is in both of the others.
    of_seeds, free_seeds = independent(by_seed)
    of_clips, free_clips = among_clips(by_clip)
    free_rest = (seeds - 1) * (clips - 1)
    of_rest = np.square(rest).sum() / free_rest / (seeds * clips)
    variance = max(of_seeds + of_clips - of_rest, of_seeds, of_clips)
    rounding = np.finfo(float).eps * np.abs(difference).max()
    if variance <= rounding**2:  # all differences are equal
        return Difference(mean, mean, mean, float(abs(mean) <= rounding))
    spread = of_seeds**2 / free_seeds + of_clips**2 / free_clips
    spread += of_rest**2 / free_rest
    freedom = max(variance**2 / spread, min(free_seeds, free_clips))
    scale = np.sqrt(variance)
    half = float(stdtrit(freedom, 0.975) * scale)
    p_value = 2 * stdtr(freedom, -abs(mean) / scale)
    return Difference(mean, mean - half, mean + half, p_value)


def paired(*sides: ArrayLike) -> np.ndarray:
    """Both sides as float64 [2, S, N]; [N] is of one seed. Raises ValueError for what does not pair
    up.
    """
    both = [np.atleast_2d(np.asarray(side, dtype=np.float64)) for side in sides]
    shape, other = shapes = [side.shape for side in both]
    fitting = shape == other and len(shape) == 2 and shape[0] >= 1 and shape[1] >= 2
    if not fitting or not np.isfinite(both).all():
        raise ValueError(
            "give finite numbers of the same seeds and clips, [N] or [S, N], of at least 2 clips: "
            f"got {shapes}"
        )
    return np.stack(both)
