"""Frozen text features of translations brought together before training, in closed form.

A text encoder reads the translations of one caption differently, and it does so in every run alike.
An alignment is an affine map per language that is fitted on the training captions, without a sound
and without a gradient, and then stays as it is.
"""

import torch
from torch import Tensor, nn

# Shares of the mean eigenvalue that are added to covariances before they are inverted. Both were
# chosen by recall on the validation scenes of data_seed 0 (ML-CLAP, USE, two seeds).
RIDGE = 0.01  # of 0.001, 0.01, 0.1 and 1
SHRINKAGE = 0.1  # of 0.01, 0.1 and 0.5
# Added to covariances that may be zero (captions that an encoder cannot tell apart or does not read
# at all), as a share of the features' mean square, or of 1 where that is less.
ROUNDING = 1e-12

Affine = tuple[Tensor, Tensor]  # matrix [K, D, D] or [D, D], and offset [K, D] or [D]


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
        """texts: features of the same captions in every language, [K, M, D]. kind: a key of
        KINDS.
        """
        matrix, offset = KINDS[kind](texts.double())
        self.matrix.copy_(matrix)
        self.offset.copy_(offset)


def _ridge(texts: Tensor, target: Tensor) -> Affine:
    """The ridge regression of a target [M, D] on the features of each language."""
    mean = texts.mean(1, keepdim=True)
    centred = texts - mean
    covariance = centred.mT @ centred
    square = texts.square().sum(1).mean(-1)
    ridge = _spread(RIDGE, covariance, square)
    factor = torch.linalg.cholesky(covariance + ridge)
    target_mean = target.mean(0)
    shared = centred.mT @ (target - target_mean)
    matrix = torch.cholesky_solve(shared, factor)
    offset = target_mean - (mean @ matrix).squeeze(1)
    return matrix, offset


def _whitening(texts: Tensor) -> Affine:
    """One map for all languages: directions in which the translations of a caption differ shrink,
    to a covariance within captions that is the same in all directions.
    """
    languages, captions, width = texts.shape
    within = (texts - texts.mean(0)).reshape(-1, width)
    freedom = captions * (languages - 1)
    covariance = within.mT @ within / freedom
    spread = _spread(SHRINKAGE, covariance, texts.square().mean())
    shrunk = (1 - SHRINKAGE) * covariance + spread
    values, vectors = torch.linalg.eigh(shrunk)
    scaled = vectors / values.sqrt()
    return vectors @ scaled.mT, torch.zeros(width)


def _centred(texts: Tensor) -> Affine:
    """Only the languages' means are made equal."""
    means = texts.mean(1)
    return torch.eye(texts.shape[-1]), means.mean(0) - means


def _spread(share: float, covariance: Tensor, square: Tensor) -> Tensor:
    """What is added to covariances [..., D, D]: a share of the mean eigenvalue, times the identity.
    square: of the features [...], for what is added to covariances that are zero.
    """
    mean_eigenvalue = covariance.diagonal(0, -2, -1).mean(-1)
    scale = share * mean_eigenvalue + ROUNDING * square.clamp_min(1)
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    return scale[..., None, None] * identity


# name -> from texts [K, M, D] to an affine map
KINDS = {
    "ridge": lambda texts: _ridge(texts, texts.mean(0)),
    "english": lambda texts: _ridge(texts, texts[0]),
    "whitening": _whitening,
    "centred": _centred,
}
