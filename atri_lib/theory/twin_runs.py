"""The twin-run experiment: how far a scheme's weights stray from the ideal run's, and what the
bounds say.

Twin runs share start, mini-batches and optimiser; the ideal run w uses every language of every
clip, the other run w' what its scheme drew.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib.theory import bounds
from atri_lib.theory.experiment import ARMS, Arm, Draws, Experiment, Step
from atri_lib.theory.optimizers import SGD, SLOW, Optimizer, Runs, distance

Record = dict[str, np.ndarray | float]  # what one step measured: of every run [S], or for all


@torch.no_grad()
def run(
    experiment: Experiment,
    optimizer: Optimizer = SLOW,
    arms: Sequence[Arm] = ARMS,
    draws: int = 8,
    power_iterations: int | None = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Run every arm beside the ideal run; measure the weight error and everything the bounds need.

    draws: runs per arm, seeds seed ... seed + draws - 1 (one run if the arm has no randomness).
    power_iterations: for lambda; None leaves the published bound out, which saves much of the cost.

    Returns one row per (scheme, step, draw), step from 1 (the error after that step):
    - measured: ||w_t - w'_t||; joint: the same in the optimiser's coordinates (equal for SGD).
    - trajectory: bound on joint (so on measured). rho, forcing: its constants, measured on this
      draw; xi: ||grad L_p(w') - gradient used||, so that forcing = eta xi for SGD.
    - trivial: the bound ||w_t - w_0|| + ||w'_t - w_0||, the two distances travelled.
    - published: the published bound (SGD only). lipschitz: the larger of sum p' lambda_(a,t), with
      the pairs' spectral norms at w_(t-1) by power iteration, and the quotient
      ||grad L_p'(w) - grad L_p'(w')|| / ||delta||. Neither exceeds the sum of the true Lipschitz
      constants on the segment from w to w', and with the second alone the inequality holds, so the
      bound is certified although power iteration converges from below. gradient_max:
      g_max(w_(t-1)); distribution_error: D_t on the batch. mixed_negatives: for arms with mixed
      negatives ||grad L_p'(w) - gradient used at w||, which the published bound lacks and is added
      to D_t g_max here; else 0.
    - quotient: that quotient alone; certified: the published bound with it in place of lipschitz,
      the least that the inequality allows.

    Raises FloatingPointError if a run diverges, ValueError for no draw and for arms that do not fit
    the data.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}: give at least 1")
    bounded = isinstance(optimizer, SGD) and power_iterations is not None
    records = [[] for _ in arms]
    for every in walk(experiment, optimizer, arms, range(seed, seed + draws)):
        for taken, mine in zip(every, records, strict=True):
            mine.append(taken.measured())
        if bounded:
            pairs = _of_pairs(every[0], power_iterations)
            for taken, mine in zip(every, records, strict=True):
                mine[-1] |= _published(taken, *pairs)
    tables = []
    for arm, mine in zip(arms, records, strict=True):
        rows = table(arm, mine)
        if bounded:
            _add_published(rows, optimizer.rate)
        tables.append(rows)
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class Taken:
    """A step of one arm's runs beside the same step of the ideal run.

    ideal, runs: before the step; ideal_after: after it.
    """

    draws: Draws
    step: Step
    ideal: Runs
    ideal_after: Runs
    runs: Runs

    @cached_property
    def realised(self) -> Tensor:
        """p' of every run on the batch, [S, B, K]."""
        return self.draws.distribution(self.step)

    @cached_property
    def used(self) -> Tensor:
        """The gradients that the runs follow, [S, D]."""
        return self.draws.gradients(self.runs.weights, self.realised, self.step)

    @cached_property
    def full(self) -> Tensor:
        """The ideal gradient at every run's weights, [S, D]."""
        return self.under(self.step.even)

    def under(self, distribution: Tensor) -> Tensor:
        """The gradient at every run's weights for one distribution on the batch, [1, B, K]."""
        same = distribution.expand(len(self.draws), -1, -1)
        return self.draws.experiment.task.gradients(self.runs.weights, same, self.step.data)

    @cached_property
    def after(self) -> Runs:
        """The runs after the step. Raises FloatingPointError if one diverges."""
        after = self.runs.after(self.used)
        if not torch.isfinite(after.weights).all():
            name, index = self.draws.arm.name, self.step.index
            raise FloatingPointError(f"{name} diverged in step {index}: lower the rate")
        return after

    @cached_property
    def after_full(self) -> Runs:
        """Where the ideal gradient would have led the runs."""
        return self.runs.after(self.full)

    def measured(self) -> Record:
        """Errors, the trajectory bound's constants and the trivial bound, each [S]."""
        after = self.after
        ideal = self.ideal_after
        start = self.draws.experiment.task.start
        full_error = self.after_full.joint_error(ideal)
        travelled = distance(ideal.weights, start) + distance(after.weights, start)
        record = {"draw": np.arange(len(self.draws))}
        record["step"] = self.step.index
        record["epoch"] = self.step.epoch
        record["measured"] = after.error(ideal)
        record["joint"] = after.joint_error(ideal)
        record["rho"] = ratio(full_error, self.runs.joint_error(self.ideal))
        record["forcing"] = after.joint_error(self.after_full)
        record["xi"] = distance(self.used, self.full)
        record["trivial"] = travelled
        return record


def walk(
    experiment: Experiment, optimizer: Optimizer, arms: Sequence[Arm], seeds: Sequence[int]
) -> Iterator[list[Taken]]:
    """Every step, as every arm takes it with one run per seed (one run if nothing is random)."""
    drawn = [Draws(experiment, arm, seeds) for arm in arms]
    runs = [experiment.begin(optimizer, len(draws)) for draws in drawn]
    for step, ideal, _, after in experiment.ideal_run(optimizer, "twin runs"):
        every = []
        for draws, before in zip(drawn, runs, strict=True):
            every.append(Taken(draws, step, ideal, after, before))
        yield every
        runs = [taken.after for taken in every]


def _of_pairs(taken: Taken, iterations: int) -> tuple[Tensor, float]:
    """What the published bound asks of the pairs at w: lambda of every one, [B, K], and g_max."""
    task = taken.draws.experiment.task
    weights = taken.ideal.weights[0]
    data = taken.step.data
    curvature = task.pair_curvature(weights, data, iterations)
    gradient_max = task.pair_norms(weights, data).max().item()
    return curvature, gradient_max


def _published(taken: Taken, curvature: Tensor, gradient_max: float) -> Record:
    """The published bound's constants."""
    draws, step, realised = taken.draws, taken.step, taken.realised
    at_ideal = taken.ideal.weights[0]
    anchored = draws.gradients_at(at_ideal, realised, step)
    delta = distance(taken.ideal.weights, taken.runs.weights)
    quotient = ratio(distance(anchored, taken.used), delta, default=0.0)
    of_pairs = (realised * curvature).sum((1, 2))
    error = (realised - step.even).abs().sum((1, 2))
    record = {"quotient": quotient, "gradient_max": gradient_max, "mixed_negatives": 0.0}
    record["lipschitz"] = np.maximum(of_pairs.numpy(), quotient)
    record["distribution_error"] = error.numpy()
    if draws.arm.mixed:
        unmixed = draws.experiment.task.gradients_at(at_ideal, realised, step.data)
        record["mixed_negatives"] = distance(anchored, unmixed)
    return record


def _add_published(rows: pd.DataFrame, rate: float) -> None:
    """The published and the certified bound, as columns of an arm's table."""
    largest = rows.gradient_max
    error = rows.distribution_error + rows.mixed_negatives / largest
    bound = partial(bounds.published, rate=rate)
    rows["published"] = over_steps(bound, rows, rows.lipschitz, error, largest)
    rows["certified"] = over_steps(bound, rows, rows["quotient"], error, largest)


def table(arm: Arm, records: Sequence[Record]) -> pd.DataFrame:
    """What an arm's steps measured, one row per step and draw, and the trajectory bound."""
    steps = map(pd.DataFrame, records)
    rows = pd.concat(steps, ignore_index=True)
    rows["trajectory"] = over_steps(bounds.trajectory, rows, rows.rho, rows.forcing)
    rows.insert(0, "scheme", arm.name)
    return rows


def over_steps(bound: Callable, rows: pd.DataFrame, *columns: pd.Series) -> np.ndarray:
    """A bound's recursion along the steps of every draw; columns: of one arm's table."""
    draws = rows.draw.nunique()
    by_draw = [column.to_numpy().reshape(-1, draws).T for column in columns]
    return bound(*by_draw).T.ravel()


def ratio(top: np.ndarray, bottom: np.ndarray, default: float = 1.0) -> np.ndarray:
    """top / bottom, and `default` where there is nothing to divide (equal runs)."""
    equal = np.full(np.shape(top), default)
    return np.divide(top, bottom, out=equal, where=np.asarray(bottom) > 0)
