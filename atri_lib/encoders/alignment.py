"""Frozen text features of translations brought together before training, in closed form.

A text encoder reads the translations of one caption differently, and it does so in every run alike.
An alignment is an affine map per language that is fitted on the training captions, without a sound
and without a gradient, and then stays as it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Shares of the mean eigenvalue that are added to covariances before they are inverted. Both were
# chosen by recall on the validation scenes of data_seed 0 (ML-CLAP, USE, two seeds).
RIDGE = 0.01  # of 0.001, 0.01, 0.1 and 1
SHRINKAGE = 0.1  # of 0.01, 0.1 and 0.5
# Added to covariances that may be zero (captions that an encoder cannot tell apart or does not read
# at all), as a share of the features' mean square, or of 1 where that is less.
ROUNDING = 1e-12


class Alignment(nn.Module):
    """x of language k -> x @ matrix[k] + offset[k]; the identity until it is fitted or loaded."""

    def __init__(self, languages: int, width: int) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.eye(width).repeat(languages, 1, 1))  # [K, D, D]
        self.register_buffer("offset", torch.zeros(languages, width))  # [K, D]

    def forward(self, features: Tensor, language: int) -> Tensor:
        """Features of sentences in one language, [..., D] -> [..., D]."""
        return features @ self.matrix[language] + self.offset[language]

    @torch.no_grad()
    def fit(self, kind: str, texts: Tensor) -> None:
        """texts: features of the same captions in every language, [K, M, D]. kind: a key of KINDS.

        Raises ValueError for fewer than two captions.
        """
        if texts.shape[1] < 2:
            raise ValueError("an alignment is fitted on two captions or more")
        matrix, offset = KINDS[kind](texts.double())
        self.matrix.copy_(matrix)
        self.offset.copy_(offset)


def _ridge(texts: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The ridge regression of a target [M, D] on the features of each language."""
    mean = texts.mean(dim=1, keepdim=True)
    target_mean = target.mean(dim=0)
    centred = texts - mean
    covariance = centred.mT @ centred
    ridge = _spread(RIDGE, covariance, texts.square().sum(dim=1).mean(dim=-1))
    factor = torch.linalg.cholesky(covariance + ridge)
    matrix = torch.cholesky_solve(centred.mT @ (target - target_mean), factor)
    return matrix, target_mean - (mean @ matrix).squeeze(1)


def _whitening(texts: Tensor) -> tuple[Tensor, Tensor]:
    """One map for all languages: directions in which the translations of a caption differ shrink,
    to a covariance within captions that is the same in all directions.
    """
    languages, captions, width = texts.shape
    within = (texts - texts.mean(dim=0)).reshape(-1, width)
    covariance = within.mT @ within / (captions * (languages - 1))
    spread = _spread(SHRINKAGE, covariance, texts.square().mean())
    values, vectors = torch.linalg.eigh((1 - SHRINKAGE) * covariance + spread)
    return vectors @ (vectors / values.sqrt()).mT, torch.zeros(width)


def _centred(texts: Tensor) -> tuple[Tensor, Tensor]:
    """Only the languages' means are made equal."""
    means = texts.mean(dim=1)
    return torch.eye(texts.shape[-1]), means.mean(dim=0) - means


def _spread(share: float, covariance: Tensor, square: Tensor) -> Tensor:
    """What is added to covariances [..., D, D]: a share of the mean eigenvalue, times the identity.
    square: of the features [...], for what is added to covariances that are zero.
    """
    mean_eigenvalue = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
    scale = share * mean_eigenvalue + ROUNDING * square.clamp_min(1)
    return scale[..., None, None] * torch.eye(covariance.shape[-1], dtype=covariance.dtype)


# name -> from texts [K, M, D] to matrix [K, D, D] or [D, D] and offset [K, D] or [D]
KINDS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "ridge": lambda texts: _ridge(texts, texts.mean(dim=0)),
    "english": lambda texts: _ridge(texts, texts[0]),
    "whitening": _whitening,
    "centred": _centred,
}
