"""What every scheme has: draws, the distribution they realise, how epochs covary, the loss."""

import abc
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from atri_lib.losses import pair_losses

# Keeps language draws independent of other generators that are seeded with the same (seed, epoch).
_STREAM = int.from_bytes(b"lang", "big")


class Pool(NamedTuple):
    """Neighbouring languages, `size` of them, of which each epoch draws `drawn` without
    replacement.

    weight: of each drawn language in the clip-text part of the loss. Numbers, or sympy expressions
    in K and m.
    """

    size: Any
    drawn: Any
    weight: Any


Pools = tuple[Pool, ...]


@dataclass(frozen=True, init=False)
class Scheme(abc.ABC):
    """A scheme over `clips` N and `k` languages; each clip sees `m` per epoch, drawn from `seed`.

    A subclass gives its `pools` and its draws. It declares settings of its own as fields of
    type int (at least 1) or float (a share, 0 <= x < 1).
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
    k: int
    m: int
    seed: int

    def __init__(
        self, clips: int, languages: int, seed: int = 0, m: int | None = None, **settings: Any
    ) -> None:
        """m: only where the scheme lets you choose it. settings: the scheme's own fields; None is
        their default.

        Raises ValueError for a setting that this scheme does not have, or a value of one that
        cannot be.
        """
        fields = dataclasses.fields(self)[len(dataclasses.fields(Scheme)) :]
        given = {name: value for name, value in settings.items() if value is not None}
        for field in fields:
            value = given.pop(field.name, field.default)
            _check(field, value)
            vars(self)[field.name] = value
        if given:
            raise ValueError(
                f"{self.name} has no setting {min(given)}: "
                "leave it out, or use a scheme that has it"
            )
        vars(self).update(clips=clips, k=languages, m=self._drawn(languages, m), seed=seed)

    @staticmethod
    @abc.abstractmethod
    def pools(k: Any, m: Any) -> Pools:
        """What an epoch draws for a clip, English first; sizes add up to k.

        k, m: numbers, or symbols of sympy.
        """

    @abc.abstractmethod
    def _draw(self, epoch: int) -> np.ndarray:
        """The languages of an epoch, [N, m]."""

    def _drawn(self, k: int, m: int | None) -> int:
        if self.chooses_m and m is None:
            raise ValueError(
                f"{self.name} needs m, the languages a clip sees in an epoch: m=1 ... m={k}"
            )
        if m is not None and m < 1:
            raise ValueError(f"m must be an integer of at least 1, got {m!r}")
        pools = self.pools(k, m)
        drawn = sum(pool.drawn for pool in pools)
        if m not in (None, drawn):
            raise ValueError(
                f"{self.name} over {k} languages has m={drawn}, got m={m}: m_of_k lets you choose"
            )
        if any(pool.drawn > pool.size for pool in pools):
            raise ValueError(
                f"{self.name} cannot draw {drawn} different languages out of {k}: "
                "give more languages"
            )
        return drawn

    def languages(self, epoch: int) -> np.ndarray:
        """Which languages each clip sees in an epoch: int64 [N, m], indices into the K languages,
        English = 0.
        """
        return self._draw(epoch)

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

    @property
    def weights(self) -> np.ndarray:
        """The weight of each column of `languages` in the clip-text part of the loss: float64 [m],
        sums to 1.
        """
        pools = self.pools(self.k, self.m)
        drawn = [pool.drawn for pool in pools]
        return np.repeat([float(pool.weight) for pool in pools], drawn)

    def distribution(self, epoch: int) -> np.ndarray:
        """The realised pair distribution p' of an epoch: float64 [N, K], sums to 1."""
        realised = np.zeros((self.clips, self.k))
        shares = self.weights[None] / self.clips
        np.put_along_axis(realised, self.languages(epoch), shares, axis=1)
        return realised

    def mean_distribution(self) -> np.ndarray:
        """The expectation of p' over the scheme's randomness: float64 [N, K], sums to 1."""
        pools = self.pools(self.k, self.m)
        means = [float(pool.weight) * pool.drawn / max(pool.size, 1) for pool in pools]
        row = np.repeat(means, [pool.size for pool in pools])
        return np.tile(row / self.clips, (self.clips, 1))

    @property
    def biased(self) -> bool:
        """Whether the mean of p' differs from the ideal distribution."""
        ratio = self.k * self.clips * self.mean_distribution()
        return not np.allclose(ratio, 1, rtol=1e-9)

    def covariance(self, e: ArrayLike, f: ArrayLike) -> np.ndarray:
        """Covariance of a clip's row of N p' in epoch e with its row in epoch f, exact: float64
        [..., K, K].

        e, f: epochs, broadcast together ([...]). Rows of different clips are independent where
        `independent_clips` says so.
        """
        spread = np.zeros((self.k, self.k))  # within one epoch
        first = 0
        for size, drawn, weight in self.pools(self.k, self.m):
            if 0 < drawn < size:  # always `drawn` of them, so every row of the block sums to 0
                block = slice(first, first + size)
                variance = float(weight) ** 2 * drawn * (size - drawn) / size**2
                spread[block, block] = variance * (size * np.eye(size) - 1) / (size - 1)
            first += size
        correlation = self._correlation(np.asarray(e), np.asarray(f))
        return correlation[..., None, None] * spread

    def _correlation(self, e: np.ndarray, f: np.ndarray) -> np.ndarray:
        """Covariance between epochs / covariance within one; epochs are drawn independently unless
        overridden.
        """
        return np.asarray(e == f, dtype=float)

    @property
    def chance(self) -> np.ndarray:
        """The languages among which chance decides, int64; empty where nothing is random."""
        return np.flatnonzero(np.diag(self.covariance(0, 0)) > 0)

    @property
    def noise_share(self) -> float:
        """Variance of a clip's gradient / population variance of its gradients over the languages
        in `chance`.
        """
        size = len(self.chance)
        if size == 0:
            return 0.0
        return float(np.trace(self.covariance(0, 0))) * size / (size - 1)

    def remembers(self, epoch: int) -> bool:
        """Whether an epoch's draw is correlated with any earlier one's."""
        with_earlier = np.abs(self.covariance(np.arange(epoch), epoch))
        return bool(with_earlier.max(initial=0) > 1e-12)

    def loss(
        self,
        clips: Tensor,
        texts: Tensor,
        temperature: float | Tensor,
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

    Raises ValueError if the shapes differ. Source: Yin et al. 2025, arXiv 2502.14627; the bound
    chapter.
    """
    apart = np.subtract(p, q, dtype=float)
    if np.shape(p) != np.shape(q):
        raise ValueError(f"two shapes of the same pairs, {np.shape(p)} and {np.shape(q)}")
    return float(np.abs(apart).sum())


def _check(field: dataclasses.Field, value: Any) -> None:
    """Raises ValueError for a setting that is none of its kind."""
    if field.type in (float, "float"):
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(f"{field.name} is a share, 0 <= {field.name} < 1, got {value!r}")
    elif not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{field.name} must be an integer of at least 1, got {value!r}")
