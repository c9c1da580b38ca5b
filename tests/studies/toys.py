"""Experiments small enough for exact oracles."""

from functools import cached_property

import torch
from torch import nn

from atri_lib.theory.experiment import Arm, Experiment
from atri_lib.theory.model_functions import Task
from tests.theory.toy_heads import features, heads

FREE = Arm("ML-CLAP", "ml_clap")
HOLD = Arm("hold", "hold", hold=2)
BALANCED = Arm("balanced", "balanced", m=1)


def toy(clips=6, languages=3, **options):
    """Two small heads; one batch an epoch unless the options of `Experiment` say otherwise."""
    clip_features, texts = features(clips, languages)
    chosen = {"temperature": 0.3, "batch": clips} | options
    return Experiment(heads(), clip_features, texts, **chosen)


def first_step(setup):
    return next(setup.steps(""))


class Quadratic(Task):
    """l_ik = (w - c_ik)' A_i (w - c_ik) / 2: linear gradients, so first order is exact. A_i:
    clip_features, c_ik: texts.
    """

    def losses(self, weights, batch):
        curvature, centres = batch
        apart = weights - centres  # [B, K, D]
        return torch.einsum("bkd,bde,bke->bk", apart, curvature, apart) / 2


class Weights(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size))


class QuadraticExperiment(Experiment):
    @cached_property
    def task(self):
        return Quadratic(self.model, self.temperature, self.dtype)


def quadratic(clips=4, batch=2, epochs=4, curvature=None):
    """Three languages, two weights; the same curvature for all clips where it is given."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(clips, 2, 2, generator=generator, dtype=torch.float64)
    of_clips = root @ root.transpose(1, 2) / 2 + 0.2 * torch.eye(2)
    if curvature is not None:
        of_clips[:] = curvature * torch.eye(2, dtype=torch.float64)
    centres = torch.randn(clips, 3, 2, generator=generator, dtype=torch.float64)
    return QuadraticExperiment(Weights(2), of_clips, centres, batch=batch, epochs=epochs)
