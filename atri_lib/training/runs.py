"""A run is a folder: what was asked, what came out, and the weights. Load it if its key exists, else train it."""

import contextlib
import fcntl
import json
import os
import pathlib
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from atri_lib import __version__, storage
from atri_lib.encoders.dual import DualEncoder
from atri_lib.training.checkpoints import load_state, trained_state
from atri_lib.training.config import TrainConfig
from atri_lib.training.launch import agreed, processes
from atri_lib.training.loop import train
from atri_lib.training.scoring import Scores, score
from atri_lib.training.sources import TrainingData, build_model, load_data

CODE = ("atri_lib.losses", "atri_lib.sampling", "atri_lib.evaluation", "atri_lib.encoders.dual", "atri_lib.training")


class RunError(ValueError):
    """A run folder that is incomplete or does not fit its description."""


@dataclass(frozen=True)
class Run:
    """A finished run. history: one row an epoch; metrics: seed, versions, cost, test scores; scores: ranks on test.

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
        load_state(model, load_tensors(self.path / "weights.safetensors"), str(self.path / "weights.safetensors"))
        device = next((source.device for source in data.splits.values()), torch.device("cpu"))
        return model.to(device).eval()

    def __str__(self) -> str:
        verb = "loaded" if self.loaded else "trained"
        name = self.config.scheme if self.config.m is None else f"{self.config.scheme}({self.config.m})"
        return f"{verb} {name} seed {self.config.seed} ({self.seconds:.1f} s of training)"

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Run":
        """Read a run folder. Raises RunError naming the file that is missing or unreadable."""
        return _read(pathlib.Path(path), loaded=True)

    @classmethod
    def resume(cls, path: str | os.PathLike) -> "Run":
        """Finish the run of a folder that was interrupted (it holds config.json, perhaps a checkpoint)."""
        path = pathlib.Path(path).resolve()
        with contextlib.suppress(RunError):
            return cls.load(path)
        try:
            config = TrainConfig.from_dict(json.loads((path / "config.json").read_text()))
        except (OSError, json.JSONDecodeError, TypeError) as error:
            raise RunError(f"{path}: not a run folder, config.json cannot be read ({error})") from error
        data = load_data(config)
        if path.name != run_name(config, data):
            raise RunError(f"{path}: code or data changed since it was started; train it anew with load_or_train")
        return load_or_train(config, data, folder=path.parent)


def run_name(config: TrainConfig, data: TrainingData) -> str:
    """Folder name of a run: scheme, seed and a checksum of config, start, data and the code that trains and scores."""
    start = storage.sha256_file(_weights(config.init)) if config.init else ""
    values = config.as_dict() | {"init": start, "data": None}  # what data and start hold counts, not where they are
    return f"{config.scheme}-{config.seed}-{storage.checksum(values, data.checksum, storage.code_hash(*CODE))}"


def _weights(run: str | os.PathLike) -> pathlib.Path:
    path = pathlib.Path(run) / "weights.safetensors"
    if not path.exists():
        raise RunError(f"init={str(run)!r}: no weights.safetensors there; give the folder of a finished run")
    return path


def fit(config: TrainConfig, data: TrainingData | None = None, folder: str | os.PathLike | None = None) -> Run:
    """Train, score on the test split and keep the run. See load_or_train, which looks for a finished run first."""
    return load_or_train(config, data, folder=folder, again=True)


def load_or_train(
    config: TrainConfig,
    data: TrainingData | None = None,
    *,
    folder: str | os.PathLike | None = None,
    again: bool = False,
) -> Run:
    """The run of a config: loaded if its key (config, data, code) is in `folder`, else trained and kept there.

    An interrupted run goes on from its last checkpoint. A second program that wants the same run waits for the first.
    The processes of one launch (accelerate) train it together and the first of them writes; they do not wait for
    another program, but raise RunError.
    folder: the cache's runs by default. again=True trains even if a finished run exists, which it replaces at the end.
    """
    launch = processes()
    data = data or load_data(config)
    parent = pathlib.Path(folder) if folder else storage.cache_dir("runs")
    path = parent / run_name(config, data)
    parent.mkdir(parents=True, exist_ok=True)
    lock = parent / f".{path.name}.lock"
    with _locked(lock, wait=launch.num_processes == 1) if launch.is_main_process else contextlib.nullcontext():
        found = None
        if launch.is_main_process and not again:
            with contextlib.suppress(RunError):
                found = _read(path, loaded=True)
        if agreed(found is not None):
            return found or _read(path, loaded=True)
        if launch.is_main_process:
            path.mkdir(exist_ok=True)
            data_path = config.data and os.path.abspath(config.data)
            storage.write_json(path / "config.json", config.replace(data=data_path).as_dict())
        launch.wait_for_everyone()
        return _train_into(path, config, data)


def two_stages(config: TrainConfig, schemes: Sequence[str], data: TrainingData | None = None, folder=None) -> dict:
    """The paper's recipe: an ML-CLAP run, then from its weights one run of each scheme; returns {scheme: Run}.

    Both stages take config.epochs epochs. The first run's folder is each result's `config.init`.
    """
    data = data or load_data(config)
    first = load_or_train(config.replace(scheme="ml_clap"), data, folder=folder)
    second = config.replace(init=str(first.path))
    return {scheme: load_or_train(second.replace(scheme=scheme), data, folder=folder) for scheme in schemes}


def _train_into(path: pathlib.Path, config: TrainConfig, data: TrainingData) -> Run:
    checkpoint, started = path / "checkpoint.safetensors", time.perf_counter()
    model = build_model(config, data)
    if config.init:
        origin = _weights(config.init)
        load_state(model, load_tensors(origin), str(origin))
    with torch.random.fork_rng():  # the caller's generator is the same whether the run is loaded or trained
        history = pd.DataFrame(train(config, data, model, checkpoint))
    result = score(model, data.splits["test"])
    if not processes().is_main_process:
        processes().wait_for_everyone()  # until the first process has written the run
        return _read(path, loaded=False)
    metrics = {
        "scheme": config.scheme,
        "seed": config.seed,
        "library": __version__,
        "data": data.checksum,
        "code": storage.code_hash(*CODE),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {_accelerator()}",
        "train_seconds": float(history["seconds"].sum()),
        "wall_seconds": time.perf_counter() - started,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "test": result.summary,
    }
    tensors = {name: value.contiguous().cpu() for name, value in trained_state(model).items()}
    (path / "metrics.json").unlink(missing_ok=True)  # of a run that this one replaces
    with storage.atomic_path(path / "weights.safetensors") as partial:
        save_tensors(tensors, partial)
    with storage.atomic_path(path / "ranks.safetensors") as partial:
        save_file({"t2a": np.ascontiguousarray(result.t2a), "a2t": np.ascontiguousarray(result.a2t)}, partial)
    storage.write_text(path / "history.csv", history.to_csv(index=False))
    storage.write_text(path / "retrieval.csv", result.table.to_csv())
    storage.write_json(path / "metrics.json", metrics)  # last: its presence says that the run is complete
    checkpoint.unlink(missing_ok=True)
    processes().wait_for_everyone()
    return _read(path, loaded=False)


def _read(path: pathlib.Path, loaded: bool) -> Run:
    try:
        metrics = json.loads((path / "metrics.json").read_text())
        config = TrainConfig.from_dict(json.loads((path / "config.json").read_text()))
        history, ranks = pd.read_csv(path / "history.csv"), load_file(path / "ranks.safetensors")
        table = pd.read_csv(path / "retrieval.csv", index_col="language")
        scores = Scores(ranks["t2a"], ranks["a2t"], table, metrics["test"])
        with safe_open(path / "weights.safetensors", "pt"):  # whole, though not read
            pass
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise RunError(f"{path}: not a complete run ({error}); train it with load_or_train or Run.resume") from error
    return Run(path, config, history, metrics, scores, loaded)


def _accelerator() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"


@contextlib.contextmanager
def _locked(path: pathlib.Path, wait: bool = True) -> Iterator[None]:
    with open(path, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise RunError(f"{path}: another program trains this run; start again when it is done") from None
            print(f"another process is training this run; waiting for {path.name}", file=sys.stderr)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
