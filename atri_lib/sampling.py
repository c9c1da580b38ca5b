"""Training schemes as distributions over (clip, language) pairs.

    scheme = SCHEMES["m_of_k"](clips=2000, languages=8, seed=0, m=2)
    scheme.languages(epoch)      # int64 [N, m]: the languages each clip is trained with in this epoch, English = 0
    scheme.distribution(epoch)   # float64 [N, K]: the pair distribution p' this draw realises, exactly
    scheme.mean_distribution()   # float64 [N, K]: its expectation

Draws depend on (seed, epoch) alone, not on the order of calls. The closed forms are derived in `theory.symbolic`.
"""

import abc
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Keeps language draws independent of other generators that training seeds with the same (seed, epoch).
_STREAM = int.from_bytes(b"lang", "big")


class UnknownScheme(ValueError):
    """A scheme name that is not in SCHEMES."""


@dataclass(frozen=True)
class Scheme(abc.ABC):
    """A scheme over `clips` N and `k` languages, of which each clip sees `m` per epoch, drawn from `seed`."""

    clips: int
    k: int
    m: int
    seed: int = 0

    @abc.abstractmethod
    def languages(self, epoch: int) -> np.ndarray:
        """Which languages each clip sees in an epoch: int64 [N, m], indices into the K languages, English = 0."""

    def distribution(self, epoch: int) -> np.ndarray:
        """The realised pair distribution p' of an epoch: float64 [N, K], sums to 1."""
        realised = np.zeros((self.clips, self.k))
        np.put_along_axis(realised, self.languages(epoch), 1 / (self.clips * self.m), axis=1)
        return realised

    def mean_distribution(self) -> np.ndarray:
        """The expectation of p' over the scheme's randomness: float64 [N, K], sums to 1."""
        return ideal_distribution(self.clips, self.k)

    def _generator(self, epoch: int) -> np.random.Generator:
        if epoch < 0:
            raise ValueError(f"epochs count from 0, got {epoch}")
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(_STREAM, epoch)))


class MofK(Scheme):
    """m languages without replacement. m = 1 is ML-CLAP; m = K is KCL, because the columns ascend.

    The draws are nested: with one seed, what m = 2 sees includes what m = 1 sees. Error 2 (K - m) / K, mean p.
    """

    def languages(self, epoch: int) -> np.ndarray:
        order = np.tile(np.arange(self.k), (self.clips, 1))  # [N, K]
        return np.sort(self._generator(epoch).permuted(order, axis=1)[:, : self.m], axis=1)


class Latin(Scheme):
    """Language (offset_i + epoch) mod K with random offsets: every clip meets every language once in any K epochs.

    Error 2 (K - 1) / K in an epoch, 0 summed over any K consecutive epochs.
    """

    def languages(self, epoch: int) -> np.ndarray:
        if epoch < 0:
            raise ValueError(f"epochs count from 0, got {epoch}")
        offsets = self._generator(0).integers(self.k, size=(self.clips, 1))
        return (offsets + epoch) % self.k


class Cacl(Scheme):
    """English (column 0) and one random other language (column 1): the audio-text part of CACL.

    Error 2 (K - 2) / K. Biased: English has mass 1/2 in expectation, each other language 1 / (2 (K - 1)).
    """

    def languages(self, epoch: int) -> np.ndarray:
        others = self._generator(epoch).integers(1, self.k, size=self.clips)
        return np.stack([np.zeros_like(others), others], axis=1)

    def mean_distribution(self) -> np.ndarray:
        mean = np.full((self.clips, self.k), 1 / (2 * self.clips * (self.k - 1)))
        mean[:, 0] = 1 / (2 * self.clips)
        return mean


class English(Scheme):
    """English only, the baseline that trusts the text encoder alone. Error 2 (K - 1) / K in every epoch: pure bias."""

    def languages(self, epoch: int) -> np.ndarray:
        return np.zeros((self.clips, 1), dtype=np.int64)

    def mean_distribution(self) -> np.ndarray:
        return self.distribution(0)


def ideal_distribution(clips: int, languages: int) -> np.ndarray:
    """The ideal pair distribution p_ik = 1 / (N K): float64 [N, K]."""
    return np.full((clips, languages), 1 / (clips * languages))


def data_distribution_error(p: np.ndarray, q: np.ndarray) -> float:
    """Data distribution error D = sum_ik |p_ik - q_ik| of two [N, K] distributions (L1, between 0 and 2).

    Raises ValueError if the shapes differ. Source: Yin et al. 2025, arXiv 2502.14627; the bound chapter.
    """
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.shape != q.shape:
        raise ValueError(f"two distributions over the same pairs have one shape, got {p.shape} and {q.shape}")
    return float(np.abs(p - q).sum())


class _Schemes(dict):
    def __missing__(self, name):
        raise UnknownScheme(f"unknown scheme {name!r}: use one of {', '.join(self)}")


def _build(
    name: str, kind: type[Scheme], own_m: Callable, clips: int, languages: int, seed: int = 0, m: int | None = None
) -> Scheme:
    """Check what was asked for and build the scheme. m is needed by m_of_k; the others know theirs."""
    given = {"clips": (clips, 1), "languages": (languages, 1), "seed": (seed, 0), "m": (1 if m is None else m, 1)}
    for label, (value, least) in given.items():
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{label} must be an integer of at least {least}, got {value!r}")
    if kind is Cacl and languages < 2:
        raise ValueError("cacl needs English and at least one other language, got languages=1: use ml_clap or kcl")
    expected = own_m(languages) if own_m else m
    if expected is None:
        raise ValueError(f"{name} needs m, the number of languages a clip sees in an epoch: m=1 ... m={languages}")
    if m not in (None, expected):
        raise ValueError(f"{name} over {languages} languages has m={expected}, got m={m}: m_of_k lets you choose")
    if expected > languages:
        raise ValueError(f"cannot draw m={m} different languages out of {languages}: use m <= {languages}")
    return kind(int(clips), int(languages), int(expected), int(seed))


SCHEMES = _Schemes(
    (name, functools.partial(_build, name, kind, own_m))
    for name, kind, own_m in (
        ("ml_clap", MofK, lambda languages: 1),
        ("m_of_k", MofK, None),
        ("latin", Latin, lambda languages: 1),
        ("cacl", Cacl, lambda languages: 2),
        ("kcl", MofK, lambda languages: languages),
        ("english", English, lambda languages: 1),
    )
)
