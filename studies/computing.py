"""The runs of the studies: which of them are stored, what is missing is trained, some are trained
again.

Runs that were finished before an interruption are not trained again.
"""

import pathlib
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence

import numpy as np
import torch

from atri_lib import storage
from atri_lib.data.items import BankUnavailable
from atri_lib.training import Run, TrainConfig, TrainingData, load_data, load_or_train, run_name
from atri_lib.training.sources import data_checksum
from studies import shared_sounds, weights_to_ranks
from studies.items import DATA, Item
from studies.parallel_runs import train_all
from studies.registry import STUDIES
from studies.results import FOLDER, Result, ResultsError, key_of, read, write

AT_ONCE = 40  # runs between two times that a study's file is written


def data_of(config: TrainConfig) -> TrainConfig:
    """The config that has only what the data depend on: configs that share it share their data."""
    settings = {name: getattr(config, name) for name in DATA}
    if config.parallel_text:
        settings["alignment"] = config.alignment  # what it is for
    return TrainConfig(**settings)


def status(
    study: str, folder: pathlib.Path = FOLDER, checksums: dict[str, str] | None = None
) -> tuple[list[Result], list[Item]]:
    """The study's results that fit today's data, RECIPE and definition; and its items that have
    none.

    checksums: of data, by the settings they follow from; filled here, so that several studies can
    share the work. Raises BankUnavailable.
    """
    if checksums is None:
        checksums = {}

    def data(item: Item) -> str:
        name = _data_name(item)
        if name not in checksums:
            checksums[name] = data_checksum(item.located())
        return checksums[name]

    return fitting(study, data, folder)


def fitting(
    study: str, data: Callable[[Item], str], folder: pathlib.Path = FOLDER
) -> tuple[list[Result], list[Item]]:
    """`status` where `data` says the checksum of an item's data."""
    items = STUDIES[study]()
    try:
        kept = {(result.label, result.key): result for result in read(study, folder)}
    except ResultsError:
        return [], items
    found, missing = [], []
    for item in items:
        result = kept.get((item.label, key_of(item.config, item.first, data(item))))
        if result is None:
            missing.append(item)
        else:
            found.append(result)
    return found, missing


def _data_name(item: Item) -> str:
    """The same for items that share their data, without looking at it."""
    return storage.checksum(data_of(item.config).as_dict(), item.scratch)


def compute(study: str, folder: pathlib.Path = FOLDER) -> None:
    """Train what a study lacks, side by side, and write its file anew after every few runs."""
    results, missing = status(study, folder)
    print(f"{study}: {len(results)} runs are there, {len(missing)} to train", flush=True)
    made: list[pathlib.Path] = []
    groups: dict[str, list[Item]] = {}  # by the data they share
    for item in missing:
        groups.setdefault(_data_name(item), []).append(item)
    for items in groups.values():
        where = items[0].located().data
        loaded = load_data(data_of(items[0].located()))
        shared_sounds.note(items[0], [loaded.checksum], folder)
        for first in range(0, len(items), AT_ONCE):
            part = items[first : first + AT_ONCE]
            firsts = list({item.first.seed: item.first for item in part if item.first}.values())
            start = loaded
            if firsts:
                start = load_data(data_of(firsts[0]))  # with the towers frozen: they have features
            made += _absent(firsts, start)
            starts = {run.config.seed: str(run.path) for run in train_all(firsts, start)}
            configs = []
            for item in part:
                init = starts[item.config.seed] if item.first else None
                configs.append(item.config.replace(data=where, init=init))
            made += _absent(configs, loaded)
            for item, run in zip(part, train_all(configs, loaded), strict=True):
                results.append(Result.of(item.label, run, item.config, item.first, loaded.checksum))
            write(study, results, folder)
    for path in made:  # 8 MB of weights each, which nothing reads again
        shutil.rmtree(path, ignore_errors=True)


def _absent(configs: Sequence[TrainConfig], data: TrainingData) -> list[pathlib.Path]:
    """The folders of runs that are not in the cache yet."""
    paths = [storage.cache_dir("runs") / run_name(config, data) for config in configs]
    return [path for path in paths if not path.exists()]


def train_alone(config: TrainConfig, folder: pathlib.Path) -> Run:
    """One run in a folder of its own, on one thread as in a study."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return load_or_train(config, load_data(config), folder=folder)
    finally:
        torch.set_num_threads(threads)


def report(folder: pathlib.Path = FOLDER) -> str:
    """A Markdown table of the studies: runs stored, seconds they took, and whether they fit today's
    RECIPE and data.
    """
    rows = [
        "| Study | Runs | Hours on one core | Fits today's data, RECIPE and settings |",
        "|---|---:|---:|---|",
    ]
    checksums: dict[str, str] = {}
    for study in STUDIES:
        try:
            fitting, missing = status(study, folder, checksums)
        except BankUnavailable:
            rows.append(
                f"| {study} | | | cannot be checked: its recordings are not on this machine |"
            )
            continue
        hours = sum(result.seconds for result in fitting) / 3600
        said = "yes"
        if missing:
            said = f"no: {len(missing)} runs are missing or stale (`make experiments`)"
        rows.append(f"| {study} | {len(fitting)} | {hours:.2f} | {said} |")
    stale = weights_to_ranks.stale()
    for name in weights_to_ranks.STUDIES:
        said = "no (`make experiments`)" if name in stale else "yes"
        rows.append(f"| weights_to_ranks/{name} | 1 | | {said} |")
    return "\n".join(rows)


def verify(count: int, folder: pathlib.Path = FOLDER) -> list[str]:
    """Train some stored runs again, chosen by chance, and say of each how far it is from what is
    stored.

    Loss of the last epoch, recall and MRV are compared. Processors round differently, and a run of
    many steps carries that on: what counts is the spread over seeds of the same label. Returns the
    labels of runs that differ by more than five of its standard deviations.
    """
    stored = {}
    for study, items in STUDIES.items():
        for item in items():
            stored[study, item.label, item.config.seed] = item
    results = {study: read(study, folder) for study in STUDIES}
    wrong = []
    for study, label, seed in random.SystemRandom().sample(sorted(stored), count):
        item = stored[study, label, seed]
        alike = [result for result in results[study] if result.label == label]
        kept = next(result for result in alike if result.config.seed == seed)
        with tempfile.TemporaryDirectory() as place:
            run = _again(item, pathlib.Path(place))
        for name in ("T2A R@1", "mrv"):
            now, before = run.metrics["test"][name], kept.test[name]
            spread = np.std([result.test[name] for result in alike], ddof=1)
            about = f"{study}, {label}, seed {seed}: {name}"
            print(f"{about} {now:.3f}, stored {before:.3f}, spread {spread:.3f}")
            if abs(now - before) > 5 * spread:
                wrong.append(about)
    return wrong


def _again(item: Item, place: pathlib.Path) -> Run:
    """The run of an item, trained in a folder of its own."""
    config = item.located()
    if item.first:
        config = config.replace(init=str(train_alone(item.first, place).path))
    return train_alone(config, place)
