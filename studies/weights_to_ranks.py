"""The studies of the chapter on size and direction, each written to a small file of
studies/rows/weights_to_ranks.

    python -m studies.weights_to_ranks predict_11   # before anything is measured: weights and ranks of seven schemes
    python -m studies.weights_to_ranks measure_11   # the same runs, trained (12: from another start)
    python -m studies.weights_to_ranks course       # predicted and measured lengths over a longer run, and its parts
    python -m studies.weights_to_ranks long         # the parts over 16 epochs
    python -m studies.weights_to_ranks descent      # the parts under SGD
    python -m studies.weights_to_ranks candidates   # what the systematic part may be

Without a name: those whose file is missing or no longer fits RECIPE, settings and data. Every file
holds configuration, seeds, key, what it was made with, and the seconds that it took.
"""

import dataclasses
import functools
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib import storage
from atri_lib.recipe import RECIPE, key_settings
from atri_lib.schemes import Scheme
from atri_lib.training import TrainConfig, load_data
from atri_lib.training.sources import data_checksum
from studies import rank_margins, training_replay, weight_displacement
from studies.results import made_with
from studies.training_replay import Trainee
from studies.weight_displacement import (
    Reading,
    of_margins,
    random_like,
    read,
    read_linear,
    take_apart,
)

FOLDER = pathlib.Path(__file__).resolve().parent / "rows" / "weights_to_ranks"
ARMS = {
    "ML-CLAP": ("ml_clap", {}),
    "Balanced": ("balanced", {"m": 1}),
    "Hold 2": ("hold", {"hold": 2}),
    "Latin": ("latin", {}),
    "2 of K": ("m_of_k", {"m": 2}),
    "4 of K": ("m_of_k", {"m": 4}),
    "CACL": ("cacl", {}),
}
ONE = dict.fromkeys(ARMS, 1)  # draws of each arm
PREDICTED = ONE | dict.fromkeys(
    ("ML-CLAP", "2 of K", "4 of K"), 2
)  # two of the arms that draw anew in every epoch
FRESH = 1000  # between the seeds of two draws of a scheme
STARTS = (11, 12)  # seeds of the prediction: no run of theirs was looked at before it was committed
TOLERANCES = {"length": 0.12, "mrv": 0.25}
SAMPLES = 16
MARKS = (2, 4, 8, 16)  # epochs at which a course is looked at


def arms(trainee: Trainee, draws: dict[str, int]) -> dict[str, Scheme]:
    """So many draws of some arms, keyed "arm/draw"; draw 0 is what `train` would draw."""
    seed, chosen = (
        trainee.config.seed,
        [(arm, draw) for arm, count in draws.items() for draw in range(count)],
    )
    return {
        f"{a}/{draw}": trainee.scheme(ARMS[a][0], seed + FRESH * draw, **ARMS[a][1])
        for a, draw in chosen
    }


def by_arm(values: dict) -> dict[str, list]:
    """{"arm/draw": value} to {arm: [values]}."""
    grouped = {
        arm: [value for key, value in values.items() if key.startswith(f"{arm}/")] for arm in ARMS
    }
    return {arm: found for arm, found in grouped.items() if found}


def end_of(
    trainee: Trainee, measured: dict[str, Scheme], predicted: dict[str, Scheme]
) -> tuple[Tensor, dict, dict]:
    """The ideal run's last weights, and those of the other runs by name."""
    *_, (_, ideal, found, guessed) = training_replay.walk(trainee, measured, predicted)
    return ideal, found, guessed


def described(ideal: Reading, readings: dict[str, Reading], away: dict[str, Tensor]) -> dict:
    """KCL's summary, and of every arm the RMS length of its displacements and means over draws of
    the summaries.

    cosine: of two draws' displacements.
    """
    table, ways = {"KCL": ideal.summary()}, by_arm(away)
    for arm, found in by_arm(readings).items():
        table[arm] = _means(reading.summary() for reading in found)
        table[arm]["length"] = float(torch.stack(ways[arm]).square().sum(1).mean().sqrt())
        if len(found) > 1:
            table[arm]["cosine"] = take_apart(ways[arm]).cosine
    return table


def _means(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    return pd.DataFrame(rows).mean().to_dict()


def sharp(draws: Sequence[Reading], seed: int) -> dict[str, float]:
    """MRV and recall expected of draws with these draws' mean and covariance of the margins
    (Gaussian).
    """
    sampled = rank_margins.gaussian_ranks(np.stack([draw.margins for draw in draws]), SAMPLES, seed)
    return {"mrv": float(sampled.var(axis=-1).mean()), "recall": 100 * float((sampled == 1).mean())}


def predict(config: TrainConfig) -> dict:
    """What every arm's draws will weigh and rank, from the KCL run alone.

    arms: first order throughout, weights by the walk and margins by their derivative
    (`read_linear`); sharp: expected over fresh draws where there are two. moved: what the predicted
    weights themselves would do, of the first draws.
    """
    trainee = Trainee(config, load_data(config))
    ideal, _, guessed = end_of(trainee, {}, arms(trainee, PREDICTED))
    away = {name: w - ideal for name, w in guessed.items()}
    linear = {name: read_linear(trainee, ideal, way) for name, way in away.items()}
    table = described(read(trainee, ideal), linear, away)
    for arm, found in by_arm(linear).items():
        table[arm] |= {"sharp": sharp(found, config.seed)} if len(found) > 1 else {}
    moved = {arm: read(trainee, guessed[f"{arm}/0"]).summary() for arm in ARMS}
    return {"tolerances": TOLERANCES, "arms": table, "moved": moved}


def measure(config: TrainConfig) -> dict:
    """The same draws, trained."""
    trainee = Trainee(config, load_data(config))
    ideal, found, _ = end_of(trainee, arms(trainee, PREDICTED), {})
    readings = {name: read(trainee, w) for name, w in found.items()}
    return {
        "arms": described(
            read(trainee, ideal), readings, {name: w - ideal for name, w in found.items()}
        )
    }


def course(config: TrainConfig, draws: int = 3) -> dict:
    """Lengths after every epoch, predicted and measured; the parts of ML-CLAP's draws;
    interventions at the end.
    """
    trainee, parts = Trainee(config, load_data(config)), []
    lengths = {arm: {"measured": [], "predicted": []} for arm in ARMS}
    walked = training_replay.walk(
        trainee, arms(trainee, ONE | {"ML-CLAP": draws}), arms(trainee, ONE)
    )
    for epoch, ideal, found, guessed in walked:
        for arm, row in lengths.items():
            for kind, runs in (("measured", found), ("predicted", guessed)):
                row[kind].append((runs[f"{arm}/0"] - ideal).norm().item())
        if epoch in MARKS:
            parts.append({"epoch": epoch} | parts_of(trainee, ideal, by_arm(found)["ML-CLAP"]))
    others = {arm: found[f"{arm}/0"] - ideal for arm in ARMS if arm != "ML-CLAP"}
    away = [w - ideal for w in by_arm(found)["ML-CLAP"]]
    return {"lengths": lengths, "parts": parts, "moves": moves(trainee, ideal, away, others)}


def long(config: TrainConfig, draws: int = 2) -> dict:
    """The parts over a run of full length, and ML-CLAP's length as predicted."""
    trainee, parts = Trainee(config, load_data(config)), []
    walked = training_replay.walk(
        trainee, arms(trainee, {"ML-CLAP": draws}), arms(trainee, {"ML-CLAP": 1})
    )
    for epoch, ideal, found, guessed in walked:
        if epoch in MARKS:
            runs = {"predicted": guessed, "measured": found}
            row = {kind: (run["ML-CLAP/0"] - ideal).norm().item() for kind, run in runs.items()}
            parts.append({"epoch": epoch} | row | parts_of(trainee, ideal, list(found.values())))
    return {"parts": parts}


def parts_of(trainee: Trainee, ideal: Tensor, draws: Sequence[Tensor]) -> dict:
    """Length, cosine, systematic and own part of some draws' weights; what they, their mean and KCL
    do on test.
    """
    mean, back = torch.stack(draws).mean(0), trainee.start - ideal
    row = dataclasses.asdict(take_apart([w - ideal for w in draws]))
    row |= {"towards_start": _cosine(mean - ideal, back), "travelled": back.norm().item()}
    row["draw"] = _means(read(trainee, w).summary() for w in draws)
    return row | {"mean": read(trainee, mean).summary(), "kcl": read(trainee, ideal).summary()}


def moves(
    trainee: Trainee, ideal: Tensor, draws: Sequence[Tensor], others: dict[str, Tensor]
) -> list[dict]:
    """KCL's weights moved along the parts of the draws' displacements, random directions, and other
    schemes' ways.
    """
    (first, *rest), mean, back = draws, torch.stack(draws).mean(0), trainee.start - ideal
    along_back = back * (torch.dot(mean, back) / torch.dot(back, back))
    ways = {
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
        "random, matrix by matrix": random_like(
            first, 0, [shape.numel() for shape in trainee.shapes.values()]
        ),
    }
    before = read(trainee, ideal)
    named = [
        (name, way, group is others) for group in (ways, others) for name, way in group.items()
    ]
    return [
        {"move": name, "scheme": own} | effect(before, trainee, ideal, way)
        for name, way, own in named
    ]


def effect(before: Reading, trainee: Trainee, ideal: Tensor, way: Tensor) -> dict[str, float]:
    """What moving the ideal weights along `way` does: length, change of margins by part, and the
    new summary.

    only_common, only_between: MRV if the margins had changed by that part alone.
    """
    after = read(trainee, ideal + way)
    parts = dict(
        zip(
            ("common", "between"),
            weight_displacement.common_and_between(before.margins, after.margins),
            strict=True,
        )
    )
    sizes = {name: weight_displacement.root_mean_square(part) for name, part in parts.items()}
    own = np.isinf(before.margins)
    moved = {
        name: np.where(own, np.inf, np.where(own, 0, before.margins) + part)
        for name, part in parts.items()
    }
    alone = {f"only_{name}": of_margins(margins)["mrv"] for name, margins in moved.items()}
    return {"length": way.norm().item()} | sizes | alone | after.summary()


def descent(config: TrainConfig, rates: Sequence[float] = (0.1, 0.3, 1.0), draws: int = 2) -> dict:
    """The parts under SGD, whose mean displacement is 0 to first order; the rate is chosen by KCL's
    recall on val.
    """
    data, tried, parts = load_data(config), {}, []
    for rate in rates:
        trainee = Trainee(config.replace(epochs=min(4, config.epochs), learning_rate=rate), data)
        ideal, _, _ = end_of(trainee, {}, {})
        tried[str(rate)] = read(trainee, ideal, "val").summary()["recall"]
    best = float(max(tried, key=tried.get))
    trainee = Trainee(config.replace(learning_rate=best), data)
    walked = training_replay.walk(
        trainee, arms(trainee, {"ML-CLAP": draws}), arms(trainee, {"ML-CLAP": 2})
    )
    for epoch, ideal, found, guessed in walked:
        if epoch in MARKS:
            row = {"epoch": epoch} | parts_of(trainee, ideal, list(found.values()))
            parts.append(
                row | {"cosine_predicted": take_apart([w - ideal for w in guessed.values()]).cosine}
            )
    away = [w - ideal for w in found.values()]
    return {"val": tried, "rate": best, "parts": parts, "moves": moves(trainee, ideal, away, {})}


def candidates(config: TrainConfig, shorter: Sequence[int] = (2, 3), draws: int = 2) -> dict:
    """What the systematic part may be: Adam's scale, slower progress, single pairs learned by
    heart, forgetting.
    """
    data = load_data(config)
    trainee = Trainee(config, data)
    kcl, drawn = trainee.scheme("kcl"), list(arms(trainee, {"ML-CLAP": draws}).values())
    lead, runs = (
        training_replay.Follower(trainee),
        [training_replay.Follower(trainee) for _ in drawn],
    )
    scaled = [training_replay.Split(trainee) for _ in drawn]
    with torch.random.fork_rng():
        for moment in training_replay.moments(config, trainee.source):
            for scheme, run, split in zip(drawn, runs, scaled, strict=True):
                run.step(trainee.slope(run.weights, scheme, moment), moment.rate)
                even, noisy = (
                    trainee.slope(split.weights, which, moment) for which in (kcl, scheme)
                )
                split.step_split(
                    even, torch.hypot(even, noisy - even), moment.rate
                )  # never less than KCL's scale
            lead.step(trainee.slope(lead.weights, kcl, moment), moment.rate)
    ideal, here, rows = lead.weights, read(trainee, lead.weights), []
    groups = {"ML-CLAP": runs, "KCL, noise in its scale": scaled}
    away = {name: [run.weights - ideal for run in group] for name, group in groups.items()}
    for name, ways in away.items():
        averages = _means(effect(here, trainee, ideal, way) for way in ways)
        towards = float(
            np.mean([_cosine(way, away["ML-CLAP"][1 - i]) for i, way in enumerate(ways)])
        )
        rows.append(
            {"run": name}
            | averages
            | {"cosine": take_apart(ways).cosine, "cosine_other_draw": towards}
        )
    for epochs in shorter:
        end, _, _ = end_of(Trainee(config.replace(epochs=epochs), data), {}, {})
        row = {"run": f"KCL, {epochs} epochs"} | effect(here, trainee, ideal, end - ideal)
        rows.append(
            row | {"cosine_mean": _cosine(end - ideal, torch.stack(away["ML-CLAP"]).mean(0))}
        )
    return {
        "kcl": here.summary(),
        "runs": rows,
        "memory": memory(trainee, ideal, runs[0], drawn[0]),
    }


def _cosine(a: Tensor, b: Tensor) -> float:
    return torch.cosine_similarity(a, b, dim=0).item()


def memory(
    trainee: Trainee, ideal: Tensor, run: training_replay.Follower, scheme: Scheme, clips: int = 500
) -> dict:
    """Ranks among the first training clips: pairs by the epochs since a clip was last met in that
    language.
    """
    history = np.stack(
        [scheme.languages(e)[:clips, 0] for e in range(trainee.config.epochs)]
    )  # [E, n]
    met = history[..., None] == np.arange(len(trainee.config.languages))  # [E, n, K]
    since = np.where(
        met.any(0), np.argmax(met[::-1], axis=0), -1
    )  # 0: in the last epoch; -1: never
    pairs, result = {"since": since, "times": met.sum(0)}, {}
    for name, weights in (("KCL", ideal), ("ML-CLAP", run.weights)):
        found = read(trainee, weights, "train", clips)
        result[name] = found.summary() | {"val": read(trainee, weights, "val").summary()}
        first = rank_margins.ranks_of(found.margins)[:clips]
        for kind, counts in pairs.items():
            result[name][kind] = {
                str(count): _mean_ranks(first[counts == count]) for count in np.unique(counts)
            }
    return result


def _mean_ranks(chosen: np.ndarray) -> dict[str, float]:
    recall, log_rank = 100 * float((chosen == 1).mean()), float(np.log(chosen).mean())
    return {"pairs": chosen.size, "recall": recall, "log_rank": log_rank}


STUDIES: dict[str, tuple[Callable[[TrainConfig], dict], TrainConfig]] = {
    **{f"predict_{start}": (predict, TrainConfig(epochs=4, seed=start)) for start in STARTS},
    **{f"measure_{start}": (measure, TrainConfig(epochs=4, seed=start)) for start in STARTS},
    "course": (course, TrainConfig(epochs=8)),
    "long": (long, TrainConfig(epochs=16)),
    "descent": (descent, TrainConfig(epochs=8, optimizer="sgd", learning_rate=1.0)),
    "candidates": (candidates, TrainConfig(epochs=4)),
}


def key_of(name: str) -> str:
    """What a study's file depends on: RECIPE, its name, its settings and the data."""
    _, config = STUDIES[name]
    return storage.checksum(RECIPE, name, key_settings(config.as_dict()), _book_checksum())


@functools.cache
def _book_checksum() -> str:
    """Of the book's data, on which all studies here are."""
    return data_checksum(TrainConfig())


def main(names: Sequence[str]) -> None:
    """Run the named studies and write their files."""
    for name in names:
        (study, config), started = STUDIES[name], time.perf_counter()
        found = study(config)
        about = {
            "study": name,
            "config": config.as_dict(),
            "key": key_of(name),
            "made": made_with(),
        }
        about["seconds"] = time.perf_counter() - started
        short = json.loads(
            json.dumps(about | found), parse_float=lambda number: float(f"{float(number):.5g}")
        )
        storage.write_json(
            FOLDER / f"{name}.json", short
        )  # 5 significant digits: the files are read by people too
        print(f"{name}: {about['seconds']:.0f} s")


def stale() -> list[str]:
    """The studies whose file is missing, or was made with another RECIPE, other settings or other
    data.
    """
    files = {name: FOLDER / f"{name}.json" for name in STUDIES}
    return [
        name
        for name, path in files.items()
        if not path.exists() or storage.read_json(path)["key"] != key_of(name)
    ]


if __name__ == "__main__":
    main(sys.argv[1:] or stale())
