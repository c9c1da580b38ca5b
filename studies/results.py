"""Results that last: what the runs of a study gave, one line of studies/rows/STUDY.jsonl per run.

A line holds the settings, the loss of every epoch, the scores on the test scenes and the
text-to-clip ranks (uint16, the low bytes before the high ones, deflated, base64), so that a chapter
can compare runs clip by clip without training one. Its key is made of RECIPE, the settings and the
data's checksum (`atri_lib.recipe`). It also says what it was made with, which no key holds.
"""

import base64
import contextlib
import functools
import json
import pathlib
import platform
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from atri_lib import storage
from atri_lib.languages import CODES
from atri_lib.recipe import RECIPE, key_settings
from atri_lib.training import Run, TrainConfig

MOST_CAPTIONS = 10**6  # of one run
# Of a stored line, in its order; what is kept in it as a Result has it.
LINE = "label config first data key made seconds test loss shape ranks".split()
PLAIN = "label data key made seconds test loss".split()
FOLDER = pathlib.Path(__file__).resolve().parent / "rows"
# What a damaged line raises while it is taken apart.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error)


class ResultsError(ValueError):
    """A file of results that is missing, damaged or incomplete."""


@contextlib.contextmanager
def intact(path: pathlib.Path) -> Iterator[None]:
    """What is done within reads a committed file; of a damaged one it becomes a ResultsError."""
    try:
        yield
    except (OSError, *DAMAGE) as error:
        message = f"{path}: missing or damaged ({error})"
        raise ResultsError(f"{message}; restore the file of the repository") from error


@dataclass(frozen=True, eq=False)
class Result:
    """One run of a study. label: what its study calls it; first: the config of the run whose
    weights were its start.

    data: checksum of the data; key: as `key_of` had it; made: commit, torch and Python that made
    it; seconds: of training on one core; loss: nats, one value per epoch; test: the run's summary
    on the test scenes; ranks: text-to-clip [M, K], 1-based.
    """

    label: str
    config: TrainConfig
    first: TrainConfig | None
    data: str
    key: str
    made: dict[str, str]
    seconds: float
    loss: list[float]
    test: dict[str, float]
    ranks: np.ndarray

    @classmethod
    def of(
        cls, label: str, run: Run, config: TrainConfig, first: TrainConfig | None, data: str
    ) -> "Result":
        """What is kept of a run. config: the run's, without `init` and, here, without `data`, since
        these are paths.
        """
        return cls(
            label=label,
            config=config.replace(data=None),
            first=first,
            data=data,
            key=key_of(config, first, data),
            made=made_with(),
            seconds=round(run.seconds, 2),
            loss=[round(float(value), 5) for value in run.history.loss],
            test={name: round(float(value), 6) for name, value in run.metrics["test"].items()},
            ranks=run.scores.t2a,
        )


def key_of(config: TrainConfig, first: TrainConfig | None, data_checksum: str) -> str:
    """What a result depends on: RECIPE, the settings of both stages, and the data."""
    settings = key_settings(config.as_dict())
    start = None
    if first is not None:
        start = key_settings(first.as_dict())
    return storage.checksum(RECIPE, settings, start, data_checksum)


@functools.cache
def made_with() -> dict[str, str]:
    """The commit of this checkout ("" where there is none; with "+" where files differ from it),
    torch and Python.
    """
    checkout = str(FOLDER.parent.parent)
    describe = ["git", "-C", checkout, "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(describe, capture_output=True, text=True, check=True)
        commit = done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    return {"commit": commit, "torch": torch.__version__, "python": platform.python_version()}


def write(study: str, results: Iterable[Result], folder: pathlib.Path = FOLDER) -> None:
    """Replace a study's file, atomically; lines are in the order of label and seed."""
    ordered = sorted(results, key=lambda result: (result.label, result.config.seed))
    lines = [_line(result) + "\n" for result in ordered]
    storage.write_text(folder / f"{study}.jsonl", "".join(lines))


def read(study: str, folder: pathlib.Path = FOLDER) -> list[Result]:
    """The results of a study. Raises ResultsError that names the file, the line and what to do."""
    path = folder / f"{study}.jsonl"
    try:
        content = storage.regular(path).read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: not there ({error}); run `make experiments`") from error
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    results = []
    for number, line in enumerate(lines, start=1):
        results.append(_read_line(line, f"{path}:{number}"))
    return results


def _read_line(line: bytes, place: str) -> Result:
    try:
        return _result(line.decode())
    except DAMAGE as error:
        raise ResultsError(
            f"{place}: damaged ({error}); delete the line, run `make experiments`"
        ) from error


def _line(result: Result) -> str:
    ranks = np.asarray(result.ranks)
    stored = np.minimum(ranks, 2**16 - 1).astype("<u2").T
    low_and_high = np.moveaxis(stored[..., None].view("u1"), -1, 0)  # alike beside alike: smaller
    packed = zlib.compress(low_and_high.tobytes(), 9)
    values = dict.fromkeys(LINE)
    for name in PLAIN:
        values[name] = getattr(result, name)
    values["config"] = _changed(result.config)
    if result.first is not None:
        values["first"] = _changed(result.first)
    values["shape"] = list(ranks.shape)
    values["ranks"] = base64.b64encode(packed).decode()
    values["checksum"] = storage.checksum(values)
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _result(line: str) -> Result:
    values = json.loads(line, object_pairs_hook=storage.unrepeated)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    if values.pop("checksum") != storage.checksum(values):
        raise ValueError("its content does not match its checksum")
    _check_numbers(values)
    config = TrainConfig.from_dict(values["config"])
    first = values["first"]
    if first is not None:
        first = TrainConfig.from_dict(first)
    ranks = _unpacked(values["ranks"], values["shape"])
    plain = {name: values[name] for name in PLAIN}
    return Result(config=config, first=first, ranks=ranks, **plain)


def _unpacked(text: str, shape: list[int]) -> np.ndarray:
    """Ranks [M, K] as `_line` packed them."""
    captions, languages = shape
    if not 1 <= captions <= MOST_CAPTIONS or not 1 <= languages <= len(CODES):
        raise ValueError(f"ranks of shape {shape}")
    packed = base64.b64decode(text, validate=True)
    size = 2 * captions * languages
    unpacked = zlib.decompressobj().decompress(packed, size + 1)  # no more, whatever it unpacks to
    low, high = np.frombuffer(unpacked, "u1").reshape(2, languages, captions).astype(np.int64)
    ranks = low + 256 * high
    if not ranks.all():
        raise ValueError("a rank of 0")
    return ranks.T


def _check_numbers(values: dict) -> None:
    numbers = [values["seconds"], *values["loss"], *values["test"].values()]
    plain = all(type(number) in (int, float) for number in numbers)
    if not values["test"] or not plain or not np.isfinite(numbers).all():
        raise ValueError("scores, losses or seconds that are not finite numbers")


def _changed(config: TrainConfig) -> dict:
    """The settings that are not the defaults."""
    plain = TrainConfig().as_dict()
    return {name: value for name, value in config.as_dict().items() if value != plain[name]}


def worst_share(ranks: np.ndarray, share: float = 0.01) -> float:
    """Percent of the mean rank variance of ranks [..., M, K] that the captions with the largest
    variance carry, a share of all captions.
    """
    of_seeds = ranks.astype(float).var(axis=-1).reshape(-1, ranks.shape[-2])
    variance = of_seeds.mean(axis=0)
    count = max(1, round(share * len(variance)))
    worst = np.sort(variance)[-count:]
    return float(100 * worst.sum() / (variance.sum() or 1))


def table(results: Sequence[Result]) -> pd.DataFrame:
    """One row a run: label, seed, epochs, seconds, the test scores, and what the worst 1 % of the
    captions carry of the mean rank variance.
    """
    rows = []
    for result in results:
        row = {"label": result.label}
        row["seed"] = result.config.seed
        row["epochs"] = result.config.epochs
        row["seconds"] = result.seconds
        row |= result.test
        row["worst 1 %"] = worst_share(result.ranks)
        rows.append(row)
    return pd.DataFrame(rows)


def ranks_of(results: Sequence[Result], label: str) -> np.ndarray:
    """Text-to-clip ranks of the runs with a label, in the order of their seeds: [S, M, K]. Raises
    ResultsError.
    """
    chosen = [result for result in results if result.label == label]
    if not chosen:
        labels = ", ".join(dict.fromkeys(result.label for result in results))
        raise ResultsError(f"no run is labelled {label!r}: use one of {labels}")
    chosen.sort(key=lambda result: result.config.seed)
    return np.stack([result.ranks for result in chosen])


def recall_of(ranks: np.ndarray) -> float:
    """Share of ranks that are 1, in percent."""
    return 100 * float((ranks == 1).mean())


def relative_variance(results: Sequence[Result], label: str) -> float:
    """MRV over the mean squared rank, all seeds together: the same where ranks get worse in all
    languages alike.
    """
    ranks = ranks_of(results, label).astype(float)
    return float(ranks.var(-1).mean() / np.square(ranks).mean())
