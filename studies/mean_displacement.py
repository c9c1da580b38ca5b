"""Where the mean over draws of languages goes under SGD, at second order in the step size: theorem
and measurement.

Displacements are w' - w, [D], of runs that share start and mini-batches with the ideal run w.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib.schemes import Scheme
from atri_lib.theory.experiment import Arm, Draws, Experiment
from atri_lib.theory.model_functions import Batch, Task
from atri_lib.theory.optimizers import SGD
from studies import schedules
from studies.batch_designs import language_gradients, single_pairs
from studies.scheme_noise import noise_share
from studies.task_derivatives import gradients_seen_from, hessian_products

# Committed before anything was measured on the book's data. What was looked at first, on synthetic
# features and small heads, is in the tests. Slopes are those of the root mean square over draws at
# the end of a cycle, against the step size at equal training time, on log axes.
SLOPES = {
    "own part, balanced, batches kept": 1.5,
    "own part, balanced, batches regrouped": 0.5,
    "own part, independent": 0.5,
    "systematic part, balanced, batches kept": 1.0,
}
SLOPE_WITHIN = 0.2
CYCLES = (1, 2, 4)  # of the runs behind a slope, with step sizes FIRST_RATE / cycles
FIRST_RATE = 5e-4
QUIET_RATE = 1e-4  # of the runs behind cosines and lengths
LEAST_COSINE = 0.95  # of a measured mean displacement with the predicted one
LENGTH_WITHIN = 0.15  # relative, of its length along the predicted one
OPPOSITE = -0.9  # the most that the cosine of balanced's and hold 2's may be
INDEPENDENT = 0.15  # the most of balanced's predicted length that independent draws may have


@torch.no_grad()
def variance_slope(task: Task, weights: Tensor, batch: Batch) -> Tensor:
    """sum_i grad (1/2) Var_k(grad l_ik) over the clips of a batch at weights [D]: [D].

    It is sum_i (1/K) sum_k H_ik (g_ik - mean_k g_ik), with Hessians as products only. Holds B K
    gradients.
    """
    pairs = single_pairs(weights, batch)
    by_clip = language_gradients(task, weights, batch)
    off = (by_clip - by_clip.mean(1, keepdim=True)).flatten(0, 1)
    moved = gradients_seen_from(weights, weights + off, pairs, batch, task.weighted_loss)
    return (moved - by_clip.flatten(0, 1)).sum(0) / by_clip.shape[1]


def predicted(experiment: Experiment, scheme: Scheme, rate: float) -> Tensor:
    """E w' - w after the experiment's epochs, for batches that keep their clips and a covariance
    that is the same contrast of languages in all pairs of epochs: [D].

    f (V_E - E) / 2 eta^2 Gamma with Gamma = |B|^-2 sum_i grad (1/2) Var_k(grad l_ik) at the start,
    f the scheme's noise share and V_E its `schedules.growth`.
    """
    epochs = experiment.epochs
    weights = experiment.task.start
    gamma = torch.zeros_like(weights)
    for step in experiment.steps("second order"):
        if step.epoch == 0:
            slope = variance_slope(experiment.task, weights, step.data)
            gamma += slope / len(step.clips) ** 2
    growth = schedules.growth(scheme, epochs)[-1]
    return noise_share(scheme) * (growth - epochs) / 2 * rate**2 * gamma


@dataclass(frozen=True)
class Displaced:
    """Of many draws at the end: displacement w' - w, and its part of first order in the noise, both
    [S, D].

    The first-order part has the mean zero exactly, so it serves as control variate.
    """

    displacement: Tensor
    first_order: Tensor

    @property
    def mean(self) -> Tensor:
        """Estimate of E w' - w, [D]."""
        return (self.displacement - self.first_order).mean(0)

    @property
    def mean_error(self) -> float:
        """Standard error of that estimate, as a length."""
        left = self.displacement - self.first_order
        return float((left.var(0).sum() / len(left)).sqrt())

    @property
    def own(self) -> float:
        """RMS over draws of what a draw has beside the mean."""
        return float(self.displacement.var(0).sum().sqrt())

    @property
    def rms(self) -> float:
        """RMS over draws of the whole displacement."""
        return float(self.displacement.square().sum(1).mean().sqrt())


@torch.no_grad()
def displaced(
    experiment: Experiment, arm: Arm, rate: float, draws: int, seed: int = 40_000
) -> Displaced:
    """Run `draws` draws of an arm under SGD beside the ideal run, and the response to their noise.

    The first-order part follows Z <- (I - eta H_t) Z - eta n_t, with H_t and the noise n_t at the
    ideal run's weights.
    """
    optimizer = SGD(rate)
    task = experiment.task
    drawn = Draws(experiment, arm, range(seed, seed + draws))
    runs = experiment.begin(optimizer, draws)
    first_order = torch.zeros_like(runs.weights)
    for step, ideal, gradient, after in experiment.ideal_run(optimizer, "mean displacement"):
        weights = ideal.weights[0]
        realised = drawn.distribution(step)
        runs = runs.after(drawn.gradients(runs.weights, realised, step))
        noise = drawn.gradients(weights, realised, step) - gradient
        change = hessian_products(task, weights, step.even, step.data, first_order)
        first_order = first_order - rate * (change + noise)
        displacement = runs.weights - after.weights
    return Displaced(displacement, first_order)


def cosine(one: Tensor, other: Tensor) -> float:
    """Of two vectors [D]."""
    return float(one @ other / (one.norm() * other.norm()))


def slope(rates: Sequence[float], values: Sequence[float]) -> float:
    """Of a straight line through log values against log rates, by least squares."""
    return float(np.polyfit(np.log(rates), np.log(values), 1)[0])


def at_equal_time(
    experiments: dict[float, Experiment], arm: Arm, draws: int, seed: int = 40_000
) -> pd.DataFrame:
    """own, rms and systematic part of an arm's displacement at the end, a row per step size.

    experiments: by step size, each with as many epochs as make the training time equal.
    """
    rows = {}
    for rate, experiment in experiments.items():
        found = displaced(experiment, arm, rate, draws, seed)
        rows[rate] = {
            "own part": found.own,
            "RMS": found.rms,
            "systematic part": float(found.mean.norm()),
            "its standard error": found.mean_error,
        }
    return pd.DataFrame(rows).T.rename_axis("step size")
