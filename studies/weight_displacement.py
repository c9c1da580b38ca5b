"""What a displacement of KCL's weights does to scores and ranks, by its parts: systematic or own,
common or between.

Displacements are weights minus the ideal run's, [D], of runs that share start, order of clips and
dropout masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atri_lib import evaluation
from atri_lib.training.scoring import encode
from studies.rank_margins import margins, ranks_of
from studies.results import recall_of
from studies.training_replay import ProjectionTraining


@dataclass(frozen=True)
class Reading:
    """What weights do on one split. margins: [M, K, N] (`rank_margins.margins`); gap: of the text
    space, `language_gap`.
    """

    margins: np.ndarray
    gap: float

    def summary(self) -> dict[str, float]:
        """gap, and of the margins' ranks what `of_margins` says."""
        return {"gap": self.gap} | of_margins(self.margins)


def of_margins(margins: np.ndarray) -> dict[str, float]:
    """Of margins [M, K, N]: recall at 1 in percent, MRV, mean squared rank, and how far ranks
    differ as factors.

    square: the mean of r^2 over queries and languages; log_spread: standard deviation of log r over
    the languages of a query, mean over queries: it asks by what factor ranks differ, wherever they
    are.
    """
    found = ranks_of(margins)
    row = {"recall": recall_of(found)}
    row["mrv"] = evaluation.mean_rank_variance(found)
    row["square"] = float(np.square(found, dtype=np.float64).mean())
    row["log_spread"] = float(np.log(found).std(axis=1).mean())
    return row


@dataclass(frozen=True)
class _Encoded:
    """clips [N, d], texts [M, K, d] and owner [M] of a split's first clips."""

    clips: np.ndarray
    texts: np.ndarray
    owner: np.ndarray

    def margins(self) -> np.ndarray:
        return margins(self.clips, self.texts, self.owner)

    def own(self) -> np.ndarray:
        """Which margins are a caption's with its own clip, [M, 1, N]."""
        return np.arange(len(self.clips)) == self.owner[:, None, None]


def _encode(
    training: ProjectionTraining, weights: Tensor, split: str, clips: int | None = None
) -> _Encoded:
    source = training.data.splits[split]
    encoded, texts = encode(training.load(weights), source)
    training.model.train()
    owner = source.owner.cpu().numpy()
    if clips is None:
        clips = len(source)
    kept = owner < clips
    return _Encoded(encoded.numpy()[:clips], texts.numpy()[kept], owner[kept])


def read(
    training: ProjectionTraining, weights: Tensor, split: str = "test", clips: int | None = None
) -> Reading:
    """Encode a split with these weights [D] and compare every caption with every clip.

    clips: only the first so many, of a split that has their captions first.
    """
    encoded = _encode(training, weights, split, clips)
    return Reading(encoded.margins(), evaluation.language_gap(encoded.texts))


def read_linear(
    training: ProjectionTraining, ideal: Tensor, displacement: Tensor, step: float = 0.15
) -> Reading:
    """What `read` would find at ideal + displacement if margins and text embeddings were linear in
    the weights, on test.

    Their derivative along the displacement is a central difference over step times its length, so
    only ideal weights are read.
    """
    here = _encode(training, ideal, "test")
    ahead = _encode(training, ideal + step * displacement, "test")
    behind = _encode(training, ideal - step * displacement, "test")
    own = here.own()
    finite = [np.where(own, 0, encoded.margins()) for encoded in (here, ahead, behind)]
    change = finite[1] - finite[2]
    moved = finite[0] + change / (2 * step)
    texts = here.texts + (ahead.texts - behind.texts) / (2 * step)
    return Reading(np.where(own, np.inf, moved), evaluation.language_gap(texts))


@dataclass(frozen=True)
class Parts:
    """Draws of one scheme, taken apart. Means over pairs of different draws, so that few draws do
    not bias them.

    length: RMS of the displacements; cosine: of two draws; systematic, own: RMS lengths of the mean
    over infinitely many draws and of the rest, estimated; 0 where the estimate of a square is
    negative.
    """

    length: float
    cosine: float
    systematic: float
    own: float


def take_apart(displacements: Sequence[Tensor]) -> Parts:
    """Length, cosine, systematic and own part of at least two draws' displacements [D]."""
    count = len(displacements)
    if count < 2:
        raise ValueError(f"what draws have in common needs at least 2 draws, got {count}")
    stack = torch.stack([displacement.double() for displacement in displacements])
    products = (stack @ stack.T).numpy()
    squares = np.diag(products)
    lengths = np.sqrt(squares)
    cosines = products / np.outer(lengths, lengths)
    pairs = np.triu_indices(count, 1)
    square = squares.mean()
    shared = products[pairs].mean()
    return Parts(
        length=float(square**0.5),
        cosine=float(cosines[pairs].mean()),
        systematic=float(max(shared, 0) ** 0.5),
        own=float(max(square - shared, 0) ** 0.5),
    )


def random_like(displacement: Tensor, seed: int, sizes: Sequence[int] | None = None) -> Tensor:
    """A random direction of the same length; with sizes of pieces (they add up to D), of the same
    length in each.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(displacement.shape, generator=generator)
    if sizes is None:
        sizes = [len(displacement)]
    pieces = zip(noise.split(sizes), displacement.split(sizes), strict=True)
    return torch.cat([piece * (wanted.norm() / piece.norm()) for piece, wanted in pieces])


def common_and_between(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The change of margins [M, K, N] in two parts: the mean over languages [M, 1, N], and what is
    each language's own.

    The own clip's entry, infinite on both sides, changes by 0.
    """
    finite = np.isfinite(before)
    change = np.where(finite, after, 0) - np.where(finite, before, 0)
    common = change.mean(axis=1, keepdims=True)
    return common, change - common


def root_mean_square(change: np.ndarray) -> float:
    """RMS of a change of margins."""
    return float(np.sqrt(np.square(change, dtype=np.float64).mean()))
