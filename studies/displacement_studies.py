"""Weights and ranks of schemes beside KCL's, predicted from the KCL run or trained."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from atri_lib.schemes import Scheme
from atri_lib.training import TrainConfig, TrainingData
from studies import arms, rank_margins
from studies.displacement_effects import mean_of, moves, parts_of
from studies.results import recall_of
from studies.training_replay import EpochEnd, ProjectionTraining, trajectories
from studies.weight_displacement import Reading, read, read_linear, take_apart

ARMS = {"ML-CLAP": arms.ML_CLAP}
ARMS["Balanced"] = arms.balanced(1)
ARMS["Hold 2"] = arms.hold(2)
ARMS["Latin"] = arms.LATIN
ARMS["2 of K"] = arms.m_of_k(2)
ARMS["4 of K"] = arms.m_of_k(4)
ARMS["CACL"] = arms.CACL
ONE = dict.fromkeys(ARMS, 1)  # draws of each arm
# Two of those that draw every epoch anew.
PREDICTED = ONE | dict.fromkeys(("ML-CLAP", "2 of K", "4 of K"), 2)
FRESH = 1000  # between the seeds of two draws of a scheme
TOLERANCES = {"length": 0.12, "mrv": 0.25}
SAMPLES = 16
MARKS = (2, 4, 8, 16)  # epochs at which a course is looked at

Draw = tuple[str, int]  # of an arm: its number
Value = TypeVar("Value")


def drawn(
    training: ProjectionTraining,
    draws: dict[str, int],
    settings: dict[str, dict] = ARMS,
    first: int = 0,
) -> dict[Draw, Scheme]:
    """So many draws of some arms, from `first` on; draw 0 is what `train` would draw.

    settings: of all arms.
    """
    schemes = {}
    for arm, count in draws.items():
        for draw in range(first, first + count):
            seed = training.config.seed + FRESH * draw
            schemes[arm, draw] = training.scheme(seed=seed, **settings[arm])
    return schemes


def by_arm(values: dict[Draw, Value]) -> dict[str, list[Value]]:
    """The values of every arm in a list."""
    grouped = {}
    for (arm, _), value in values.items():
        grouped.setdefault(arm, []).append(value)
    return grouped


def last_epoch(
    training: ProjectionTraining, measured: dict[Draw, Scheme], predicted: dict[Draw, Scheme]
) -> EpochEnd:
    """The weights at the end of the runs."""
    *_, end = trajectories(training, measured, predicted)
    return end


def described(
    ideal: Reading, readings: dict[Draw, Reading], displacements: dict[Draw, Tensor]
) -> dict:
    """KCL's summary, and of every arm the RMS length of its displacements and means over draws of
    the summaries.

    cosine: of two draws' displacements.
    """
    table = {"KCL": ideal.summary()}
    of_arm = by_arm(displacements)
    for arm, found in by_arm(readings).items():
        row = mean_of(reading.summary() for reading in found)
        squares = torch.stack(of_arm[arm]).square().sum(1)
        row["length"] = float(squares.mean().sqrt())
        if len(found) > 1:
            row["cosine"] = take_apart(of_arm[arm]).cosine
        table[arm] = row
    return table


def expected_over_draws(draws: Sequence[Reading], seed: int) -> dict[str, float]:
    """MRV and recall expected of draws with these draws' mean and covariance of the margins
    (Gaussian).
    """
    margins = np.stack([draw.margins for draw in draws])
    ranks = rank_margins.gaussian_ranks(margins, SAMPLES, seed)
    mrv = float(ranks.var(axis=-1).mean())
    return {"mrv": mrv, "recall": recall_of(ranks)}


def predict(config: TrainConfig, data: TrainingData) -> dict:
    """What every arm's draws will weigh and rank, from the KCL run alone.

    arms: first order throughout, weights by `trajectories` and margins by their derivative
    (`read_linear`); sharp: expected over fresh draws where there are two. moved: what the predicted
    weights themselves would do, of the first draws.
    """
    training = ProjectionTraining(config, data)
    end = last_epoch(training, {}, drawn(training, PREDICTED))
    displacements = end.predicted_displacements()
    readings = {}
    for draw, displacement in displacements.items():
        readings[draw] = read_linear(training, end.ideal, displacement)
    ideal = read(training, end.ideal)
    table = described(ideal, readings, displacements)
    for arm, found in by_arm(readings).items():
        if len(found) > 1:
            table[arm]["sharp"] = expected_over_draws(found, config.seed)
    moved = {}
    for arm in ARMS:
        moved[arm] = read(training, end.predicted[arm, 0]).summary()
    return {"tolerances": TOLERANCES, "arms": table, "moved": moved}


def measure(config: TrainConfig, data: TrainingData) -> dict:
    """The same draws, trained."""
    training = ProjectionTraining(config, data)
    end = last_epoch(training, drawn(training, PREDICTED), {})
    readings = {draw: read(training, weights) for draw, weights in end.measured.items()}
    ideal = read(training, end.ideal)
    return {"arms": described(ideal, readings, end.measured_displacements())}


def course(config: TrainConfig, data: TrainingData) -> dict:
    """Lengths after every epoch, predicted and measured; the parts of three draws of ML-CLAP;
    interventions at the end.
    """
    training = ProjectionTraining(config, data)
    measured = drawn(training, ONE | {"ML-CLAP": 3})
    lengths = {arm: {"measured": [], "predicted": []} for arm in ARMS}
    parts = []
    for end in trajectories(training, measured, drawn(training, ONE)):
        for arm, row in lengths.items():
            row["measured"].append(_distance(end.measured[arm, 0], end))
            row["predicted"].append(_distance(end.predicted[arm, 0], end))
        if end.epoch in MARKS:
            row = {"epoch": end.epoch}
            draws = by_arm(end.measured)["ML-CLAP"]
            parts.append(row | parts_of(training, end.ideal, draws))
    displacements = by_arm(end.measured_displacements())
    draws = displacements.pop("ML-CLAP")
    others = {arm: only for arm, (only,) in displacements.items()}
    moved = moves(training, end.ideal, draws, others)
    return {"lengths": lengths, "parts": parts, "moves": moved}


def _distance(weights: Tensor, end: EpochEnd) -> float:
    """From the ideal run's weights."""
    return (weights - end.ideal).norm().item()


def long(config: TrainConfig, data: TrainingData) -> dict:
    """The parts over a run of full length, and ML-CLAP's length as predicted."""
    training = ProjectionTraining(config, data)
    measured = drawn(training, {"ML-CLAP": 2})
    predicted = drawn(training, {"ML-CLAP": 1})
    parts = []
    for end in trajectories(training, measured, predicted):
        if end.epoch in MARKS:
            row = {"epoch": end.epoch}
            row["predicted"] = _distance(end.predicted["ML-CLAP", 0], end)
            row["measured"] = _distance(end.measured["ML-CLAP", 0], end)
            draws = list(end.measured.values())
            parts.append(row | parts_of(training, end.ideal, draws))
    return {"parts": parts}


def descent(
    config: TrainConfig, data: TrainingData, rates: Sequence[float] = (0.1, 0.3, 1.0)
) -> dict:
    """The parts under SGD, whose mean displacement is 0 to first order; the rate is chosen by KCL's
    recall on val.
    """
    recall = {}
    for rate in rates:
        recall[rate] = _recall_of_kcl(config.replace(learning_rate=rate), data)
    best = max(recall, key=recall.get)
    training = ProjectionTraining(config.replace(learning_rate=best), data)
    draws = drawn(training, {"ML-CLAP": 2})
    parts = []
    for end in trajectories(training, draws, draws):
        if end.epoch in MARKS:
            row = {"epoch": end.epoch}
            row |= parts_of(training, end.ideal, list(end.measured.values()))
            predicted = list(end.predicted_displacements().values())
            row["cosine_predicted"] = take_apart(predicted).cosine
            parts.append(row)
    displacements = list(end.measured_displacements().values())
    moved = moves(training, end.ideal, displacements, {})
    validated = {str(rate): value for rate, value in recall.items()}
    return {"val": validated, "rate": best, "parts": parts, "moves": moved}


def _recall_of_kcl(config: TrainConfig, data: TrainingData) -> float:
    """On val, after at most four epochs."""
    short = config.replace(epochs=min(4, config.epochs))
    training = ProjectionTraining(short, data)
    end = last_epoch(training, {}, {})
    return read(training, end.ideal, "val").summary()["recall"]
