"""Costs from one place: seconds of training, of a step and of a scene, and a step's memory, as
`make benchmark` measured them.

It measures alone on an idle machine and keeps its figures with hardware and date in
studies/rows/seconds.json. Chapters read them here, so that two chapters never give two times for
one run, and no chapter has to run alone.
"""

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

import pandas as pd

from atri_lib import storage
from atri_lib.training import Run, TrainConfig
from studies.cost import Setting, measure

STORED = pathlib.Path(__file__).resolve().parent / "rows" / "seconds.json"
# What a training run costs does not follow from these; its epochs are multiplied in.
RUN_IGNORES = (
    "seed",
    "data_seed",
    "epochs",
    "learning_rate",
    "schedule",
    "temperature",
    "init",
    "evaluate_every",
    "checkpoint_every",
)
NEEDED = ("machine", "date", "busy", "training", "steps", "scene")
STEP_IGNORES = ("seed", "repeats", "seconds", "tensors", "resident", "way")
HERE = (
    "seconds: as they were measured here, perhaps beside other programs "
    "(the benchmark has other settings)"
)


def stored(path: pathlib.Path = STORED) -> dict:
    """The benchmark's figures. Raises ValueError that names the file and the command that writes
    it.
    """
    return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=4)
def _read(path: pathlib.Path, changed: int) -> dict:
    try:
        found = storage.read_sealed(path)
        missing = [name for name in NEEDED if name not in found]
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not readable ({error}); run `make benchmark`") from error
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}; run `make benchmark`")
    if not _has_figures(found):
        raise ValueError(f"{path}: figures that are no numbers; run `make benchmark`")
    return found


def _has_figures(found: dict) -> bool:
    """Do all rows have what is asked of them, as numbers?"""
    try:
        figures = [found["scene"]]
        for row in found["training"]:
            figures.append(row["epoch"])
            dict(row["config"])
        for row in found["steps"]:
            figures += [row["seconds"], row["tensors"], row["resident"]]
    except (TypeError, KeyError, ValueError):
        return False
    return all(type(figure) in (int, float) for figure in figures)


class Measured(NamedTuple):
    """Seconds in the order of what was asked for, and where they were measured, in one line."""

    values: list[float]
    source: str


def cost_of(config: TrainConfig) -> dict:
    """The settings that decide what an epoch of a run costs, without those that have their
    default.
    """
    plain = TrainConfig().as_dict()
    changed = {name: value for name, value in config.as_dict().items() if value != plain[name]}
    kept = {name: value for name, value in changed.items() if name not in RUN_IGNORES}
    return json.loads(json.dumps(kept | {"scheme": config.scheme}))  # tuples as the file has them


def of_configs(configs: Sequence[TrainConfig], path: pathlib.Path = STORED) -> Measured:
    """Seconds of optimisation of such runs on one core. Raises ValueError for one that the
    benchmark does not have.
    """
    values = []
    for config in configs:
        epoch = _epoch(config, path)
        if epoch is None:
            raise ValueError(
                f"{path}: no run like {cost_of(config)}; "
                "add it to the benchmark, run `make benchmark`"
            )
        values.append(epoch * config.epochs)
    return Measured(values, _source(path))


def of_runs(runs: Sequence[Run], path: pathlib.Path = STORED) -> Measured:
    """As of_configs; if the benchmark lacks one of the runs (own data, another profile), what all
    of them took here.
    """
    if any(_epoch(run.config, path) is None for run in runs):
        return Measured([run.seconds for run in runs], HERE)
    return of_configs([run.config for run in runs], path)


def of_steps(settings: Sequence[Setting], path: pathlib.Path = STORED) -> tuple[pd.DataFrame, str]:
    """The table of `studies.cost.measure` for some settings, and where it was measured.

    If the benchmark lacks one of them (another profile), all are measured here.
    """
    known = {_setting(row): row for row in stored(path)["steps"]}
    wanted = [asdict(setting) for setting in settings]
    if any(_setting(row) not in known for row in wanted):
        return measure(settings), HERE
    rows = [row | known[_setting(row)] for row in wanted]
    return pd.DataFrame(rows), _source(path)


def of_scene(path: pathlib.Path = STORED) -> Measured:
    """Processor seconds to render one scene of the book."""
    return Measured([stored(path)["scene"]], _source(path))


def _source(path: pathlib.Path) -> str:
    found = stored(path)
    line = f"seconds: measured {found['date']} on {found['machine']}"
    if found["busy"]:
        return f"{line}, beside other programs (provisional)"
    return f"{line}, otherwise idle"


def _epoch(config: TrainConfig, path: pathlib.Path) -> float | None:
    """Seconds of one epoch, if the benchmark has such a run."""
    wanted = cost_of(config)
    for row in stored(path)["training"]:
        if row["config"] == wanted:
            return row["epoch"]
    return None


def _setting(row: Mapping) -> str:
    """What a step costs follows from this part of a row."""
    return json.dumps({name: row[name] for name in row if name not in STEP_IGNORES}, sort_keys=True)
