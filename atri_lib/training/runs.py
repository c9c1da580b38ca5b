"""A run is a folder: what was asked, what came out, and the weights. Load it if its key exists,
else train it.
"""

import contextlib
import os
import pathlib
from dataclasses import dataclass

import pandas as pd
import torch

from atri_lib import storage
from atri_lib.encoders.dual import DualEncoder
from atri_lib.hub import read_state_dict
from atri_lib.recipe import RECIPE, key_settings
from atri_lib.schemes import SCHEMES
from atri_lib.training.checkpoints import load_state, trained_state
from atri_lib.training.config import TrainConfig
from atri_lib.training.loop import train
from atri_lib.training.processes import agreed, processes
from atri_lib.training.run_folder import (
    CHECKPOINT,
    CONFIG,
    WEIGHTS,
    RunError,
    provenance,
    read_run,
    write_run,
)
from atri_lib.training.scoring import Scores, score
from atri_lib.training.sources import TrainingData, build_model, load_data, with_encoder


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
        weights = self.path / WEIGHTS
        load_state(model, read_state_dict(weights), weights)
        for source in data.splits.values():
            model.to(source.device)
        return model.eval()

    def __str__(self) -> str:
        verb = "loaded" if self.loaded else "trained"
        name = f"{self.config.scheme} seed {self.config.seed}"
        return f"{verb} {name} ({self.seconds:.1f} s of training)"

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Run":
        """Read a run folder. Raises RunError naming the file that is missing or unreadable."""
        path = pathlib.Path(path).expanduser()
        return cls(path, *read_run(path), loaded=True)

    @classmethod
    def resume(cls, path: str | os.PathLike) -> "Run":
        """Finish the run of a folder that was interrupted after its first checkpoint, or load it
        where it is finished.
        """
        path = pathlib.Path(path).expanduser().resolve()
        with contextlib.suppress(RunError):
            return cls.load(path)
        try:
            config = TrainConfig.from_dict(storage.read_json(path / CONFIG))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path}: not a run folder, {CONFIG} cannot be read ({error})"
            ) from error
        data = load_data(config)
        if path.name != run_name(config, data):
            raise RunError(
                f"{path}: RECIPE or data changed since it was started; "
                "train it anew with load_or_train"
            )
        return load_or_train(config, data, folder=path.parent)


# Which run it is


def run_name(config: TrainConfig, data: TrainingData) -> str:
    """Folder name of a run: scheme, seed and a checksum of RECIPE, settings, the start's weights
    and the data.
    """
    start = ""
    if config.init:
        start = Run.load(config.init).metrics["sha256"][WEIGHTS]
    key = storage.checksum(RECIPE, key_settings(config.as_dict()), start, data.checksum)
    return f"{SCHEMES[config.scheme].name}-{config.seed}-{key}"


def _finished(path: pathlib.Path) -> Run | None:
    """The run at `path`, if the first process of this launch finds a whole one. Raises RunError for
    one of another name: nothing is written over it.
    """
    found = None
    with contextlib.suppress(RunError):
        found = Run.load(path)
    if not agreed(found is not None):
        return None
    found = found or Run.load(path)
    name = found.metrics["name"]
    if name != path.name:
        raise RunError(f"{path}: holds another run, {name}; move it, or give another folder")
    with contextlib.suppress(OSError):  # left by a kill after the last file
        (path / CHECKPOINT).unlink()
    return found


# Loading or training it


def load_or_train(
    config: TrainConfig,
    data: TrainingData | None = None,
    *,
    folder: str | os.PathLike | None = None,
) -> Run:
    """The run of a config: loaded if its key (RECIPE, settings, data) is in `folder`, else trained
    and kept there.

    An interrupted run goes on from its last checkpoint. A second program that wants the same run
    waits for the first. The processes of one launch (accelerate) train it together and the first of
    them writes; they do not wait for another program, but raise TimeoutError. folder: the cache's
    runs by default. Raises RunError where the run's folder is a link or a file, or holds a finished
    run of another name.
    """
    data = data or load_data(config)
    config = with_encoder(config, data)
    parent = pathlib.Path(folder).expanduser() if folder else storage.cache_dir("runs")
    path = parent / run_name(config, data)
    # Looked for before anything is written: the folder may be read-only.
    if run := _finished(path):
        return run
    if path.is_symlink() or path.is_file():
        raise RunError(f"{path}: a run is not written through a link, or over a file; remove it")
    parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        return _finished(path) or _train(path, config, data)  # another program may have trained it


def _alone(path: pathlib.Path) -> contextlib.AbstractContextManager:
    """Keeps other programs from training the run; the first process does so for its launch."""
    launch = processes()
    if not launch.is_main_process:
        return contextlib.nullcontext()
    waiting = f"another process is training this run; waiting for {path.name}"
    return storage.locked(path, waiting, wait=launch.num_processes == 1)


def _train(path: pathlib.Path, config: TrainConfig, data: TrainingData) -> Run:
    launch = processes()
    for name in ("data", "parallel_text"):
        given = getattr(config, name)
        if given and os.path.exists(given):
            config = config.replace(**{name: os.path.abspath(given)})
    model = build_model(config, data)
    if config.init:
        _start_from(pathlib.Path(config.init) / WEIGHTS, model)
    if model.alignment is not None:
        model.alignment.fit(config.alignment, data.parallel)
    with torch.random.fork_rng():  # the caller's generator is the same if the run is loaded
        history = pd.DataFrame(train(config, data, model, path / CHECKPOINT))
    scores = score(model, data.splits["test"])
    if launch.is_main_process:
        metrics = provenance(path.name, config, data) | {
            "train_seconds": float(history["seconds"].sum()),
            "test": scores.summary,
        }
        write_run(path, config, history, metrics, scores, trained_state(model))
    launch.wait_for_everyone()  # the others, until the first process has written the run
    return Run(path, *read_run(path), loaded=False)


def _start_from(weights: pathlib.Path, model: DualEncoder) -> None:
    """Give the model the weights of a run; a tower that was frozen there begins as published, an
    alignment is fitted anew after this, on the texts of the new run.
    """
    tensors = {}
    for name, value in trained_state(model).items():
        if "_tower." in name or name.startswith("alignment."):
            tensors[name] = value
    load_state(model, tensors | read_state_dict(weights), weights)
