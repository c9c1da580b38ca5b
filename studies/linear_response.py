"""What can be said of a scheme's weight error without running the scheme, and what practical
ML-CLAP adds to it.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from atri_lib.theory.experiment import ARMS, Arm, Draws, Experiment
from atri_lib.theory.optimizers import SLOW, Optimizer


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
    draws - 1, unlike any that `twin.run` uses by default. Returns one row per (scheme, step, draw):
    response = ||w_t - w'_t|| of the expanded run; its RMS over draws is the prediction. Where
    curvature times rate makes the ideal run locally unstable the expansion grows without limit:
    inf.
    """
    fans = {arm.name: Draws(experiment, arm, range(seed, seed + draws)) for arm in arms}
    runs = {name: experiment.begin(optimizer, len(fan)) for name, fan in fans.items()}
    frames = []
    for step, ideal, _, after in experiment.ideal_run(optimizer, "linear response"):
        for name, fan in fans.items():
            seen = fan.gradients(
                runs[name].weights, fan.distribution(step), step, anchor=ideal.weights[0]
            )
            runs[name] = runs[name].after(seen)
            error = np.nan_to_num(runs[name].error(after), nan=np.inf)
            columns = {
                "scheme": name,
                "step": step.index,
                "epoch": step.epoch,
                "draw": range(len(fan)),
            }
            frames.append(pd.DataFrame(columns | {"response": error}))
    return pd.concat(frames, ignore_index=True)


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
    arms = Arm("sampled", "ml_clap"), Arm("mixed", "ml_clap", mixed=True)
    sampled, mixed = (Draws(experiment, arm, range(seed, seed + draws)) for arm in arms)
    rows, run = [], experiment.ideal_run(optimizer, "decomposition")
    for epoch, steps in itertools.groupby(run, key=lambda moment: moment[0].epoch):
        step, ideal, gradient, _ = next(steps)
        stack, drawn = ideal.weights.expand(len(sampled), -1), sampled.distribution(step)
        same, used = (arm.gradients(stack, drawn, step) for arm in (sampled, mixed))
        for count in 2 ** np.arange(int(np.log2(draws)) + 1):
            parts = (
                (same[:count] - gradient).mean(0),
                (used[:count] - same[:count]).mean(0),
                gradient,
            )
            rows.append((step.index, epoch, count, *(part.norm().item() for part in parts)))
    return pd.DataFrame(rows, columns=["step", "epoch", "draws", "sampling", "mixed", "ideal"])


@torch.no_grad()
def reordered(experiment: Experiment, optimizer: Optimizer = SLOW, seed: int = 0) -> pd.DataFrame:
    """KCL against itself with clips and languages summed in another order, in float32: rounding,
    and how it grows.

    Returns one row per step: measured = ||w_t - w'_t||, travelled = ||w_t - w_0||.
    """
    experiment = dataclasses.replace(experiment, dtype=torch.float32)
    generator, start = np.random.default_rng(seed), experiment.begin(optimizer)
    other, rows = start, []
    for step, _, _, after in experiment.ideal_run(optimizer, "reordered KCL"):
        audio, texts = step.data
        clips, languages = (
            generator.permutation(len(audio)),
            generator.permutation(experiment.languages),
        )
        shuffled = audio[clips], texts[clips][:, languages]
        other = other.after(experiment.task.gradients(other.weights, step.even, shuffled))
        rows.append((step.index, step.epoch, after.error(other)[0], after.error(start)[0]))
    return pd.DataFrame(rows, columns=["step", "epoch", "measured", "travelled"])
