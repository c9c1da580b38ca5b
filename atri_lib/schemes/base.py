"""What every scheme has: draws, the distribution they realise, how epochs covary, the loss."""

import abc
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, Field, PositiveInt, ValidationError
from torch import Tensor

from atri_lib.losses import Temperature, pair_losses

# Keeps language draws independent of other generators that are seeded with the same (seed, epoch).
_STREAM = int.from_bytes(b"lang", "big")
_FAULTS = {"missing": "needs", "extra_forbidden": "has no setting"}  # pydantic's kinds of errors


class Pool(NamedTuple):
    """Languages, `size` of them, of which each epoch draws `drawn` without replacement.

    weight: of each drawn language in the clip-text part of the loss. Numbers, or sympy expressions
    in K and m.
    """

    size: Any
    drawn: Any
    weight: Any


Pools = tuple[Pool, ...]


class Scheme(BaseModel, frozen=True, extra="forbid"):
    """A scheme over `clips` N and `languages` K; each clip sees `m` per epoch, drawn from `seed`.

    A subclass gives its `pools` and its draws. Its settings are fields, with the values that they
    may have: `stay: PositiveInt = 2`. A scheme that sees more than one language per epoch has a
    field m of its own. Raises ValueError, in one line, for a setting that this scheme does not
    have, or a value of one that cannot be; None is a setting's default.
    """

    name: ClassVar[str]
    # How the library's own schemes look in figures, told apart by colour-blind readers.
    label: ClassVar[str]
    colour: ClassVar[str]
    marker: ClassVar[str]
    chooses_m: ClassVar[bool] = False
    together: ClassVar[bool] = False  # whether the loss contrasts a clip's texts with each other
    # Whether the draws of different clips are independent, as the mean-square law needs it.
    independent_clips: ClassVar[bool] = True

    clips: int
    k: int = Field(alias="languages")
    seed: int = 0
    m: PositiveInt = 1

    def __init__(self, /, **settings: Any) -> None:
        given = {name: value for name, value in settings.items() if value is not None}
        try:
            super().__init__(**given)
        except ValidationError as error:
            first = error.errors()[0]
            setting = first["loc"][0]
            message = f"{self.name}: {setting}={first['input']!r}: {first['msg']}"
            if verb := _FAULTS.get(first["type"]):
                message = f"{self.name} {verb} {setting}"
            raise ValueError(message) from error
        of_pools = [pool.drawn for pool in self.pools(self.k, self.m)]
        drawn = sum(of_pools)
        if drawn != self.m:
            raise ValueError(
                f"{self.name} over {self.k} languages has m={drawn}, got m={self.m}: m_of_k lets "
                f"you choose, or a scheme of your own with a field m: PositiveInt = {drawn}"
            )
        there = np.bincount(self._pool_of(), minlength=len(of_pools))
        if (of_pools > there).any():
            raise ValueError(
                f"{self.name} cannot draw {drawn} different languages out of {self.k}: "
                "give more languages"
            )

    @staticmethod
    @abc.abstractmethod
    def pools(k: Any, m: Any) -> Pools:
        """What an epoch draws for a clip, English first; sizes add up to k.

        k, m: numbers, or symbols of sympy.
        """

    @abc.abstractmethod
    def languages(self, epoch: int) -> np.ndarray:
        """Which languages each clip sees in an epoch: int64 [N, m], indices into the K languages,
        English = 0.
        """

    def ordered_as(self, epoch: int) -> int:
        """The epoch whose order of clips training takes in this one: its own, unless a scheme keeps
        batches together.
        """
        return epoch

    def _generator(self, number: int) -> np.random.Generator:
        sequence = np.random.SeedSequence(self.seed, spawn_key=(_STREAM, number))
        return np.random.default_rng(sequence)

    def _orders(self, number: int) -> np.ndarray:
        """A random order of the languages for every clip, [N, K]."""
        sorted_rows = np.tile(np.arange(self.k), (self.clips, 1))
        return self._generator(number).permuted(sorted_rows, axis=1)

    def _pool_of(self) -> np.ndarray:
        """Which of the pools each language is in, [K]: neighbours, unless overridden."""
        sizes = [pool.size for pool in self.pools(self.k, self.m)]
        return np.repeat(np.arange(len(sizes)), sizes)

    def _pool_values(self) -> np.ndarray:
        """Size, drawn and weight of the pool that each language is in: float64 [3, K]."""
        values = np.array(self.pools(self.k, self.m), dtype=float)
        return values[self._pool_of()].T

    @property
    def weights(self) -> np.ndarray:
        """The weight of each column of `languages` in the clip-text part of the loss: float64 [m],
        sums to 1.
        """
        pools = np.array(self.pools(self.k, self.m), dtype=float)
        _, drawn, weight = pools.T
        return weight.repeat(drawn.astype(int))

    def distribution(self, epoch: int) -> np.ndarray:
        """The realised pair distribution p' of an epoch: float64 [N, K], sums to 1."""
        realised = np.zeros((self.clips, self.k))
        shares = self.weights[None] / self.clips
        np.put_along_axis(realised, self.languages(epoch), shares, axis=1)
        return realised

    def mean_distribution(self) -> np.ndarray:
        """The expectation of p' over the scheme's randomness: float64 [N, K], sums to 1."""
        size, drawn, weight = self._pool_values()
        row = weight * drawn / size
        return np.tile(row / self.clips, (self.clips, 1))

    def covariance(self, e: ArrayLike, f: ArrayLike) -> np.ndarray:
        """Covariance of a clip's row of N p' in epoch e with its row in epoch f, exact: float64
        [..., K, K].

        e, f: epochs, broadcast together ([...]). Rows of different clips are independent where
        `independent_clips` says so.
        """
        size, drawn, weight = self._pool_values()
        variance = weight**2 * drawn * (size - drawn) / size**2
        pool = self._pool_of()
        variance = variance * (pool[:, None] == pool)
        # Always as many of a pool are drawn, so a row of the covariance sums to 0.
        contrast = size * np.eye(self.k) - 1
        within_epoch = variance * contrast / np.maximum(size - 1, 1)
        correlation = self._correlation(np.asarray(e), np.asarray(f))
        return correlation[..., None, None] * within_epoch

    def _correlation(self, e: np.ndarray, f: np.ndarray) -> np.ndarray:
        """Covariance between epochs / covariance within one; epochs are drawn independently unless
        overridden.
        """
        return np.asarray(e == f, dtype=float)

    def loss(
        self,
        clips: Tensor,
        texts: Tensor,
        temperature: Temperature,
        columns: slice = slice(None),
    ) -> Tensor:
        """The objective for the drawn texts: the weighted mean of their pair losses; nats, a
        scalar.

        clips: [N, d]; texts: [N, m, d]; the negatives of a caption are the batch's captions in its
        column, in whatever languages the other clips drew: they are of its own language only where
        a column holds one language (kcl, english, block over whole batches, CACL's anchor).
        columns: which of the m are given; losses of parts add up to the whole, except where
        `together`.
        """
        losses = pair_losses(clips, texts, temperature).mean(0)
        weights = losses.new_tensor(self.weights[columns])
        return (losses * weights).sum()  # a product @ would be rounded by autocast


def clip_order(clips: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which training with this seed goes through the clips in an epoch: a permutation,
    int64 [N].
    """
    return np.random.default_rng((seed, epoch)).permutation(clips)


def ideal_distribution(clips: int, languages: int) -> np.ndarray:
    """The ideal pair distribution p_ik = 1 / (N K): float64 [N, K]."""
    return np.full((clips, languages), 1 / languages / clips)


def data_distribution_error(p: np.ndarray, q: np.ndarray) -> float:
    """Data distribution error D = sum_ik |p_ik - q_ik| of two [N, K] distributions (L1, between 0
    and 2).

    Raises ValueError for different numbers of pairs. Source: Yin et al. 2025, arXiv 2502.14627; the
    bound chapter.
    """
    apart = np.abs(np.ravel(p) - np.ravel(q))
    return float(apart.sum())
