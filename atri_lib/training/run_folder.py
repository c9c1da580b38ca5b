"""The folder of a finished run: written at once, checked whenever it is read."""

import contextlib
import os
import pathlib
import platform
import shlex
import shutil

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
FAULTS = (OSError, ValueError, KeyError, TypeError, SafetensorError)
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
    """Put a finished run in the place of what the folder held, atomically; what somebody else has
    put there stays, the checkpoint goes.
    """
    with storage.atomic_path(path, folder=True) as new:
        _keep_additions(path, new)
        save_file(weights, new / WEIGHTS)
        ranks = {"t2a": scores.t2a, "a2t": scores.a2t}
        # Of an array that is not contiguous safetensors writes other numbers.
        whole = {name: np.ascontiguousarray(values) for name, values in ranks.items()}
        save_arrays(whole, new / RANKS)
        history.to_csv(new / HISTORY, index=False)
        scores.table.to_csv(new / TABLE)
        storage.write_json(new / CONFIG, config.as_dict())
        sums = {name: storage.sha256_file(new / name) for name in FILES}
        storage.write_sealed(new / METRICS, metrics | {"sha256": sums})


def _keep_additions(old: pathlib.Path, new: pathlib.Path) -> None:
    """Copy what somebody has put into a run's folder, but for pipes and sockets."""

    def left(folder: str, names: list[str]) -> set[str]:
        odd = {name for name in names if not _can_be_copied(pathlib.Path(folder, name))}
        return odd | {*FILES, METRICS, CHECKPOINT} if folder == str(old) else odd

    if old.exists():
        storage.settle(old / CHECKPOINT)
        shutil.copytree(old, new, symlinks=True, ignore=left, dirs_exist_ok=True)


def _can_be_copied(path: pathlib.Path) -> bool:
    return path.is_symlink() or path.is_file() or path.is_dir()


def describe_begun(path: pathlib.Path, config: TrainConfig) -> None:
    """Keep the settings of a run that can be gone on with; those of a finished one of this name
    stay.
    """
    with contextlib.suppress(RunError):
        _, _, metrics, _ = read_run(path)
        if metrics["name"] == path.name:
            return
    storage.write_json(path / CONFIG, config.as_dict())


def read_run(path: pathlib.Path) -> tuple[TrainConfig, pd.DataFrame, dict, Scores]:
    """Read and check all files of a run but its weights, of which only the checksum is looked at:
    config, history, metrics and scores.

    Raises RunError naming the file that is missing or unreadable.
    """
    try:
        return _checked_content(path)
    except FAULTS:
        # A program may have been killed while it replaced the folder, or have just done so.
        storage.settle(os.path.realpath(path))
    try:
        return _checked_content(path)
    except FAULTS as error:
        raise RunError(f"{path}: not a complete run ({error}); {_advice(path)}") from error


def _checked_content(path: pathlib.Path) -> tuple[TrainConfig, pd.DataFrame, dict, Scores]:
    metrics = storage.read_sealed(path / METRICS)
    for name, kind in NEEDED_METRICS.items():
        if not isinstance(metrics.get(name), kind):
            raise ValueError(f"{METRICS} has no {name}")
    for name in FILES:
        if storage.sha256_file(path / name) != metrics["sha256"].get(name):
            raise ValueError(f"{name} is not what was written: its SHA-256 differs from {METRICS}")
    config = TrainConfig.from_dict(storage.read_json(path / CONFIG))
    history = pd.read_csv(path / HISTORY)
    table = pd.read_csv(path / TABLE, index_col="language")
    ranks = {name: values.copy() for name, values in load_file(path / RANKS).items()}
    return config, history, metrics, Scores(table=table, summary=metrics["test"], **ranks)


def _advice(path: pathlib.Path) -> str:
    """What to do about a folder that is no complete run."""
    if (path / CONFIG).is_file() and not (path / METRICS).exists():
        return f"finish it with `python -m atri_lib train --resume {shlex.quote(str(path))}`"
    return (
        "give the folder of a finished run, or train it (load_or_train, `python -m atri_lib train`)"
    )
