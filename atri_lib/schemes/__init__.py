"""Training schemes as distributions over (clip, language) pairs, one class each.

    scheme = SCHEMES["m_of_k"](clips=2000, languages=8, seed=0, m=2)
    scheme.languages(epoch)      # int64 [N, m]: each clip's languages in this epoch, English = 0
    scheme.distribution(epoch)   # float64 [N, K]: the pair distribution p' this draw realises
    scheme.mean_distribution()   # float64 [N, K]: its expectation
    scheme.covariance(e, f)      # float64 [K, K]: of a clip's rows of N p' in epochs e and f
    scheme.loss(clips, texts, temperature)  # nats: the objective for the drawn texts [N, m, d]

A new scheme is one class in this folder, listed in SCHEMES: training, theory and figures ask only
what it says of itself. Draws depend on (seed, epoch) alone, not on the order of calls.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, PositiveInt

from atri_lib.outside import is_outside, outside_class
from atri_lib.schemes.base import (
    Pool,
    Pools,
    Scheme,
    clip_order,
    data_distribution_error,
    ideal_distribution,
)
from atri_lib.schemes.cacl import Cacl, CaclUnbiased

__all__ = [
    "SCHEMES",
    "SETTINGS",
    "Pool",
    "Scheme",
    "clip_order",
    "data_distribution_error",
    "ideal_distribution",
]


class MofK(Scheme):
    """m languages without replacement, drawn anew in every epoch.

    They are m neighbours in a random order of the languages, which a subclass may keep for several
    epochs. The draws are nested: with one seed, what m = 2 sees includes what m = 1 sees. Error 2
    (K - m) / K, mean p.
    """

    name = "m_of_k"
    label = "m-of-K"
    colour = "#E69F00"
    marker = "s"
    chooses_m = True
    m: PositiveInt

    @staticmethod
    def pools(k: Any, m: Any) -> Pools:
        return (Pool(k, m, 1 / m),)

    def _rotation(self) -> tuple[int, int]:
        """For how many epochs a clip keeps an order, and by how many places each goes on in it."""
        return 1, 0

    def languages(self, epoch: int) -> np.ndarray:
        kept, step = self._rotation()
        places = (epoch * step + np.arange(self.m)) % self.k
        return np.sort(self._orders(epoch // kept)[:, places], axis=1)

    def _correlation(self, e: np.ndarray, f: np.ndarray) -> np.ndarray:
        k, m = self.k, self.m
        kept, step = self._rotation()
        lag = (f - e) * step % k
        # Places of the order that both epochs use.
        shared = np.maximum(m - lag, 0) + np.maximum(m + lag - k, 0)
        same_order = e // kept == f // kept
        return same_order * (shared * k - m**2) / max(m * (k - m), 1)


class MlClap(MofK):
    """One language, drawn anew in every epoch: the first of the m-of-K draws. Error 2 (K - 1) / K,
    mean p.
    """

    name = "ml_clap"
    label = "ML-CLAP"
    colour = "#D55E00"
    marker = "o"
    chooses_m = False
    m: PositiveInt = 1

    @staticmethod
    def pools(k: Any, m: Any) -> Pools:
        return (Pool(k, 1, 1),)


class Kcl(MofK):
    """All languages in every epoch, in their order: the ideal distribution. Error 0."""

    name = "kcl"
    label = "KCL"
    colour = "#009E73"
    marker = "v"
    chooses_m = False
    m: PositiveInt = Field(default_factory=lambda given: given["k"])

    @staticmethod
    def pools(k: Any, m: Any) -> Pools:
        return (Pool(k, k, 1 / k),)


class Hold(MlClap):
    """ML-CLAP that keeps a clip's language for `hold` epochs; 1 is ML-CLAP, as many as there are
    epochs never changes.

    Error and mean of an epoch as ML-CLAP; but the draws of a block are equal, so their errors add
    up.
    """

    name = "hold"
    label = "Hold"
    colour = "#882255"
    marker = "P"
    hold: PositiveInt = 1

    def _rotation(self) -> tuple[int, int]:
        return self.hold, 0


class Block(MlClap):
    """ML-CLAP in which `block` clips that follow each other in the epoch's order share one
    language.

    With as many as a batch has, a batch speaks one language: the schedule of ML-CLAP without
    negatives of other languages. Error, mean and covariance of a clip as ML-CLAP; the clips of a
    block are not independent.
    """

    name = "block"
    label = "Block"
    colour = "#999933"
    marker = "X"
    block: PositiveInt = 100

    @property
    def independent_clips(self) -> bool:
        return self.block == 1

    def languages(self, epoch: int) -> np.ndarray:
        blocks = math.ceil(self.clips / self.block)
        drawn = self._generator(epoch).integers(self.k, size=blocks)
        place = clip_order(self.clips, self.seed, epoch).argsort()
        return drawn[place // self.block, None]


class Latin(MlClap):
    """Language (offset_i + epoch) mod K with random offsets: every clip meets every language once
    in any K epochs.

    Error 2 (K - 1) / K in an epoch, 0 summed over any K consecutive epochs.
    """

    name = "latin"
    label = "Latin"
    colour = "#CC79A7"
    marker = "D"

    def languages(self, epoch: int) -> np.ndarray:
        offsets = self._generator(0).integers(self.k, size=(self.clips, 1))
        return (offsets + epoch) % self.k

    def covariance(self, e: ArrayLike, f: ArrayLike) -> np.ndarray:
        """As `Scheme.covariance`: language k in epoch e means k + f - e in epoch f."""
        k = np.arange(self.k)
        lag = np.subtract(f, e)[..., None, None]
        follows = (k[:, None] + lag - k) % self.k == 0
        return (follows - 1 / self.k) / self.k


class Balanced(MofK):
    """All K languages in a random order, m an epoch, then anew in a fresh order (random
    reshuffling).

    Where m does not divide K, a cycle goes round the same order until it ends with an epoch: in K /
    gcd(K, m) epochs every language is seen m / gcd(K, m) times, and never twice in an epoch. Error
    2 (K - m) / K in an epoch, 0 summed over a cycle.
    """

    name = "balanced"
    label = "Balanced"
    colour = "#56B4E9"
    marker = "p"

    @property
    def cycle(self) -> int:
        """Epochs until every language has been seen equally often."""
        return self.k // math.gcd(self.k, self.m)

    def _rotation(self) -> tuple[int, int]:
        return self.cycle, self.m


class English(Scheme):
    """English only, the baseline that trusts the text encoder alone. Error 2 (K - 1) / K in every
    epoch: pure bias.
    """

    name = "english"
    label = "English only"
    colour = "#555555"
    marker = "x"

    @staticmethod
    def pools(k: Any, m: Any) -> Pools:
        return Pool(1, 1, 1), Pool(k - 1, 0, 0)

    def languages(self, epoch: int) -> np.ndarray:
        return np.zeros((self.clips, 1), dtype=np.int64)


class _Schemes(dict):
    """The schemes by name; `module:Class` finds a scheme from outside the library."""

    def __missing__(self, name: str) -> type[Scheme]:
        if is_outside(name):
            return outside_class(name, Scheme, "scheme", "atri_lib.schemes.Scheme")
        choices = f"{', '.join(self)}, or your own as module:Class"
        raise ValueError(f"unknown scheme {name!r}: use one of {choices}")


_KINDS = (MlClap, MofK, Latin, Balanced, Hold, Block, Cacl, CaclUnbiased, Kcl, English)
SCHEMES = _Schemes((kind.name, kind) for kind in _KINDS)
SETTINGS = ("m", "hold", "block", "text_text", "anchor")  # what they can be given
