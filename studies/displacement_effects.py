"""What KCL's weights do when they are moved: along the draws of a scheme, their parts, random
directions.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

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


def cosine(a: Tensor, b: Tensor) -> float:
    """Of the angle between two displacements [D]."""
    return torch.cosine_similarity(a, b, dim=0).item()


def parts_of(training: ProjectionTraining, ideal: Tensor, draws: Sequence[Tensor]) -> dict:
    """Length, cosine, systematic and own part of some draws' weights; what they, their mean and KCL
    do on test.
    """
    mean = torch.stack(draws).mean(0)
    back = training.start - ideal
    row = dataclasses.asdict(take_apart([weights - ideal for weights in draws]))
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
    rows = []
    for name, displacement in _named_moves(training, ideal, draws).items():
        found = effect(before, training, ideal, displacement)
        rows.append({"move": name, "scheme": False} | found)
    for name, displacement in others.items():
        found = effect(before, training, ideal, displacement)
        rows.append({"move": name, "scheme": True} | found)
    return rows


def _named_moves(
    training: ProjectionTraining, ideal: Tensor, draws: Sequence[Tensor]
) -> dict[str, Tensor]:
    first, *rest = draws
    mean = torch.stack(draws).mean(0)
    back = training.start - ideal
    along_back = back * (torch.dot(mean, back) / torch.dot(back, back))
    return {
        "nowhere": torch.zeros_like(first),
        "one draw": first,
        "another draw": rest[0],
        "half of a draw": first / 2,
        "against a draw": -first,
        "mean of the draws": mean,
        "mean, at a draw's length": mean * (first.norm() / mean.norm()),
        "mean, without the way back": mean - along_back,
        "only the way back": along_back,
        "own part of a draw": first - torch.stack(rest).mean(0),
        "difference of two draws": (first - rest[0]) / 2**0.5,
        "random": random_like(first, 0),
        "random, matrix by matrix": random_like(first, 0, training.sizes),
    }
