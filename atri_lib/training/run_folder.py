"""The folder of a finished run: complete with its last file, checked whenever it is read."""

import os
import pathlib
import platform
import shlex

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import Tensor

from atri_lib import __version__, storage
from atri_lib.data.banks import BOOK
from atri_lib.recipe import RECIPE
from atri_lib.training.config import TrainConfig
from atri_lib.training.scoring import Scores
from atri_lib.training.sources import TrainingData, data_origin

WEIGHTS = "weights.safetensors"
RANKS = "ranks.safetensors"
HISTORY = "history.csv"
TABLE = "retrieval.csv"
CONFIG = "config.json"
FILES = (WEIGHTS, RANKS, HISTORY, TABLE, CONFIG)
METRICS = "metrics.json"  # what says that a run is complete
CHECKPOINT = "checkpoint.safetensors"  # what an interrupted run goes on from
NEEDED_METRICS = {
    "name": str,
    "origin": str,
    "note": str,
    "train_seconds": float,
    "test": dict,
    "sha256": dict,
}
NOT_THE_BOOKS = "not the data of the book: its numbers are of the recordings of Tux Paint"


class RunError(ValueError):
    """A run folder that is incomplete, damaged or does not fit its description."""


def provenance(name: str, config: TrainConfig, data: TrainingData) -> dict:
    """The first part of a run's metrics: of what data it is, by what versions, on what machine."""
    origin = data_origin(data)
    computed = f"{torch.get_num_threads()} CPU threads"
    if torch.cuda.is_available():
        computed = torch.cuda.get_device_name()
    return {
        "name": name,
        "scheme": config.scheme,
        "seed": config.seed,
        "library": __version__,
        "data": data.checksum,
        "origin": origin,
        "note": "" if origin == BOOK else NOT_THE_BOOKS,
        "recipe": RECIPE,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {computed}",
    }


def write_run(
    path: pathlib.Path,
    config: TrainConfig,
    history: pd.DataFrame,
    metrics: dict,
    scores: Scores,
    weights: dict[str, Tensor],
) -> None:
    """Write the files of a finished run, each atomically, and last its metrics, which say that it
    is complete. What somebody else has put into the folder stays, the checkpoint goes.
    """
    with storage.atomic_path(path / WEIGHTS) as new:
        save_file(weights, new)
    ranks = {"t2a": scores.t2a, "a2t": scores.a2t}
    # Of an array that is not contiguous safetensors writes other numbers.
    whole = {name: np.ascontiguousarray(values) for name, values in ranks.items()}
    with storage.atomic_path(path / RANKS) as new:
        save_arrays(whole, new)
    storage.write_text(path / HISTORY, history.to_csv(index=False))
    storage.write_text(path / TABLE, scores.table.to_csv())
    storage.write_json(path / CONFIG, config.as_dict())
    sums = {name: storage.sha256_file(path / name) for name in FILES}
    storage.write_sealed(path / METRICS, metrics | {"sha256": sums})
    storage.settle(path / CHECKPOINT)
    (path / CHECKPOINT).unlink(missing_ok=True)


def read_run(path: pathlib.Path) -> tuple[TrainConfig, pd.DataFrame, dict, Scores]:
    """Read and check all files of a run but its weights, of which only the checksum is looked at:
    config, history, metrics and scores.

    Raises RunError naming the file that is missing or unreadable.
    """
    try:
        metrics = storage.read_sealed(path / METRICS)
        for name, kind in NEEDED_METRICS.items():
            if not isinstance(metrics.get(name), kind):
                raise ValueError(f"{METRICS} has no {name}")
        for name in FILES:
            if storage.sha256_file(path / name) != metrics["sha256"].get(name):
                raise ValueError(f"{name} is not what was written: its SHA-256 differs")
        config = TrainConfig.from_dict(storage.read_json(path / CONFIG))
        history = pd.read_csv(path / HISTORY)
        table = pd.read_csv(path / TABLE, index_col="language")
        ranks = {name: values.copy() for name, values in load_file(path / RANKS).items()}
        return config, history, metrics, Scores(table=table, summary=metrics["test"], **ranks)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        fix = "give the folder of a finished run"
        if (path / CONFIG).is_file():
            fix = f"finish it with `python -m atri_lib train --resume {shlex.quote(str(path))}`"
        raise RunError(f"{path}: not a complete run ({error}); {fix}") from error
