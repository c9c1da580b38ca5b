"""The twin-run experiment: how far a scheme's weights stray from the ideal run's, and what the
bounds say.

Twin runs share start, mini-batches and optimiser; the ideal run w uses every language of every
clip, the other run w' what its scheme drew.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib.theory import bounds
from atri_lib.theory.experiment import Arm, Draws, Experiment, Step
from atri_lib.theory.optimizers import SGD, Optimizer, Runs, distance


@torch.no_grad()
def run(
    experiment: Experiment,
    optimizer: Optimizer,
    arms: Sequence[Arm],
    draws: int = 8,
    power_iterations: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Run every arm beside the ideal run; measure the weight error and everything the bounds need.

    draws: runs per arm, seeds seed ... seed + draws - 1 (one run if the arm has no randomness).
    power_iterations: for lambda; 0 leaves the published bound out, which saves much of the cost.

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
      g_max(w_(t-1)); distribution_error: D_t on the batch; for arms with mixed negatives plus
      ||grad L_p'(w) - gradient used at w|| / g_max, which the published bound lacks.
    - quotient: that quotient alone; certified: the published bound with it in place of lipschitz,
      the least that the inequality allows.

    Raises FloatingPointError if a run diverges, ValueError for arms that do not fit the data.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}: give at least 1")
    bounded = power_iterations and isinstance(optimizer, SGD)
    steps = []
    for every in taken_steps(experiment, optimizer, arms, range(seed, seed + draws)):
        records = [taken.measured() for taken in every]
        if bounded:
            of_pairs = _of_pairs(every[0], power_iterations)
            for taken, record in zip(every, records, strict=True):
                record |= _published(taken, *of_pairs)
        steps.append(records)
    tables = []
    for arm, *records in zip(arms, *steps, strict=True):
        rows = table(arm, records)
        if bounded:
            bound = partial(bounds.published, rate=optimizer.rate)
            measured = rows.distribution_error, rows.gradient_max
            rows["published"] = over_steps(bound, rows, rows.lipschitz, *measured)
            rows["certified"] = over_steps(bound, rows, rows["quotient"], *measured)
        tables.append(rows)
    return pd.concat(tables, ignore_index=True)


@dataclass
class Taken:
    """A step of one arm's runs beside the same step of the ideal run.

    ideal, runs: before the step; ideal_after, after: after it. realised: p' of every run on the
    batch, [S, B, K]; used: the gradients that the runs follow, [S, D]; full: the ideal gradient at
    every run's weights, [S, D]; after_full: where that would have led the runs. Raises
    FloatingPointError if a run diverges.
    """

    draws: Draws
    step: Step
    ideal: Runs
    ideal_after: Runs
    runs: Runs

    def __post_init__(self) -> None:
        weights = self.runs.weights
        self.task = self.draws.experiment.task
        self.realised = self.draws.distribution(self.step)
        self.used = self.draws.gradients(weights, self.realised, self.step)
        self.full = self.task.gradients(weights, self.step.even, self.step.data)
        self.after = self.runs.after(self.used)
        self.after_full = self.runs.after(self.full)
        if not torch.isfinite(self.after.weights).all():
            name, index = self.draws.arm.name, self.step.index
            raise FloatingPointError(f"{name} diverged in step {index}: lower the rate")

    def measured(self) -> dict:
        """Errors, the trajectory bound's constants and the trivial bound, each [S] or for all."""
        after = self.after
        ideal = self.ideal_after
        start = self.task.start
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


def taken_steps(
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


def _of_pairs(taken: Taken, iterations: int) -> tuple[float, Tensor]:
    """What the published bound asks of the pairs at w: g_max, and lambda of every one, [B, K]."""
    weights = taken.ideal.weights[0]
    lengths, curvature = taken.task.pair_constants(weights, taken.step.data, iterations)
    return lengths.max().item(), curvature


def _published(taken: Taken, gradient_max: float, curvature: Tensor) -> dict:
    """The published bound's constants."""
    draws, step, realised = taken.draws, taken.step, taken.realised
    ideal = taken.ideal.weights
    anchored = taken.task.gradients(ideal[0], realised, step.data)
    error = (realised - step.even).abs().sum((1, 2)).numpy()
    if draws.arm.mixed:
        unmixed = anchored
        anchored = draws.gradients(ideal.expand(len(draws), -1), realised, step)
        error = error + distance(anchored, unmixed) / gradient_max
    delta = distance(ideal, taken.runs.weights)
    quotient = ratio(distance(anchored, taken.used), delta, default=0.0)
    of_pairs = (realised * curvature).sum((1, 2)).numpy()
    record = {"quotient": quotient, "gradient_max": gradient_max, "distribution_error": error}
    record["lipschitz"] = np.maximum(of_pairs, quotient)
    return record


def table(arm: Arm, records: Sequence[dict]) -> pd.DataFrame:
    """What an arm's steps measured, one row per step and draw, and the trajectory bound."""
    steps = map(pd.DataFrame, records)
    rows = pd.concat(steps, ignore_index=True)
    rows["trajectory"] = over_steps(bounds.unroll, rows, rows.rho, rows.forcing)
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
