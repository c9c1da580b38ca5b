"""What a twin experiment is run on: the data and schedule all runs share, and the arms that are
compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from atri_lib.progress import progress
from atri_lib.schemes import SCHEMES, Scheme, clip_order, ideal_distribution
from atri_lib.theory.model_functions import Batch, Loss, Task
from atri_lib.theory.optimizers import Optimizer, Runs


class Arm:
    """One way of training that is compared with the ideal run: Arm("4 of K", "m_of_k", m=4).

    scheme: a key of `schemes.SCHEMES`; settings: its own. mixed: practical ML-CLAP, where the
    negatives of a clip are the captions the batch drew, in their languages; only with one language
    per clip.
    """

    def __init__(self, name: str, scheme: str, *, mixed: bool = False, **settings: Any) -> None:
        self.name = name
        self.scheme = scheme
        self.mixed = mixed
        self.settings = settings

    def draw(self, clips: int, languages: int, seed: int) -> Scheme:
        """The scheme with this seed. Raises ValueError for mixed negatives with more than one
        language per clip.
        """
        scheme = SCHEMES[self.scheme](clips=clips, languages=languages, seed=seed, **self.settings)
        if self.mixed and scheme.m != 1:
            raise ValueError(f"{self.name}: mixed negatives need one language per clip")
        return scheme


@dataclass(frozen=True)
class Step:
    """One mini-batch.

    index: from 1; clips: int64 [B]; data: their features; even: ideal p on the batch, [B, K].
    """

    index: int
    epoch: int
    clips: np.ndarray
    data: Batch
    even: Tensor


@dataclass(frozen=True, eq=False)
class Experiment:
    """A model, its features and the order of mini-batches: everything two twin runs have in common.

    model: as `Task` wants it; its present parameters are the start. Every bound holds for any
    activation, but only a twice differentiable one (GELU, tanh; not ReLU) has the Lipschitz
    gradients the published bound is about. clip_features: [N, ...]; texts: [N, K, ...], English
    first; floating point. batch: clips per step; the last step of an epoch takes what is left,
    unless that is one clip. seed: decides the order of clips, anew in every epoch; regroup: anew
    only after that many epochs, so that batches keep their clips in between.
    Raises ValueError for numbers that leave nothing to run.
    """

    model: nn.Module
    clip_features: Tensor
    texts: Tensor
    temperature: float = 0.07
    batch: int = 32
    epochs: int = 4
    seed: int = 0
    regroup: int = 1
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        if min(self.batch - 1, self.epochs, self.regroup) < 1:
            raise ValueError("give a batch of at least 2, epochs and regroup of at least 1")

    @cached_property
    def task(self) -> Task:
        """The losses as functions of flat weights, in `dtype`."""
        return Task(self.model, self.temperature, self.dtype)

    @property
    def languages(self) -> int:
        return self.texts.shape[1]

    def on_batch(self, distribution: np.ndarray, clips: np.ndarray) -> Tensor:
        """A distribution over all pairs, [..., N, K], conditioned on the batch's clips: [..., B, K]
        in `dtype`.
        """
        conditioned = distribution[..., clips, :] * (len(self.texts) / len(clips))
        return torch.as_tensor(conditioned, dtype=self.dtype)

    def steps(self, label: str) -> Iterator[Step]:
        """Every mini-batch of every epoch in order, with a progress bar.

        Raises AssertionError if there are not as many clips as texts.
        """
        pairs = TensorDataset(self.clip_features.to(self.dtype), self.texts.to(self.dtype))
        ideal = ideal_distribution(len(pairs), self.languages)
        batches = []
        for epoch in range(self.epochs):
            order = clip_order(len(pairs), self.seed, epoch // self.regroup)
            for first in range(0, len(pairs) - 1, self.batch):
                batches.append((epoch, order[first : first + self.batch]))
        for index, (epoch, clips) in enumerate(progress(batches, label, unit="step"), start=1):
            yield Step(index, epoch, clips, pairs[clips], self.on_batch(ideal, clips))

    def begin(self, optimizer: Optimizer, runs: int = 1) -> Runs:
        """Equal runs at the start."""
        stack = self.task.start.repeat(runs, 1)
        return Runs(optimizer, stack, optimizer.start(stack))

    def ideal_run(
        self, optimizer: Optimizer, label: str
    ) -> Iterator[tuple[Step, Runs, Tensor, Runs]]:
        """Every step with the ideal run before it, that run's gradient [1, D], and the run after
        it.
        """
        ideal = self.begin(optimizer)
        for step in self.steps(label):
            gradient = self.task.gradients(ideal.weights, step.even, step.data)
            after = ideal.after(gradient)
            yield step, ideal, gradient, after
            ideal = after


class Draws:
    """Independent draws of one arm, of which nothing random leaves one, and the gradients they
    prescribe.
    """

    def __init__(self, experiment: Experiment, arm: Arm, seeds: Sequence[int]) -> None:
        self.experiment = experiment
        self.arm = arm
        schemes = [arm.draw(len(experiment.texts), experiment.languages, seed) for seed in seeds]
        self.schemes = schemes if schemes[0].covariance(0, 0).any() else schemes[:1]

    def __len__(self) -> int:
        return len(self.schemes)

    def distribution(self, step: Step) -> Tensor:
        """p' of every draw on the batch, [S, B, K]."""
        realised = np.stack([scheme.distribution(step.epoch) for scheme in self.schemes])
        return self.experiment.on_batch(realised, step.clips)

    @property
    def loss(self) -> Loss:
        """What the arm trains."""
        task = self.experiment.task
        return task.mixed_loss if self.arm.mixed else task.weighted_loss

    def gradients(self, weights: Tensor, distribution: Tensor, step: Step) -> Tensor:
        """Every draw's gradient, [S, D], at its own weights [S, D] or at the same [D]."""
        return self.experiment.task.gradients(weights, distribution, step.data, self.loss)
