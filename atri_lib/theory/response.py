"""What can be said of a scheme's weight error without running the scheme, and what practical ML-CLAP adds to it."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from atri_lib.theory.experiment import ARMS, Arm, Draws, Experiment
from atri_lib.theory.optimizers import SGD, Optimizer, Runs, distance


@torch.no_grad()
def respond(
    experiment: Experiment,
    optimizer: Optimizer = SGD(0.05),  # noqa: B008 (frozen)
    arms: Sequence[Arm] = ARMS,
    draws: int = 8,
    seed: int = 20_000,
) -> pd.DataFrame:
    """Predict weight errors from the ideal run alone, to first order in the error, for any scheme and optimiser.

    Every scheme gradient is replaced by its expansion about the ideal run, grad L_p'(w) + H_p'(w) (w' - w); what the
    optimiser does with it (momentum, Adam's second moment) is kept as it is. No weights but the ideal run's are ever
    visited. draws: fresh draws per arm, seeds seed ... seed + draws - 1, unlike any that `twin.run` uses by default.
    Returns one row per (scheme, step, draw): response = ||w_t - w'_t|| of the expanded run; its RMS over draws is the
    prediction. Where curvature times rate makes the ideal run locally unstable the expansion grows without limit: inf.
    """
    ideal = Runs.begin(optimizer, experiment.task.flat.start)
    sizes = {arm: draws if arm.noise_share(experiment.languages) else 1 for arm in arms}
    fans = {arm.name: Draws(experiment, arm, range(seed, seed + size)) for arm, size in sizes.items()}
    runs = {name: Runs.begin(optimizer, experiment.task.flat.start, len(fan)) for name, fan in fans.items()}
    frames = []
    for step in experiment.steps("linear response"):
        after = ideal.after(experiment.task.gradients(ideal.weights, step.even, step.data))
        for name, fan in fans.items():
            drawn = fan.drawn(fan.distribution(step))
            seen = fan.task.linear_gradients(ideal.weights[0], runs[name].weights, drawn, step.data, fan.loss)
            runs[name] = runs[name].after(seen)
            error = np.nan_to_num(runs[name].error(after), nan=np.inf)
            columns = {"scheme": name, "step": step.index, "epoch": step.epoch, "draw": range(len(fan))}
            frames.append(pd.DataFrame(columns | {"response": error}))
        ideal = after
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def decompose(
    experiment: Experiment,
    optimizer: Optimizer = SGD(0.05),  # noqa: B008 (frozen)
    draws: int = 64,
    seed: int = 30_000,
) -> pd.DataFrame:
    """Split practical ML-CLAP's gradient discrepancy into language sampling and mixed-language negatives.

    At the ideal run's weights before the first step of every epoch: gradient used - grad L_p = (grad L_p' - grad L_p)
    + (gradient used - grad L_p'). Averaged over ever more draws the first part, whose mean is zero, falls like
    draws^(-1/2); the second keeps what is systematic. Returns one row per (step, draws = 1, 2, 4, ...); sampling,
    mixed: norm of each part's mean over that many draws; ideal: ||grad L_p||, for scale.
    """
    sampled = Draws(experiment, Arm("sampled", "ml_clap"), range(seed, seed + draws))
    mixed = Draws(experiment, Arm("mixed", "ml_clap", mixed=True), range(seed, seed + draws))
    ideal, rows, epoch = Runs.begin(optimizer, experiment.task.flat.start), [], -1
    counts = 2 ** np.arange(int(np.log2(draws)) + 1)
    for step in experiment.steps("decomposition"):
        gradient = experiment.task.gradients(ideal.weights, step.even, step.data)
        if step.epoch != epoch:
            epoch, stack, drawn = step.epoch, ideal.weights.expand(draws, -1), sampled.distribution(step)
            same = sampled.gradients(stack, drawn, step)
            used = mixed.gradients(stack, drawn, step)
            for count in counts:
                parts = (same[:count] - gradient).mean(0), (used[:count] - same[:count]).mean(0)
                norms = [part.norm().item() for part in (*parts, gradient)]
                rows.append((step.index, step.epoch, count, *norms))
        ideal = ideal.after(gradient)
    return pd.DataFrame(rows, columns=["step", "epoch", "draws", "sampling", "mixed", "ideal"])


@torch.no_grad()
def reordered(
    experiment: Experiment,
    optimizer: Optimizer = SGD(0.05),  # noqa: B008 (frozen)
    seed: int = 0,
) -> pd.DataFrame:
    """KCL against itself with clips and languages summed in another order, in float32: rounding, and how it grows.

    Returns one row per step: measured = ||w_t - w'_t||, travelled = ||w_t - w_0||.
    """
    experiment = dataclasses.replace(experiment, dtype=torch.float32)
    generator, start = np.random.default_rng(seed), experiment.task.flat.start
    run = other = Runs.begin(optimizer, start)
    rows = []
    for step in experiment.steps("reordered KCL"):
        audio, texts = step.data
        clips, languages = generator.permutation(len(audio)), generator.permutation(experiment.languages)
        shuffled = audio[clips], texts[clips][:, languages]
        run = run.after(experiment.task.gradients(run.weights, step.even, step.data))
        other = other.after(experiment.task.gradients(other.weights, step.even, shuffled))
        rows.append((step.index, step.epoch, run.error(other)[0], distance(run.weights, start)[0]))
    return pd.DataFrame(rows, columns=["step", "epoch", "measured", "travelled"])
