"""A run is a folder: what was asked, what came out, and the weights. Load it if its key exists,
else train it.
"""

import contextlib
import os
import pathlib
import platform
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from atri_lib import __version__, storage
from atri_lib.data.banks import BOOK
from atri_lib.encoders.dual import DualEncoder
from atri_lib.recipe import RECIPE, key_settings
from atri_lib.schemes import SCHEMES
from atri_lib.training.checkpoints import load_state, trained_state
from atri_lib.training.config import TrainConfig
from atri_lib.training.loop import train
from atri_lib.training.processes import agreed, processes
from atri_lib.training.scoring import Scores, score
from atri_lib.training.sources import TrainingData, build_model, load_data

FILES = ("weights.safetensors", "ranks.safetensors", "history.csv", "retrieval.csv", "config.json")
METRICS, CHECKPOINT = (
    "metrics.json",
    "checkpoint.safetensors",
)  # what says that a run is complete; what it goes on from
NEEDED = {
    "name": str,
    "origin": str,
    "note": str,
    "train_seconds": float,
    "test": dict,
    "sha256": dict,
}  # of metrics
NOT_THE_BOOKS = "not the data of the book: its numbers are of the recordings of Tux Paint"


class RunError(ValueError):
    """A run folder that is incomplete, damaged or does not fit its description."""


@dataclass(frozen=True)
class Run:
    """A finished run. history: one row an epoch; metrics: seed, versions, cost, test scores;
    scores: ranks on test.

    loaded: whether this call found it in the cache (then seconds is what the training once took).
    """

    path: pathlib.Path
    config: TrainConfig
    history: pd.DataFrame
    metrics: dict
    scores: Scores
    loaded: bool

    @property
    def seconds(self) -> float:
        """Optimisation time in seconds, without features and evaluation."""
        return self.metrics["train_seconds"]

    def model(self, data: TrainingData) -> DualEncoder:
        """The trained model, in evaluation mode. data: load_data(run.config)."""
        model = build_model(self.config, data)
        load_state(model, _tensors(self.path / FILES[0]), str(self.path / FILES[0]))
        device = next((source.device for source in data.splits.values()), torch.device("cpu"))
        return model.to(device).eval()

    def __str__(self) -> str:
        verb = "loaded" if self.loaded else "trained"
        name = (
            self.config.scheme
            if self.config.m is None
            else f"{self.config.scheme}({self.config.m})"
        )
        return f"{verb} {name} seed {self.config.seed} ({self.seconds:.1f} s of training)"

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Run":
        """Read a run folder. Raises RunError naming the file that is missing or unreadable."""
        return _read(storage.expanded(path), loaded=True)

    @classmethod
    def resume(cls, path: str | os.PathLike) -> "Run":
        """Finish the run of a folder that was interrupted (it holds config.json, perhaps a
        checkpoint).
        """
        path = pathlib.Path(os.path.realpath(storage.expanded(path)))
        with contextlib.suppress(RunError):
            return cls.load(path)
        try:
            config = TrainConfig.from_dict(storage.read_json(path / "config.json"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path}: not a run folder, config.json cannot be read ({error})"
            ) from error
        data = load_data(config)
        if path.name != run_name(config, data):
            raise RunError(
                f"{path}: RECIPE or data changed since it was started; train it anew with load_or_train"
            )
        return load_or_train(config, data, folder=path.parent)


def run_name(config: TrainConfig, data: TrainingData) -> str:
    """Folder name of a run: scheme, seed and a checksum of RECIPE, settings, the start's weights
    and the data.
    """
    start = storage.sha256_file(_weights(config.init)) if config.init else ""
    key = storage.checksum(RECIPE, key_settings(config.as_dict()), start, data.checksum)
    return f"{SCHEMES[config.scheme].name}-{config.seed}-{key}"


def _weights(run: str | os.PathLike) -> pathlib.Path:
    try:
        return Run.load(run).path / FILES[0]
    except RunError as error:
        raise RunError(f"init={str(run)!r}: give the folder of a finished run ({error})") from error


def _tensors(path: pathlib.Path) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: damaged weights ({error}); train the run again") from error


def fit(
    config: TrainConfig, data: TrainingData | None = None, folder: str | os.PathLike | None = None
) -> Run:
    """Train, score on the test split and keep the run. See load_or_train, which looks for a
    finished run first.
    """
    return load_or_train(config, data, folder=folder, again=True)


def load_or_train(
    config: TrainConfig,
    data: TrainingData | None = None,
    *,
    folder: str | os.PathLike | None = None,
    again: bool = False,
) -> Run:
    """The run of a config: loaded if its key (RECIPE, settings, data) is in `folder`, else trained
    and kept there.

    An interrupted run goes on from its last checkpoint. A second program that wants the same run
    waits for the first. The processes of one launch (accelerate) train it together and the first of
    them writes; they do not wait for another program, but raise RunError. folder: the cache's runs
    by default. again=True trains even if a finished run exists, which stays as it is until the new
    one, then complete, takes its place; other files in its folder are kept.
    """
    launch = processes()
    data = data or load_data(config)
    parent = storage.expanded(folder) if folder else storage.cache_dir("runs")
    path = parent / run_name(config, data)
    waiting = f"another process is training this run; waiting for {path.name}"

    def finished() -> Run | None:
        found = None
        if launch.is_main_process and not again:
            with contextlib.suppress(RunError):
                found = _asked_for(config, path)
        return (found or _asked_for(config, path)) if agreed(found is not None) else None

    if run := finished():  # before anything is written: the folder may be read-only
        return run
    place = pathlib.Path(os.path.realpath(path))
    if place.name != path.name:
        raise RunError(f"{path}: a link to {place}, where another run is; remove the link")
    place.parent.mkdir(parents=True, exist_ok=True)
    alone = storage.locked(place, waiting, wait=launch.num_processes == 1)
    try:
        with alone if launch.is_main_process else contextlib.nullcontext():
            if run := finished():
                return run
            _train_into(place, config, data)
            return _read(path, loaded=False)
    except TimeoutError:
        raise RunError(
            f"{path}: another program trains this run; start again when it is done"
        ) from None


def two_stages(
    config: TrainConfig, schemes: Sequence[str], data: TrainingData | None = None, folder=None
) -> dict:
    """The paper's recipe: an ML-CLAP run, then from its weights one run of each scheme; returns
    {scheme: Run}.

    Both stages take config.epochs epochs. The first run's folder is each result's `config.init`.
    """
    data = data or load_data(config)
    first = load_or_train(config.replace(scheme="ml_clap"), data, folder=folder)
    second = config.replace(init=str(first.path))
    return {
        scheme: load_or_train(second.replace(scheme=scheme), data, folder=folder)
        for scheme in schemes
    }


def _asked_for(config: TrainConfig, path: pathlib.Path) -> Run:
    """The finished run of a config at `path`. Raises RunError also where another run's files are
    there.
    """
    run = _read(path, loaded=True)
    kept, asked = (key_settings(one.as_dict()) for one in (run.config, config))
    if run.metrics["name"] != path.name or kept != asked:
        raise RunError(
            f"{path}: holds the run {run.metrics['name']}, not the one that was asked for"
        )
    return run


def _train_into(path: pathlib.Path, config: TrainConfig, data: TrainingData) -> None:
    launch = processes()
    data_path = config.data
    if data_path and os.path.exists(data_path):  # else a class from outside
        data_path = os.path.abspath(data_path)
    config = config.replace(data=data_path)
    if launch.is_main_process:
        path.mkdir(parents=True, exist_ok=True)
        try:
            _asked_for(config, path)  # then it stays as it is until the new one is complete
        except RunError:
            storage.write_json(path / "config.json", config.as_dict())
    launch.wait_for_everyone()
    try:
        _trained(path, config, data)
    except Exception:
        if launch.is_main_process and storage.only_begun(path):
            shutil.rmtree(path)  # nothing to go on from
        raise


def _trained(path: pathlib.Path, config: TrainConfig, data: TrainingData) -> None:
    launch, started = processes(), time.perf_counter()
    model = build_model(config, data)
    if config.init:
        origin = _weights(config.init)
        towers = {name: value for name, value in trained_state(model).items() if "_tower." in name}
        load_state(
            model, towers | _tensors(origin), str(origin)
        )  # a tower that was frozen begins as published
    with (
        torch.random.fork_rng()
    ):  # the caller's generator is the same whether the run is loaded or trained
        history = pd.DataFrame(train(config, data, model, path / CHECKPOINT))
    result = score(model, data.splits["test"])
    if launch.is_main_process:
        tensors = {name: value.contiguous().cpu() for name, value in trained_state(model).items()}
        ranks = {"t2a": np.ascontiguousarray(result.t2a), "a2t": np.ascontiguousarray(result.a2t)}
        metrics = {
            "name": path.name,
            "scheme": config.scheme,
            "seed": config.seed,
            "library": __version__,
            "data": data.checksum,
            "origin": data_origin(data),
            "note": "" if data_origin(data) == BOOK else NOT_THE_BOOKS,
            "recipe": RECIPE,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {_accelerator()}",
            "train_seconds": float(history["seconds"].sum()),
            "wall_seconds": time.perf_counter() - started,
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "test": result.summary,
        }
        with storage.atomic_path(
            path, folder=True, replace=True
        ) as new:  # the checkpoint goes with the old one
            _keep_additions(path, new)
            save_tensors(tensors, new / FILES[0])
            save_file(ranks, new / FILES[1])
            (new / FILES[2]).write_text(history.to_csv(index=False), encoding="utf-8")
            (new / FILES[3]).write_text(result.table.to_csv(), encoding="utf-8")
            storage.write_json(new / FILES[4], config.as_dict())
            sums = {name: storage.sha256_file(new / name) for name in FILES}
            storage.write_sealed(new / METRICS, metrics | {"sha256": sums})
    launch.wait_for_everyone()  # the others, until the first process has written the run


def _keep_additions(old: pathlib.Path, new: pathlib.Path) -> None:
    """Copy what somebody has put into a run's folder."""
    for entry in old.iterdir():
        if entry.name in (*FILES, METRICS, CHECKPOINT) or entry.name.endswith(storage.PARTIAL):
            continue
        if entry.is_symlink() or entry.is_file():
            shutil.copy2(entry, new / entry.name, follow_symlinks=False)
        elif entry.is_dir():
            shutil.copytree(entry, new / entry.name, symlinks=True)


def data_origin(data: TrainingData) -> str:
    """What the test split is of: a bank of sounds ("tuxpaint" is the book's) or a manifest's
    folder.
    """
    return data.splits["test"].dataset.origin


def _read(path: pathlib.Path, loaded: bool) -> Run:
    before = _identity(path)
    if before is None:
        storage.settle(
            os.path.realpath(path)
        )  # it was about to be replaced when its program was killed
        before = _identity(path)
    try:
        metrics = storage.read_sealed(path / METRICS)
        if wrong := [
            name for name, kind in NEEDED.items() if not isinstance(metrics.get(name), kind)
        ]:
            raise ValueError(f"{METRICS} has no {', '.join(wrong)}")
        for name in FILES:
            if storage.sha256_file(path / name) != metrics["sha256"].get(name):
                raise ValueError(
                    f"{name} is not what was written: its SHA-256 differs from {METRICS}"
                )
        config = TrainConfig.from_dict(storage.read_json(path / FILES[4]))
        history, ranks = pd.read_csv(path / FILES[2]), load_file(path / FILES[1])
        table = pd.read_csv(path / FILES[3], index_col="language")
        scores = Scores(ranks["t2a"], ranks["a2t"], table, metrics["test"])
        _check(history, scores)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if _identity(path) != before:
            return _read(path, loaded)  # another program has replaced it while it was read
        raise RunError(f"{path}: not a complete run ({error}); {_advice(path)}") from error
    return Run(path, config, history, metrics, scores, loaded)


def _advice(path: pathlib.Path) -> str:
    """What to do about a folder that is no complete run."""
    if (path / "config.json").is_file() and not (path / METRICS).exists():
        return f"finish it with `python -m atri_lib train --resume {shlex.quote(str(path))}`"
    return (
        "give the folder of a finished run, or train it (load_or_train, `python -m atri_lib train`)"
    )


def _identity(path: pathlib.Path) -> tuple[int, int] | None:
    """What tells a folder from another one that takes its place; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check(history: pd.DataFrame, scores: Scores) -> None:
    """Raises ValueError for numbers that no run has, KeyError for a column that is missing."""
    for name in ("t2a", "a2t"):
        ranks = getattr(scores, name)
        if ranks.ndim != 2 or ranks.dtype.kind not in "iu" or not ranks.size or ranks.min() < 1:
            raise ValueError(f"{FILES[1]}: {name} holds no ranks")
    numbers = {FILES[2]: history[["epoch", "loss", "seconds"]], FILES[3]: scores.table}
    numbers[METRICS] = pd.Series(scores.summary)
    for name, values in numbers.items():
        if not np.isfinite(values.to_numpy(float)).all():
            raise ValueError(f"{name}: values that are not finite numbers")


def _accelerator() -> str:
    return (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{torch.get_num_threads()} CPU threads"
    )
