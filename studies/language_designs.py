"""Which m of K languages to draw, given how a clip's language gradients lie to each other: the best
inclusion design.

A design gives every subset S of m languages a chance. It is unbiased if every language is in S with
chance m/K, and its variance is sum_S chance_S |mean of S - mean of all|^2: linear in the chances,
so the best design is a linear program. Gram matrices are [K, K] float64, of one clip or added up
over clips (then one design serves all of them).
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from atri_lib.theory.model_functions import Batch, Task
from studies.batch_designs import language_gradients


@dataclass(frozen=True, eq=False)
class Design:
    """members: bool [S, K], the subsets; chance: [S]; variance of its estimate, and of uniform
    subsets of that size.
    """

    members: np.ndarray
    chance: np.ndarray
    variance: float
    uniform: float

    @property
    def share(self) -> float:
        """Variance in units of uniform subsets'; 1 where there is nothing to reduce."""
        return self.variance / self.uniform if self.uniform > 0 else 1.0

    @property
    def joint(self) -> np.ndarray:
        """pi_kl: the chance that languages k and l are both drawn, [K, K]; pi_k on the diagonal."""
        return (self.members.T * self.chance) @ self.members

    @property
    def covariance(self) -> np.ndarray:
        """Of a clip's row of N p' within an epoch, [K, K], as `Scheme.covariance` gives it."""
        single = np.diag(self.joint)
        return (self.joint - np.outer(single, single)) / self.members[0].sum() ** 2


@functools.cache
def subsets(languages: int, m: int) -> np.ndarray:
    """All subsets of m of K languages, bool [S, K]."""
    chosen = np.array(list(itertools.combinations(range(languages), m)))  # [S, m]
    return (chosen[:, :, None] == np.arange(languages)).any(1)


def deviations(gram: np.ndarray, members: np.ndarray) -> np.ndarray:
    """|mean over a subset - mean over all|^2 for every row of `members`, [S]."""
    weights = members / members.sum(1, keepdims=True) - 1 / len(gram)
    return np.einsum("sk,kl,sl->s", weights, gram, weights).clip(0)


def best(gram: np.ndarray, m: int) -> Design:
    """The unbiased design of m languages with the least variance. 1 <= m <= K.

    Nothing is to be chosen for m = 1, K - 1 and K. K = 4, m = 2: the better halves of the best of
    three pairings, share 3 min v / (v_1 + v_2 + v_3) with v the deviations of the pairings.
    """
    members = subsets(len(gram), m)
    costs = deviations(gram, members)
    scale = costs.mean() or 1.0  # the solver's tolerances are absolute
    share = np.full(len(gram), m / len(gram))
    found = linprog(costs / scale, A_eq=members.T, b_eq=share, method="highs")
    if not found.success:
        raise RuntimeError(f"no design of {m} of {len(gram)} languages was found: {found.message}")
    variance = costs @ found.x
    return Design(members, found.x, float(variance), float(costs.mean()))


def best_partition(gram: np.ndarray, m: int) -> Design:
    """The best division of K languages into K/m blocks of m, one drawn at random. Raises ValueError
    unless m divides K.

    In a random order without replacement its noise grows like that of `balanced`, times the share.
    """
    if len(gram) % m:
        raise ValueError(f"blocks of {m} do not divide {len(gram)} languages")
    languages = range(len(gram))
    members = subsets(len(gram), m)
    variances = deviations(gram, members)
    costs = dict(zip(itertools.combinations(languages, m), variances, strict=True))

    def cost(blocks: list[tuple[int, ...]]) -> float:
        return sum(costs[block] for block in blocks)

    blocks = min(_partitions(tuple(languages), m), key=cost)
    chosen = np.array([block in blocks for block in costs])
    chance = chosen * m / len(gram)
    variance = variances @ chance
    return Design(members, chance, float(variance), float(variances.mean()))


def _partitions(languages: tuple[int, ...], m: int) -> Iterator[list[tuple[int, ...]]]:
    """Every division of the languages into blocks of m."""
    if not languages:
        yield []
        return
    first, *others = languages
    for partners in itertools.combinations(others, m - 1):
        rest = tuple(k for k in others if k not in partners)
        for blocks in _partitions(rest, m):
            yield [(first, *partners), *blocks]


@torch.no_grad()
def language_grams(task: Task, weights: Tensor, batch: Batch) -> np.ndarray:
    """<grad l_ik, grad l_il> of every clip of a batch at weights [D]: float64 [B, K, K]. Holds B K
    gradients.
    """
    rows = language_gradients(task, weights, batch)
    return (rows @ rows.transpose(1, 2)).double().numpy()
