"""Draws in groups whose noise cancels: how a small systematic displacement is measured with few
runs.

K runs form a group. In every epoch each clip has one random order of the languages, and run r of
the group is shown m languages of that order from place r on. Each run alone is a draw of m of K
like any other; together the runs show every pair equally often, so that to first order their noise
adds up to zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atri_lib.theory.experiment import Arm, Draws, Experiment, Step
from atri_lib.theory.optimizers import Optimizer


class RotatedDraws(Draws):
    """`groups` groups of K draws of m of K, in place of `Draws` of an arm; group after group.

    mixed: practical ML-CLAP, whose negatives are the captions that the batch drew; only with m = 1,
    or ValueError.
    """

    def __init__(
        self, experiment: Experiment, m: int = 1, groups: int = 2, *, seed: int, mixed: bool = False
    ):
        if mixed and m != 1:
            raise ValueError(f"mixed negatives are defined for one language per clip, got m={m}")
        self.experiment = experiment
        self.arm = Arm("rotated", "m_of_k", mixed=mixed, m=m)
        self.m = m
        self.groups = groups
        self.seed = seed

    def __len__(self) -> int:
        return self.groups * self.experiment.languages

    def distribution(self, step: Step) -> Tensor:
        """p' of every draw on the batch, [S, B, K]."""
        clips, languages = len(self.experiment.clip_features), self.experiment.languages
        generator = np.random.default_rng([self.seed, step.epoch])
        listed = np.tile(np.arange(languages), (self.groups, clips, 1))
        order = generator.permuted(listed, axis=-1)
        distribution = np.zeros((self.groups, languages, clips, languages))
        for run in range(languages):
            shown = (run + np.arange(self.m)) % languages
            np.put_along_axis(distribution[:, run], order[..., shown], 1 / (clips * self.m), -1)
        realised = distribution.reshape(len(self), clips, languages)
        return self.experiment.on_batch(realised, step.clips)


def displacements(
    experiment: Experiment, optimizer: Optimizer, draws: RotatedDraws, steps: Sequence[int]
) -> dict[int, Tensor]:
    """w'_t - w_t of every draw at some steps, [S, D] each."""
    runs = experiment.begin(optimizer, len(draws))
    found = {}
    for step, _, _, after in experiment.ideal_run(optimizer, "rotated draws"):
        used = draws.gradients(runs.weights, draws.distribution(step), step)
        runs = runs.after(used)
        if step.index in steps:
            found[step.index] = runs.weights - after.weights
    return found


@dataclass(frozen=True)
class Split:
    """A displacement's mean over draws, and the lengths of both parts.

    mean: [D]; systematic: length of the true mean, corrected for the scatter of the groups; own:
    root of the mean squared length of a draw's own part; scatter: standard error of the mean, as a
    length.
    """

    mean: Tensor
    systematic: float
    own: float
    scatter: float


def split(displacement: Tensor, groups: int) -> Split:
    """Split the displacements [S, D] of `groups` equal groups of draws; needs two groups.

    Only the groups are independent of each other, so the error of the mean comes from them. With
    its square e^2, |mean|^2 is too large by e^2 and the mean squared distance from the mean too
    small by e^2.
    """
    by_group = displacement.unflatten(0, (groups, -1)).mean(1)
    mean = by_group.mean(0)
    error = float(by_group.var(0, correction=1).sum() / groups)
    systematic = max(float(mean.square().sum()) - error, 0.0)
    around = float((displacement - mean).square().sum(1).mean())
    return Split(mean, systematic**0.5, (around + error) ** 0.5, error**0.5)


def cosine(one: Tensor, other: Tensor) -> float:
    """The cosine of two vectors [D]."""
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))
