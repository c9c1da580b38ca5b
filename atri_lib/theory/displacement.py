"""What a displacement of KCL's weights does to scores and ranks, by its parts: systematic or own, common or between.

Displacements are weights minus the ideal run's, [D], of runs that share start, order of clips and dropout masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atri_lib import evaluation
from atri_lib.theory.ranks import margins, ranks_of
from atri_lib.theory.trained import Trainee
from atri_lib.training.scoring import encode


@dataclass(frozen=True)
class Reading:
    """What weights do on one split. margins: [M, K, N] (`ranks.margins`); recall in percent, a mean over languages."""

    margins: np.ndarray
    recall: float
    mrv: float
    gap: float

    def summary(self) -> dict[str, float]:
        """recall, mrv and gap as plain numbers."""
        return {"recall": self.recall, "mrv": self.mrv, "gap": self.gap}


def read(trainee: Trainee, weights: Tensor, split: str = "test", clips: int | None = None) -> Reading:
    """Encode a split with these weights [D]: margins of all captions, text-to-audio recall at 1, MRV, language gap.

    clips: only the first so many, of a split that has their captions first.
    """
    source = trainee.data.splits[split]
    audio, texts = encode(trainee.load(weights), source)
    trainee.model.train()
    kept = source.owner.cpu() < (clips or len(source))
    audio, texts, owner = audio[:clips], texts[kept], source.owner.cpu()[kept]
    away = margins(audio.numpy(), texts.numpy(), owner.numpy())
    return Reading(away, *_of_ranks(ranks_of(away)), evaluation.language_gap(texts))


def _of_ranks(ranks: np.ndarray) -> tuple[float, float]:
    return 100 * float((ranks == 1).mean()), evaluation.mean_rank_variance(ranks)


@dataclass(frozen=True)
class Parts:
    """Draws of one scheme, taken apart. Means over pairs of different draws, so that few draws do not bias them.

    length: RMS of the displacements; cosine: of two draws; systematic, own: RMS lengths of the mean over infinitely
    many draws and of the rest, estimated; 0 where the estimate of a square is negative.
    """

    length: float
    cosine: float
    systematic: float
    own: float


def take_apart(displacements: Sequence[Tensor]) -> Parts:
    """Length, cosine, systematic and own part of at least two draws' displacements [D]."""
    if len(displacements) < 2:
        raise ValueError(f"what draws have in common needs at least 2 draws, got {len(displacements)}")
    stack = torch.stack([d.double() for d in displacements])
    gram = (stack @ stack.T).numpy()
    norms, pairs = np.sqrt(np.diag(gram)), np.triu_indices(len(gram), 1)
    square, shared = np.diag(gram).mean(), gram[pairs].mean()
    cosine = (gram / np.outer(norms, norms))[pairs].mean()
    return Parts(*(float(v) for v in (square**0.5, cosine, max(shared, 0) ** 0.5, max(square - shared, 0) ** 0.5)))


def random_like(displacement: Tensor, seed: int, pieces: Sequence[int] | None = None) -> Tensor:
    """A random direction of the same length; with pieces (sizes that add up to D), of the same length in each."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(displacement.shape, generator=generator)
    sizes = [len(displacement)] if pieces is None else list(pieces)
    parts = zip(noise.split(sizes), displacement.split(sizes), strict=True)
    return torch.cat([part * (wanted.norm() / part.norm()) for part, wanted in parts])


def common_and_between(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The change of margins [M, K, N] in two parts: the mean over languages [M, 1, N], and what is each language's own.

    The own clip's entry, infinite on both sides, changes by 0.
    """
    change = np.where(np.isfinite(before), after, 0) - np.where(np.isfinite(before), before, 0)
    common = change.mean(axis=1, keepdims=True)
    return common, change - common


def root_mean_square(change: np.ndarray, near: np.ndarray | None = None) -> float:
    """RMS of a change of margins, over all competitors or those that `near` (a mask) selects."""
    change = change if near is None else change[np.broadcast_to(near, change.shape)]
    return float(np.sqrt(np.square(change, dtype=np.float64).mean()))
