"""What ranks disagree about in every run alike, and what in each run anew: the split of the
disagreement between languages into a stable and an own part.

For caption i, language k and run (seed) r let x_rik be the logarithm of the rank minus its mean
over the languages. Runs differ in their seed alone: start, order of clips and draws of languages.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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


def split_of(results: Sequence[Result], label: str) -> Split:
    """The split of the runs with a label. Raises ResultsError."""
    return own_and_stable(ranks_of(results, label))
