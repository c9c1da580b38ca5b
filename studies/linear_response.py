"""What can be said of a scheme's weight error without running the scheme, and what practical
ML-CLAP adds to it.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib.theory.experiment import Arm, Draws, Experiment, Step
from atri_lib.theory.optimizers import Optimizer, Runs
from studies.small_projections import ARMS, SLOW
from studies.task_derivatives import gradients_seen_from


@torch.no_grad()
def respond(
    experiment: Experiment,
    optimizer: Optimizer = SLOW,
    arms: Sequence[Arm] = ARMS,
    draws: int = 8,
    seed: int = 20_000,
) -> pd.DataFrame:
    """Predict weight errors from the ideal run alone, to first order in the error, for any scheme
    and optimiser.

    Every scheme gradient is replaced by its expansion about the ideal run, grad L_p'(w) + H_p'(w)
    (w' - w); what the optimiser does with it (momentum, Adam's second moment) is kept as it is. No
    weights but the ideal run's are ever visited. draws: fresh draws per arm, seeds seed ... seed +
    draws - 1, unlike any that `twin_runs.run` uses by default. Returns one row per (scheme, step,
    draw): response = ||w_t - w'_t|| of the expanded run; its RMS over draws is the prediction.
    Where curvature times rate makes the ideal run locally unstable the expansion grows without
    limit: inf.
    """
    frames = []
    for step, after, runs in expanded_runs(experiment, optimizer, arms, draws, seed):
        for name, run in runs.items():
            columns = {"scheme": name}
            columns["step"] = step.index
            columns["epoch"] = step.epoch
            columns["draw"] = range(len(run.weights))
            columns["response"] = np.nan_to_num(run.error(after), nan=np.inf)
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def expanded_runs(
    experiment: Experiment, optimizer: Optimizer, arms: Sequence[Arm], draws: int, seed: int
) -> Iterator[tuple[Step, Runs, dict[str, Runs]]]:
    """After every step the ideal run and, by name, every arm's runs as `respond` expands them."""
    drawn = drawn_runs(experiment, optimizer, arms, range(seed, seed + draws))
    runs = {name: run for name, (_, run) in drawn.items()}
    for step, ideal, _, after in experiment.ideal_run(optimizer, "linear response"):
        anchor = ideal.weights[0]
        for name, (those, _) in drawn.items():
            used = those.distribution(step)
            weights = runs[name].weights
            seen = gradients_seen_from(anchor, weights, used, step.data, those.loss)
            runs[name] = runs[name].after(seen)
        yield step, after, dict(runs)


def drawn_runs(
    experiment: Experiment, optimizer: Optimizer, arms: Sequence[Arm], seeds: Sequence[int]
) -> dict[str, tuple[Draws, Runs]]:
    """The draws of every arm, and their runs before the first step, by name."""
    found = {}
    for arm in arms:
        drawn = Draws(experiment, arm, seeds)
        found[arm.name] = drawn, experiment.begin(optimizer, len(drawn))
    return found


@torch.no_grad()
def decompose(
    experiment: Experiment, optimizer: Optimizer = SLOW, draws: int = 64, seed: int = 30_000
) -> pd.DataFrame:
    """Split practical ML-CLAP's gradient discrepancy into language sampling and mixed-language
    negatives.

    At the ideal run's weights before the first step of every epoch: gradient used - grad L_p =
    (grad L_p' - grad L_p) + (gradient used - grad L_p'). Averaged over ever more draws the first
    part, whose mean is zero, falls like draws^(-1/2); the second keeps what is systematic. Returns
    one row per (step, draws = 1, 2, 4, ...); sampling, mixed: norm of each part's mean over that
    many draws; ideal: ||grad L_p||, for scale.
    """
    seeds = range(seed, seed + draws)
    sampled = Draws(experiment, Arm("sampled", "ml_clap"), seeds)
    mixed = Draws(experiment, Arm("mixed", "ml_clap", mixed=True), seeds)
    doublings = int(np.log2(draws))
    counts = 2 ** np.arange(doublings + 1)
    rows = []
    for step, start, gradient in epoch_starts(experiment, optimizer, "decomposition"):
        drawn = sampled.distribution(step)
        same = sampled.gradients(start, drawn, step)
        used = mixed.gradients(start.expand(draws, -1), drawn, step)
        for count in counts:
            row = {"step": step.index}
            row["epoch"] = step.epoch
            row["draws"] = count
            sampling = (same[:count] - gradient).mean(0)
            row["sampling"] = sampling.norm().item()
            negatives = (used[:count] - same[:count]).mean(0)
            row["mixed"] = negatives.norm().item()
            row["ideal"] = gradient.norm().item()
            rows.append(row)
    return pd.DataFrame(rows)


def epoch_starts(
    experiment: Experiment, optimizer: Optimizer, label: str
) -> Iterator[tuple[Step, Tensor, Tensor]]:
    """The first step of every epoch of the ideal run, with the weights before it, [D], and their
    gradient, [D].
    """
    epoch = None
    for step, ideal, gradient, _ in experiment.ideal_run(optimizer, label):
        if step.epoch != epoch:
            yield step, ideal.weights[0], gradient[0]
        epoch = step.epoch


@torch.no_grad()
def reordered(experiment: Experiment, optimizer: Optimizer = SLOW, seed: int = 0) -> pd.DataFrame:
    """KCL against itself with clips and languages summed in another order, in float32: rounding,
    and how it grows.

    Returns one row per step: measured = ||w_t - w'_t||, travelled = ||w_t - w_0||.
    """
    experiment = dataclasses.replace(experiment, dtype=torch.float32)
    generator = np.random.default_rng(seed)
    start = experiment.begin(optimizer)
    other = start
    rows = []
    for step, _, _, after in experiment.ideal_run(optimizer, "reordered KCL"):
        clip_features, texts = step.data
        clips = generator.permutation(len(clip_features))
        languages = generator.permutation(experiment.languages)
        other_texts = texts[clips][:, languages]
        shuffled = (clip_features[clips], other_texts)
        gradient = experiment.task.gradients(other.weights, step.even, shuffled)
        other = other.after(gradient)
        row = {"step": step.index}
        row["epoch"] = step.epoch
        row["measured"] = after.error(other)[0]
        row["travelled"] = after.error(start)[0]
        rows.append(row)
    return pd.DataFrame(rows)
