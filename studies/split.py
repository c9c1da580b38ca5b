"""What ranks disagree about in every run alike, and what in each run anew: the split of the
disagreement between languages into a stable and an own part.

For caption i, language k and run (seed) r let x_rik be the logarithm of the rank minus its mean
over the languages. Runs differ in their seed alone: start, order of clips and draws of languages.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from atri_lib.evaluation.significance import Difference
from studies.results import Result, ranks_of


class Split(NamedTuple):
    """Both in squared natural logarithms of ranks, means over captions and languages.

    own: the unbiased variance of x over seeds. stable: the variance over languages that is left,
    that of the mean over infinitely many seeds (unbiased, so it can be below zero).
    """

    own: float
    stable: float

    @property
    def total(self) -> float:
        """Variance over languages within one run."""
        return self.own + self.stable

    @property
    def stable_share(self) -> float:
        """Stable part / total."""
        return self.stable / self.total


def profiles(ranks: np.ndarray) -> np.ndarray:
    """x: log ranks minus their mean over languages, of ranks [S, M, K], 1-based: [S, M, K]."""
    logs = np.log(ranks)
    return logs - logs.mean(axis=-1, keepdims=True)


def parts(ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Own and stable part of every caption, [M] each, of ranks [S, M, K]. Raises ValueError for
    fewer than two seeds.
    """
    if len(ranks) < 2:
        raise ValueError("the split needs runs of two seeds or more")
    x = profiles(ranks)
    own = x.var(axis=0, ddof=1).mean(axis=-1)
    total = np.square(x).mean(axis=(0, 2))
    return own, total - own


def own_and_stable(ranks: np.ndarray) -> Split:
    """The split of ranks [S, M, K], means over captions. Raises ValueError for fewer than two
    seeds.
    """
    own, stable = parts(ranks)
    return Split(float(own.mean()), float(stable.mean()))


def jackknife(ranks: np.ndarray, groups: np.ndarray | None = None) -> Split:
    """Standard errors of own and stable part, of seeds and captions together.

    Seeds and captions are left out one at a time; the two variances are added (crossed sampling,
    to first order). Of two seeds none can be left out: then the error is that of captions alone.
    groups [M]: captions that share one, as those with the same sounds do, are left out together;
    each caption by itself unless given.
    """
    if groups is None:
        groups = np.arange(ranks.shape[1])
    own, stable = parts(ranks)
    without = []
    for group in np.unique(groups):
        kept = groups != group
        without.append((own[kept].mean(), stable[kept].mean()))
    variance = _jackknife_variance(without)
    if len(ranks) > 2:
        seeds = [own_and_stable(np.delete(ranks, seed, axis=0)) for seed in range(len(ranks))]
        variance = variance + _jackknife_variance(seeds)
    return Split(*np.sqrt(variance))


def _jackknife_variance(left_out: Sequence[tuple[float, float]]) -> np.ndarray:
    values = np.asarray(left_out)
    return (len(values) - 1) * values.var(axis=0)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of the stable profiles of two arms, corrected for the noise of their seeds.

    first, second: ranks [S, M, K] of the same captions.
    """
    mean_first, mean_second = profiles(first).mean(axis=0), profiles(second).mean(axis=0)
    shared = (mean_first * mean_second).mean()
    return float(shared / np.sqrt(own_and_stable(first).stable * own_and_stable(second).stable))


def pairs(ranks: np.ndarray, part: str) -> np.ndarray:
    """What every pair of seeds says of a part of each caption, [S, S, M]: the mean over pairs of
    different seeds is the part.

    part: "own" (half the squared distance of two profiles, per language) or "stable" (their inner
    product).
    """
    x = profiles(ranks)
    products = np.einsum("smk,tmk->stm", x, x) / x.shape[-1]
    if part == "stable":
        return products
    norms = np.einsum("ssm->sm", products)
    return (norms[:, None] + norms[None]) / 2 - products


def pseudo_values(ranks: np.ndarray, part: str) -> np.ndarray:
    """What each seed says of a part of each caption, [S, M], by the jackknife over seeds; the mean
    over seeds is the part. Raises ValueError for fewer than three seeds.

    ranks: [S, M, K]. Source: Efron and Tibshirani 1993, ch. 11.
    """
    table = pairs(ranks, part)
    seeds = len(table)
    if seeds < 3:
        raise ValueError("the jackknife of a variance needs runs of three seeds or more")
    table[np.arange(seeds), np.arange(seeds)] = 0
    with_others = table.sum(axis=1)  # [S, M]
    mean = with_others.sum(axis=0) / (seeds * (seeds - 1))
    return (2 * with_others - seeds * mean) / (seeds - 2)


def difference(
    first: np.ndarray,
    second: np.ndarray,
    part: str,
    members: Sequence[Sequence[int]] | None = None,
    repeats: int = 2000,
) -> Difference:
    """A part of the first arm minus that of the second, with its 95 % interval.

    first, second: ranks [S, M, K] of the same seeds and captions. Both are resampled, crossed.
    members: the sounds of every caption's scene; then sounds are resampled in place of captions,
    and a caption counts as often as all of its sounds together (the product of their numbers),
    since scenes that share a sound are not independent. A mean over pairs of different seeds
    counts a pair as often as both seeds were drawn.
    """
    table = pairs(first, part) - pairs(second, part)
    seeds, _, captions = table.shape
    generator = np.random.default_rng(0)
    if members is None:
        caption_counts = _counts(generator, captions, repeats)
    else:
        caption_counts = _through_sounds(generator, members, repeats)
    per_pair = table @ (caption_counts / caption_counts.sum(axis=1, keepdims=True)).T  # [S, S, R]
    seed_counts = _counts(generator, seeds, repeats)
    pair_counts = np.einsum("rs,rt->str", seed_counts, seed_counts)
    pair_counts[np.arange(seeds), np.arange(seeds)] = 0
    weight = pair_counts.sum(axis=(0, 1))
    enough = weight > 0  # a pair needs two different seeds
    drawn = (pair_counts * per_pair).sum(axis=(0, 1))[enough] / weight[enough]
    low, high = np.quantile(drawn, [0.025, 0.975])
    side = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(1.0, 2 * float(side + 1) / (len(drawn) + 1))
    plain = getattr(own_and_stable(first), part) - getattr(own_and_stable(second), part)
    return Difference(plain, float(low), float(high), p)


def _counts(generator: np.random.Generator, size: int, repeats: int) -> np.ndarray:
    """How often each of so many is drawn with replacement, [R, size]."""
    return generator.multinomial(size, np.full(size, 1 / size), repeats)


def _through_sounds(
    generator: np.random.Generator, members: Sequence[Sequence[int]], repeats: int
) -> np.ndarray:
    sounds = 1 + max(max(scene) for scene in members)
    counts = _counts(generator, sounds, repeats)
    columns = [counts[:, list(scene)].prod(axis=1) for scene in members]
    return np.stack(columns, axis=1)


def split_of(results: Sequence[Result], label: str) -> Split:
    """The split of the runs with a label. Raises ResultsError."""
    return own_and_stable(ranks_of(results, label))
