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
from studies.training_replay import Trainee


@dataclass(frozen=True)
class Reading:
    """What weights do on one split. margins: [M, K, N] (`ranks.margins`); gap: of the text space,
    `language_gap`.
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
    return {
        "recall": 100 * float((found == 1).mean()),
        "mrv": evaluation.mean_rank_variance(found),
        "square": float(np.square(found, dtype=np.float64).mean()),
        "log_spread": float(np.log(found).std(axis=1).mean()),
    }


def read(
    trainee: Trainee, weights: Tensor, split: str = "test", clips: int | None = None
) -> Reading:
    """Encode a split with these weights [D] and compare every caption with every clip.

    clips: only the first so many, of a split that has their captions first.
    """
    audio, texts, owner = _encoded(trainee, weights, split, clips)
    return Reading(margins(audio, texts, owner), evaluation.language_gap(texts))


def read_linear(trainee: Trainee, ideal: Tensor, way: Tensor, step: float = 0.15) -> Reading:
    """What `read` would find at ideal + way if margins and text embeddings were linear in the
    weights, on test.

    Their derivative along `way` is a central difference over step times its length, so only ideal
    weights are read.
    """
    audio, texts, owner = _encoded(trainee, ideal, "test")
    ahead, behind = (_encoded(trainee, ideal + side * way, "test") for side in (step, -step))
    here, own = margins(audio, texts, owner), np.arange(len(audio)) == owner[:, None, None]
    slope = np.where(own, 0, margins(*ahead)) - np.where(own, 0, margins(*behind))
    moved = np.where(own, np.inf, np.where(own, 0, here) + slope / (2 * step))
    return Reading(moved, evaluation.language_gap(texts + (ahead[1] - behind[1]) / (2 * step)))


def _encoded(
    trainee: Trainee, weights: Tensor, split: str, clips: int | None = None
) -> tuple[np.ndarray, ...]:
    """Audio [N, d], texts [M, K, d] and owner [M] of a split's first clips."""
    source = trainee.data.splits[split]
    audio, texts = encode(trainee.load(weights), source)
    trainee.model.train()
    owner = source.owner.cpu().numpy()
    kept = owner < (clips or len(source))
    return audio.numpy()[:clips], texts.numpy()[kept], owner[kept]


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
    if len(displacements) < 2:
        raise ValueError(
            f"what draws have in common needs at least 2 draws, got {len(displacements)}"
        )
    stack = torch.stack([d.double() for d in displacements])
    gram = (stack @ stack.T).numpy()
    norms, pairs = np.sqrt(np.diag(gram)), np.triu_indices(len(gram), 1)
    square, shared = np.diag(gram).mean(), gram[pairs].mean()
    cosine = (gram / np.outer(norms, norms))[pairs].mean()
    return Parts(
        *(
            float(v)
            for v in (square**0.5, cosine, max(shared, 0) ** 0.5, max(square - shared, 0) ** 0.5)
        )
    )


def random_like(displacement: Tensor, seed: int, pieces: Sequence[int] | None = None) -> Tensor:
    """A random direction of the same length; with pieces (sizes that add up to D), of the same
    length in each.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(displacement.shape, generator=generator)
    sizes = [len(displacement)] if pieces is None else list(pieces)
    parts = zip(noise.split(sizes), displacement.split(sizes), strict=True)
    return torch.cat([part * (wanted.norm() / part.norm()) for part, wanted in parts])


def common_and_between(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The change of margins [M, K, N] in two parts: the mean over languages [M, 1, N], and what is
    each language's own.

    The own clip's entry, infinite on both sides, changes by 0.
    """
    change = np.where(np.isfinite(before), after, 0) - np.where(np.isfinite(before), before, 0)
    common = change.mean(axis=1, keepdims=True)
    return common, change - common


def root_mean_square(change: np.ndarray) -> float:
    """RMS of a change of margins."""
    return float(np.sqrt(np.square(change, dtype=np.float64).mean()))
