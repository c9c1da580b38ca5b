"""Theorem A on the chapter's twin runs: predicted beside measured, for all m.

Limits, rule (`holds`) and setting were fixed before the measurement: 384 clips, batches of 32, four
epochs, Adam with step size 0.001, m = 1 ... K - 1, two groups of draws, four probes, seed 0.
"""

from collections.abc import Sequence

import pandas as pd
import torch

from atri_lib.theory.experiment import Experiment
from atri_lib.theory.optimizers import Adam
from studies import adam_noise
from studies.rotated_draws import RotatedDraws, cosine, displacements, split

SYSTEMATIC = 0.12  # largest relative error of the length of the systematic part
OWN = 0.15  # largest relative error of the length of the own part
COSINE = 0.95  # least cosine of the predicted and the measured systematic part
STEPS = (12, 40)  # and the last one


@torch.no_grad()
def compare(
    experiment: Experiment,
    optimizer: Adam,
    chosen: Sequence[int],
    steps: Sequence[int],
    groups: int,
    probes: int,
    seed: int,
) -> pd.DataFrame:
    """One row per (m, step): the predictions of `adam_noise.predict`, made without any draw, and
    what groups of rotated draws did.

    systematic, own: lengths, each predicted and measured; own_flat: predicted without curvature;
    cosine: of the two systematic parts; scatter: standard error of the measured mean, as a length.
    """
    guesses = {}
    for guess in adam_noise.predict(experiment, optimizer, chosen, probes, seed):
        if guess.step in steps:
            guesses[guess.step] = guess
    rows = []
    for place, m in enumerate(chosen):
        draws = RotatedDraws(experiment, m, groups, seed=seed)
        found = displacements(experiment, optimizer, draws, steps)
        for step, displacement in found.items():
            seen = split(displacement, groups)
            guess = guesses[step]
            systematic = guess.systematic[place]
            row = {"m": m, "step": step}
            row["systematic"] = float(systematic.norm())
            row["systematic_measured"] = seen.systematic
            row["cosine"] = cosine(systematic, seen.mean)
            row["own"] = float(guess.curved[place])
            row["own_flat"] = float(guess.own[place])
            row["own_measured"] = seen.own
            row["scatter"] = seen.scatter
            rows.append(row)
    return pd.DataFrame(rows)


def holds(table: pd.DataFrame) -> pd.DataFrame:
    """For every row of `compare` whether each prediction is within its limit."""
    systematic = (table.systematic / table.systematic_measured - 1).abs()
    own = (table.own / table.own_measured - 1).abs()
    flat = (table.own_flat / table.own_measured - 1).abs()
    return pd.DataFrame(
        {
            "length of the systematic part": systematic <= SYSTEMATIC,
            "direction of the systematic part": table.cosine >= COSINE,
            "own part": own <= OWN,
            "own part without curvature": flat <= OWN,
        }
    )
