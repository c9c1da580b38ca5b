"""What KCL's weights do when they are moved: along the draws of a scheme, their parts, random
directions.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from studies.rotated_draws import cosine
from studies.training_replay import ProjectionTraining
from studies.weight_displacement import (
    Reading,
    common_and_between,
    of_margins,
    random_like,
    read,
    root_mean_square,
    take_apart,
)


def mean_of(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """The mean of every entry over rows that have the same entries."""
    return pd.DataFrame(rows).mean().to_dict()


def parts_of(training: ProjectionTraining, ideal: Tensor, draws: Sequence[Tensor]) -> dict:
    """Length, cosine, systematic and own part of some draws' weights; what they, their mean and KCL
    do on test.
    """
    mean = torch.stack(draws).mean(0)
    back = training.start - ideal
    displacements = [weights - ideal for weights in draws]
    row = dataclasses.asdict(take_apart(displacements))
    row["towards_start"] = cosine(mean - ideal, back)
    row["travelled"] = back.norm().item()
    row["draw"] = mean_of(read(training, weights).summary() for weights in draws)
    row["mean"] = read(training, mean).summary()
    row["kcl"] = read(training, ideal).summary()
    return row


def effect(
    before: Reading, training: ProjectionTraining, ideal: Tensor, displacement: Tensor
) -> dict[str, float]:
    """What moving the ideal weights, which read as `before`, does: length, change of margins by
    part, and the new summary.

    only_common, only_between: MRV if the margins had changed by that part alone.
    """
    after = read(training, ideal + displacement)
    common, between = common_and_between(before.margins, after.margins)
    row = {"length": displacement.norm().item()}
    row["common"] = root_mean_square(common)
    row["between"] = root_mean_square(between)
    row["only_common"] = _variance_after(before.margins, common)
    row["only_between"] = _variance_after(before.margins, between)
    return row | after.summary()


def _variance_after(margins: np.ndarray, change: np.ndarray) -> float:
    """MRV of margins that change so; the own clip's stay infinite."""
    own = np.isinf(margins)
    changed = np.where(own, 0, margins) + change
    return of_margins(np.where(own, np.inf, changed))["mrv"]


def moves(
    training: ProjectionTraining,
    ideal: Tensor,
    draws: Sequence[Tensor],
    others: dict[str, Tensor],
) -> list[dict]:
    """KCL's weights moved along the parts of the draws' displacements, random directions, and other
    schemes' displacements.
    """
    before = read(training, ideal)
    named = _named_moves(training, ideal, draws)
    rows = []
    for name, displacement in (named | others).items():
        row = {"move": name}
        row["scheme"] = name in others
        row |= effect(before, training, ideal, displacement)
        rows.append(row)
    return rows


def _named_moves(
    training: ProjectionTraining, ideal: Tensor, draws: Sequence[Tensor]
) -> dict[str, Tensor]:
    first, *rest = draws
    mean = torch.stack(draws).mean(0)
    back = training.start - ideal
    along_back = back * (torch.dot(mean, back) / torch.dot(back, back))
    named = {"nowhere": torch.zeros_like(first)}
    named["one draw"] = first
    named["another draw"] = rest[0]
    named["half of a draw"] = first / 2
    named["against a draw"] = -first
    named["mean of the draws"] = mean
    named["mean, at a draw's length"] = mean * (first.norm() / mean.norm())
    named["mean, without the way back"] = mean - along_back
    named["only the way back"] = along_back
    named["own part of a draw"] = first - torch.stack(rest).mean(0)
    named["difference of two draws"] = (first - rest[0]) / 2**0.5
    named["random"] = random_like(first, 0)
    named["random, matrix by matrix"] = random_like(first, 0, training.sizes)
    return named
