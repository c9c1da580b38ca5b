"""Is the difference real? Intervals over clips, and over seeds where a run was repeated.

Values come as [N] (one per clip) or [S, N] (seeds by clips), crossed, because every seed is tested
on the same clips. `two_way_interval` suits means of several seeds; the bootstraps suit one seed and
other statistics. With few seeds an interval is rough, so report S with it.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit
from scipy.stats import rankdata

from atri_lib.evaluation.input_checks import indices
from atri_lib.evaluation.scores import caption_counts

_CHUNK = 2**22  # resampled values held at once


@dataclass(frozen=True)
class Difference:
    """statistic(a) - statistic(b), its 95 % interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation and its 95 % percentile interval."""

    rho: float
    low: float
    high: float


def clip_means(values: ArrayLike, owner: ArrayLike) -> np.ndarray:
    """Mean of the captions' values per clip, so that a bootstrap resamples clips with all their
    captions.

    values: [..., M]; owner: [M], the clip each caption belongs to, every clip 0 ... N - 1 having
    one. Returns [..., N].
    """
    values = np.asarray(values, dtype=np.float64)
    owner = np.asarray(owner)
    clips = owner.max(initial=0) + 1
    owner = indices(owner, "owner", clips, values.shape[-1:])
    counts = caption_counts(owner, clips)
    order = np.argsort(owner, kind="stable")
    starts = np.cumsum(counts) - counts
    return np.add.reduceat(values[..., order], starts, axis=-1) / counts


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, statistic: Callable = np.mean, repeats: int = 10_000, seed: int = 0
) -> Difference:
    """Compare two systems on the same clips (and seeds) by a paired, hierarchical percentile
    bootstrap.

    a, b: [N] or [S, N], the same clips in the same order; for captions, `clip_means` first.
    statistic: reduces the last axis, called with axis=-1 on [repeats, S * N]; np.mean, np.median.
    Returns a `Difference`; p is twice the smaller share of resamples on one side of zero, at least
    2 / (repeats + 1), at most 1. p < 0.05 implies that the interval, of 95 %, excludes zero. Raises
    ValueError for fewer than 2 clips, shapes that differ and NaN. Source: Efron and Tibshirani
    1993, ch. 13.
    """
    a, b = _grids(a=a, b=b)
    observed = float(statistic(a.ravel(), axis=-1) - statistic(b.ravel(), axis=-1))
    if statistic is np.mean:
        resampled = _resampled_means(a - b, repeats, seed)
    else:
        draws = _resamples(a.shape, repeats, seed)
        resampled = np.concatenate(
            [statistic(a.flat[at], axis=-1) - statistic(b.flat[at], axis=-1) for at in draws]
        )
    low, high = _interval(resampled)
    smaller_side = min((resampled <= 0).sum(), (resampled >= 0).sum())
    p_value = 2 * float(smaller_side + 1) / (repeats + 1)
    return Difference(observed, low, high, min(1.0, p_value))


def two_way_interval(a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None) -> Difference:
    """The mean of a - b over seeds and clips, both random, with its 95 % interval.

    The model: a - b = mean + effect of the seed + effect of the clip + rest, independent of each
    other. The variance of the mean follows from the mean squares and is never taken to be below
    that of the seeds or of the clips alone; its degrees of freedom are Satterthwaite's, and the
    interval is Student's. So it suits few seeds.

    a, b: [S, N], the same seeds and clips. groups: bool [N, G], what the clips hold; clips that
    share something (a sound) are then not taken as independent. Their variance and its degrees of
    freedom are exact where all of the clips' variance is that of the groups. Raises ValueError for
    fewer than 2 seeds or clips, shapes that differ, NaN, and groups that are none. Sources:
    Satterthwaite 1946; Searle, Casella and McCulloch 1992, ch. 4; for shared members Fafchamps and
    Gubert 2007, with the correction for few groups of Bell and McCaffrey 2002.
    """
    difference = np.subtract(*_grids(a=a, b=b))
    seeds, clips = difference.shape
    if seeds < 2:
        raise ValueError("seeds are random here: give runs of 2 or more")
    mean = float(difference.mean())
    by_seed = difference.mean(axis=1) - mean
    by_clip = difference.mean(axis=0) - mean
    rest = difference - by_seed[:, None] - by_clip - mean
    # What each adds to the variance of the mean; the rest is in both of the others.
    of_seeds = np.square(by_seed).sum() / (seeds - 1) / seeds
    of_clips = np.square(by_clip).sum() / (clips - 1) / clips
    of_rest = np.square(rest).sum() / ((seeds - 1) * (clips - 1)) / (seeds * clips)
    free_clips = clips - 1
    if groups is not None:
        of_groups, free_clips = _of_groups(np.asarray(groups), by_clip)
        of_clips = max(of_clips, of_groups)
    variance = max(of_seeds + of_clips - of_rest, of_seeds, of_clips)
    rounding = np.finfo(float).eps * np.abs(difference).max()
    if variance <= rounding**2:  # all differences are equal
        return Difference(mean, mean, mean, 1.0 if abs(mean) <= rounding else 0.0)
    spread = of_seeds**2 / (seeds - 1) + of_clips**2 / free_clips
    spread += of_rest**2 / ((seeds - 1) * (clips - 1))
    freedom = max(variance**2 / spread, min(seeds - 1, free_clips))
    scale = np.sqrt(variance)
    half = float(stdtrit(freedom, 0.975) * scale)
    return Difference(mean, mean - half, mean + half, 2 * float(stdtr(freedom, -abs(mean) / scale)))


def _of_groups(groups: np.ndarray, by_clip: np.ndarray) -> tuple[float, float]:
    """Variance of the mean of clips that share groups, [N, G], and its degrees of freedom.

    by_clip: [N], distances from the mean. Products are summed over the pairs of clips that share a
    group.
    """
    clips = len(by_clip)
    if groups.dtype != bool or groups.ndim != 2 or len(groups) != clips:
        raise ValueError(
            f"groups must be bool [{clips}, G], a row per clip, got {groups.dtype} {groups.shape}"
        )
    together, factor, freedom = _sharing(groups.tobytes(), clips)
    return factor * float(by_clip @ together @ by_clip) / clips**2, freedom


@functools.lru_cache(maxsize=1)  # many contrasts have the same groups
def _sharing(groups: bytes, clips: int) -> tuple[np.ndarray, float, float]:
    """Of groups bool [N, G]: which clips share one, [N, N]; by which factor the sum over such pairs
    is too small, since the clips' own mean was taken off; its degrees of freedom.

    If every group had an effect of variance 1, and nothing else varied, that sum would be a
    quadratic form of these effects: its mean is the trace of `form`, its variance twice the squared
    norm.
    """
    held = np.frombuffer(groups, dtype=bool).reshape(clips, -1)
    member = held[:, held.any(axis=0)].astype(float)
    together = (member @ member.T > 0).astype(float)
    if not member.any(axis=1).all() or together.all():
        raise ValueError("every clip must be in a group, and no group may join all clips")
    centred = member - member.mean(axis=0)
    form = centred.T @ together @ centred
    expected = float(np.trace(form))
    freedom = expected**2 / float(np.square(form).sum())
    if expected <= 0 or freedom < 0.99:  # of two groups apart it is 1
        raise ValueError("the groups join nearly all clips: too few are apart for an interval")
    factor = float(np.square(member.sum(axis=0)).sum()) / expected
    return together, factor, freedom


def spearman(x: ArrayLike, y: ArrayLike, repeats: int = 10_000, seed: int = 0) -> Correlation:
    """Spearman's rank correlation with a percentile bootstrap interval; ties share their mean rank.

    x, y: [N] or [S, N] (seeds by conditions, resampled crossed). Resamples in which x or y is
    constant have no correlation and are left out. Raises ValueError for fewer than 2 conditions,
    shapes that differ, NaN, or constant x or y. Source: Efron and Tibshirani 1993.
    """
    x, y = _grids(x=x, y=y)
    observed = float(_rank_correlation(x.ravel(), y.ravel()))
    if np.isnan(observed):
        raise ValueError("x or y is constant, so there is no rank correlation")
    resampled = [
        _rank_correlation(x.flat[at], y.flat[at]) for at in _resamples(x.shape, repeats, seed)
    ]
    return Correlation(observed, *_interval(np.concatenate(resampled)))


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation of the ranks along the last axis; NaN where one side is constant."""
    mean_rank = (x.shape[-1] + 1) / 2
    x = rankdata(x, axis=-1) - mean_rank
    y = rankdata(y, axis=-1) - mean_rank
    scale = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    undefined = np.full_like(scale, np.nan)
    return np.divide((x * y).sum(-1), scale, out=undefined, where=scale > 0)


def _resampled_means(values: np.ndarray, repeats: int, seed: int) -> np.ndarray:
    """Means of values [S, N] over resampled seeds and clips, [repeats]: how often a resample has
    each of them is enough for a mean, as two products of matrices.
    """
    seeds, clips = values.shape
    parts = _parts(repeats, clips)
    random = np.random.default_rng(seed)
    of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), repeats).astype(np.float32)
    means = []
    for part in parts:
        of_clips = random.multinomial(clips, np.full(clips, 1 / clips), part.stop - part.start)
        weighted = of_seeds[part] @ values
        means.append(np.einsum("rn,rn->r", weighted, of_clips.astype(np.float32)) / values.size)
    return np.concatenate(means)


def _resamples(shape: tuple[int, int], repeats: int, seed: int) -> Iterator[np.ndarray]:
    """Yield chunks [repeats, S * N] of flat cell indices: seeds and clips drawn with replacement,
    crossed.
    """
    seeds, clips = shape
    random = np.random.default_rng(seed)
    for part in _parts(repeats, seeds * clips):
        count = part.stop - part.start
        rows = random.integers(seeds, size=(count, seeds, 1))
        columns = random.integers(clips, size=(count, 1, clips))
        yield (rows * clips + columns).reshape(count, -1)


def _parts(repeats: int, values: int) -> list[slice]:
    """Resamples to hold at once, where each has so many values."""
    if repeats < 1:
        raise ValueError(f"repeats must be positive, got {repeats}")
    size = max(1, _CHUNK // values)
    starts = range(0, repeats, size)
    return [slice(start, min(start + size, repeats)) for start in starts]


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def _grids(**sides: ArrayLike) -> list[np.ndarray]:
    grids = [_grid(values, name) for name, values in sides.items()]
    shapes = [grid.shape for grid in grids]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{' and '.join(sides)} must pair up, the same seeds and clips, "
            f"got shapes {shapes[0]} and {shapes[1]}"
        )
    return grids


def _grid(values: ArrayLike, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or values.size == 0:
        raise ValueError(
            f"{name} must be a non-empty [N] or [S, N] array, got shape {values.shape}"
        )
    if values.shape[1] < 2:
        raise ValueError(
            f"{name} holds 1 clip (or condition): an interval needs at least 2; "
            "test on more of them"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} has NaN or infinity: drop those clips from both sides "
            "or mend what measured them"
        )
    return np.ascontiguousarray(values)
