"""The folder of a finished run: written at once, checked whenever it is read."""

import os
import pathlib
import shlex
import shutil
from dataclasses import dataclass

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from torch import Tensor

from atri_lib import storage
from atri_lib.training.config import TrainConfig
from atri_lib.training.scoring import Scores

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


class RunError(ValueError):
    """A run folder that is incomplete, damaged or does not fit its description."""


@dataclass(frozen=True)
class Content:
    """What the files of a run say. history: one row an epoch; metrics: seed, versions, cost, test
    scores; scores: ranks on test.
    """

    config: TrainConfig
    history: pd.DataFrame
    metrics: dict
    scores: Scores


def write_run(path: pathlib.Path, content: Content, weights: dict[str, Tensor]) -> None:
    """Put a finished run in the place of what the folder held, atomically; what somebody else has
    put there stays, the checkpoint goes.
    """
    scores = content.scores
    ranks = {
        "t2a": np.ascontiguousarray(scores.t2a),
        "a2t": np.ascontiguousarray(scores.a2t),
    }
    with storage.atomic_path(path, folder=True) as new:
        _keep_additions(path, new)
        save_tensors(weights, new / WEIGHTS)
        save_file(ranks, new / RANKS)
        (new / HISTORY).write_text(content.history.to_csv(index=False), encoding="utf-8")
        (new / TABLE).write_text(scores.table.to_csv(), encoding="utf-8")
        storage.write_json(new / CONFIG, content.config.as_dict())
        sums = {name: storage.sha256_file(new / name) for name in FILES}
        storage.write_sealed(new / METRICS, content.metrics | {"sha256": sums})


def _keep_additions(old: pathlib.Path, new: pathlib.Path) -> None:
    """Copy what somebody has put into a run's folder."""
    ours = (*FILES, METRICS, CHECKPOINT)
    for entry in old.iterdir():
        if entry.name in ours or entry.name.endswith(storage.PARTIAL):
            continue
        if entry.is_symlink() or entry.is_file():
            shutil.copy2(entry, new / entry.name, follow_symlinks=False)
        elif entry.is_dir():
            shutil.copytree(entry, new / entry.name, symlinks=True)


def read_run(path: pathlib.Path) -> Content:
    """Read and check all files of a run but its weights, of which only the checksum is looked at.

    Raises RunError naming the file that is missing or unreadable.
    """
    before = _identity(path)
    if before is None:
        # It was about to be replaced when its program was killed.
        storage.settle(os.path.realpath(path))
        before = _identity(path)
    try:
        return _checked_content(path)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if _identity(path) != before:
            return read_run(path)  # another program has replaced it while it was read
        raise RunError(f"{path}: not a complete run ({error}); {_advice(path)}") from error


def _checked_content(path: pathlib.Path) -> Content:
    metrics = storage.read_sealed(path / METRICS)
    _check_metrics(metrics)
    for name in FILES:
        if storage.sha256_file(path / name) != metrics["sha256"].get(name):
            raise ValueError(f"{name} is not what was written: its SHA-256 differs from {METRICS}")
    config = TrainConfig.from_dict(storage.read_json(path / CONFIG))
    history = pd.read_csv(path / HISTORY)
    ranks = load_file(path / RANKS)
    table = pd.read_csv(path / TABLE, index_col="language")
    scores = Scores(ranks["t2a"], ranks["a2t"], table, metrics["test"])
    _check_numbers(history, scores)
    return Content(config, history, metrics, scores)


def _check_metrics(metrics: dict) -> None:
    wrong = []
    for name, kind in NEEDED_METRICS.items():
        if not isinstance(metrics.get(name), kind):
            wrong.append(name)
    if wrong:
        raise ValueError(f"{METRICS} has no {', '.join(wrong)}")


def _check_numbers(history: pd.DataFrame, scores: Scores) -> None:
    """Raises ValueError for numbers that no run has, KeyError for a column that is missing."""
    for name in ("t2a", "a2t"):
        ranks = getattr(scores, name)
        is_table = ranks.ndim == 2 and ranks.size > 0
        if not is_table or ranks.dtype.kind not in "iu" or ranks.min() < 1:
            raise ValueError(f"{RANKS}: {name} holds no ranks")
    numbers = {
        HISTORY: history[["epoch", "loss", "seconds"]],
        TABLE: scores.table,
        METRICS: pd.Series(scores.summary),
    }
    for name, values in numbers.items():
        if not np.isfinite(values.to_numpy(float)).all():
            raise ValueError(f"{name}: values that are not finite numbers")


def _identity(path: pathlib.Path) -> tuple[int, int] | None:
    """What tells a folder from another one that takes its place; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _advice(path: pathlib.Path) -> str:
    """What to do about a folder that is no complete run."""
    if (path / CONFIG).is_file() and not (path / METRICS).exists():
        return f"finish it with `python -m atri_lib train --resume {shlex.quote(str(path))}`"
    return (
        "give the folder of a finished run, or train it (load_or_train, `python -m atri_lib train`)"
    )


def read_weights(file: pathlib.Path) -> dict[str, Tensor]:
    """The tensors of a run's weights file. Raises RunError when it is damaged."""
    try:
        return load_tensors(file)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{file}: damaged weights ({error}); train the run again") from error
