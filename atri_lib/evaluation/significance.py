"""Is the difference real? Intervals over clips, and over seeds where a run was repeated.

Values come as [N] (one per clip) or [S, N] (seeds by clips), crossed, because every seed is tested
on the same clips. `two_way_interval` suits several seeds, the bootstrap one. With few seeds an
interval is rough, so report S with it.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from atri_lib.evaluation.input_checks import indices
from atri_lib.evaluation.scores import caption_counts

CHUNK = 2**22  # resampled values held at once


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
    owner = np.asarray(owner)
    clips = owner.max(initial=0) + 1
    owner = indices(owner, "owner", clips, values.shape[-1:])
    counts = caption_counts(owner, clips)
    order = np.argsort(owner, kind="stable")
    starts = np.cumsum(counts) - counts
    return np.add.reduceat(values[..., order], starts, axis=-1) / counts


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
    seeds, clips = values.shape
    random = np.random.default_rng(seed)
    # How often a resample has each seed and clip is enough for a mean: two products of matrices.
    of_seeds = _counts(random, seeds, repeats)
    at_once = max(1, CHUNK // clips)
    means = []
    for rows in np.split(of_seeds, range(at_once, repeats, at_once)):
        weighted = rows @ values
        sums = np.einsum("rn,rn->r", weighted, _counts(random, clips, len(rows)))
        means.append(sums / values.size)
    observed = a.mean() - b.mean()
    return percentile_difference(float(observed), np.concatenate(means))


def _counts(random: np.random.Generator, items: int, repeats: int) -> np.ndarray:
    """How often each item is drawn in as many draws with replacement, [repeats, items]."""
    chances = np.full(items, 1 / items)
    counts = random.multinomial(items, chances, repeats)
    return counts.astype(np.float32)


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
    difference = np.subtract(*paired(a, b))
    seeds, clips = difference.shape
    if seeds < 2:
        raise ValueError("seeds are random here: give runs of 2 or more")
    mean = float(difference.mean())
    by_seed = difference.mean(axis=1) - mean
    by_clip = difference.mean(axis=0) - mean
    rest = difference - by_seed[:, None] - by_clip - mean
    free_seeds, free_clips = seeds - 1, clips - 1
    free_rest = free_seeds * free_clips
    # What each adds to the variance of the mean; the rest is in both of the others.
    of_seeds = np.square(by_seed).sum() / free_seeds / seeds
    of_clips = np.square(by_clip).sum() / free_clips / clips
    of_rest = np.square(rest).sum() / free_rest / (seeds * clips)
    if groups is not None:
        of_groups, free_clips = _of_groups(np.asarray(groups), by_clip)
        of_clips = max(of_clips, of_groups)
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


def _of_groups(groups: np.ndarray, by_clip: np.ndarray) -> tuple[float, float]:
    """Variance of the mean of clips that share groups, [N, G], and its degrees of freedom.

    by_clip: [N], distances from the mean. Products are summed over the pairs of clips that share a
    group.
    """
    clips = len(by_clip)
    if groups.dtype != bool or groups.shape[:1] != (clips,):
        raise ValueError(
            f"groups must be bool, a row per clip [{clips}, G], got {groups.dtype} {groups.shape}"
        )
    together, factor, freedom = _sharing(groups.tobytes(), clips)
    products = float(by_clip @ together @ by_clip)
    return factor * products / clips**2, freedom


@functools.lru_cache(maxsize=1)  # many contrasts have the same groups
def _sharing(groups: bytes, clips: int) -> tuple[np.ndarray, float, float]:
    """Of groups bool [N, G]: which clips share one, [N, N]; by which factor the sum over such pairs
    is too small, since the clips' own mean was taken off; its degrees of freedom.

    If every group had an effect of variance 1, and nothing else varied, that sum would be a
    quadratic form of these effects: its mean is the trace of `form`, its variance twice the squared
    norm. Of two groups apart it has one degree of freedom.
    """
    held = np.frombuffer(groups, dtype=bool).reshape(clips, -1)
    member = held[:, held.any(axis=0)].astype(float)
    together = (member @ member.T > 0).astype(float)
    centred = member - member.mean(axis=0)
    form = centred.T @ together @ centred
    expected = float(np.trace(form))
    apart = member.any(axis=1).all() and not together.all()
    freedom = expected**2 / float(np.square(form).sum()) if apart else 0.0
    if expected <= 0 or freedom < 0.99:
        raise ValueError("every clip must be in a group, and enough of them apart for an interval")
    members = member.sum(axis=0)
    factor = float(np.square(members).sum()) / expected
    return together, factor, freedom


def paired(*sides: ArrayLike) -> list[np.ndarray]:
    """Both sides as float64 [S, N]; [N] is of one seed. Raises ValueError for what does not pair
    up.
    """
    grids = [np.array(side, dtype=np.float64, order="C", ndmin=2) for side in sides]
    shape, other = (grid.shape for grid in grids)
    if shape != other or len(shape) != 2 or 0 in shape or shape[1] < 2:
        raise ValueError(
            "give the same seeds and clips on both sides, [N] or [S, N], of at least 2 clips: "
            f"got shapes {shape} and {other}"
        )
    if not np.isfinite(grids).all():
        raise ValueError("NaN or infinity: drop those clips from both sides")
    return grids
