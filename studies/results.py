"""Results that last: what the runs of a study gave, one line of studies/rows/STUDY.jsonl per run.

A line holds the settings, the loss of every epoch, the scores on the test scenes and the
text-to-audio ranks (uint16, deflated, base64), so that a chapter can compare runs clip by clip
without training one. Its key is made of RECIPE, the settings and the data's checksum
(`atri_lib.recipe`). It also says what it was made with, which no key holds.
"""

import base64
import dataclasses
import functools
import json
import pathlib
import platform
import subprocess
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from atri_lib import storage
from atri_lib.evaluation.significance import Difference
from atri_lib.languages import CODES
from atri_lib.recipe import RECIPE, key_settings
from atri_lib.training import Run, TrainConfig

# Of ranks [S, M, K], per seed and caption [S, M]; the mean over both is the measure.
MEASURES = {
    "mrv": lambda ranks: ranks.astype(float).var(-1),
    "rank_std": lambda ranks: ranks.astype(float).std(-1),
    "T2A R@1": lambda ranks: 100.0 * (ranks == 1).mean(-1),
}
MOST_CAPTIONS = 10**6  # of one run
LOWER_IS_BETTER = {"mrv": 1, "rank_std": 1, "T2A R@1": -1}
FOLDER = pathlib.Path(__file__).resolve().parent / "rows"


class ResultsError(ValueError):
    """A file of results that is missing, damaged or incomplete."""


@dataclass(frozen=True, eq=False)
class Result:
    """One run of a study. label: what its study calls it; first: the config of the run whose
    weights were its start.

    data: checksum of the data; key: as `key_of` had it; made: commit, torch and Python that made
    it; seconds: of training on one core; loss: nats, one value per epoch; test: the run's summary
    on the test scenes; ranks: text-to-audio [M, K], 1-based.
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
    start = first and key_settings(first.as_dict())
    return storage.checksum(RECIPE, key_settings(config.as_dict()), start, data_checksum)


@functools.cache
def made_with() -> dict[str, str]:
    """The commit of this checkout ("" where there is none; with "+" where files differ from it),
    torch and Python.
    """
    ask = [
        "git",
        "-C",
        str(FOLDER.parent.parent),
        "describe",
        "--always",
        "--exclude=*",
        "--dirty=+",
    ]
    try:
        commit = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    return {"commit": commit, "torch": torch.__version__, "python": platform.python_version()}


def write(study: str, results: Iterable[Result], folder: pathlib.Path = FOLDER) -> None:
    """Replace a study's file, atomically; lines are in the order of label and seed."""
    ordered = sorted(results, key=lambda result: (result.label, result.config.seed))
    storage.write_text(
        folder / f"{study}.jsonl", "".join(_line(result) + "\n" for result in ordered)
    )


def read(study: str, folder: pathlib.Path = FOLDER) -> list[Result]:
    """The results of a study. Raises ResultsError that names the file, the line and what to do."""
    path = folder / f"{study}.jsonl"
    try:
        lines = storage.regular(path).read_bytes().split(b"\n")
    except OSError as error:
        why = error.strerror or "it is no regular file"
        raise ResultsError(
            f"{path}: not there ({why}); run `make experiments` to compute it"
        ) from error
    found = []
    for number, line in enumerate(lines[:-1] if lines[-1] == b"" else lines, start=1):
        try:
            found.append(_result(line.decode()))
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            zlib.error,
        ) as error:
            why = f"damaged ({error}); delete the line, run `make experiments`"
            raise ResultsError(f"{path}:{number}: {why}") from error
    return found


def _line(result: Result) -> str:
    ranks, values = np.asarray(result.ranks), vars(result)
    packed = zlib.compress(np.minimum(ranks, 2**16 - 1).astype("<u2").T.tobytes(), 9)
    kept = {
        "label": result.label,
        "config": _changed(result.config),
        "first": result.first and _changed(result.first),
    }
    kept |= {name: values[name] for name in ("data", "key", "made", "seconds", "test", "loss")}
    kept |= {"shape": list(ranks.shape), "ranks": base64.b64encode(packed).decode()}
    kept["checksum"] = storage.checksum(kept)
    return json.dumps(kept, ensure_ascii=False, allow_nan=False)


def _result(line: str) -> Result:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    if values.pop("checksum") != storage.checksum(values):
        raise ValueError("its content does not match its checksum")
    captions, languages = values["shape"]
    if not 1 <= captions <= MOST_CAPTIONS or not 1 <= languages <= len(CODES):
        raise ValueError(f"ranks of shape {values['shape']}")
    size = 2 * captions * languages
    unpacking = zlib.decompressobj()
    packed = base64.b64decode(values["ranks"], validate=True)
    flat = np.frombuffer(
        unpacking.decompress(packed, size + 1), "<u2"
    )  # no more, whatever it unpacks to
    numbers = [values["seconds"], *values["loss"], *values["test"].values()]
    plain = all(type(number) in (int, float) for number in numbers)
    if not values["test"] or not plain or not np.isfinite(numbers).all():
        raise ValueError("scores, losses or seconds that are not finite numbers")
    if not flat.all():
        raise ValueError("a rank of 0")
    values["config"] = TrainConfig.from_dict(values["config"])
    values["first"] = values["first"] and TrainConfig.from_dict(values["first"])
    values["ranks"] = flat.reshape(languages, captions).T.astype(np.int64)
    return Result(**{field.name: values[field.name] for field in dataclasses.fields(Result)})


def _changed(config: TrainConfig) -> dict:
    """The settings that are not the defaults."""
    plain = TrainConfig().as_dict()
    return {name: value for name, value in config.as_dict().items() if value != plain[name]}


def table(results: Sequence[Result]) -> pd.DataFrame:
    """One row a run: label, seed, epochs, seconds and the test scores."""
    rows = [{"label": r.label, "seed": r.config.seed, "epochs": r.config.epochs, "seconds": r.seconds} | r.test
            for r in results]  # fmt: skip
    return pd.DataFrame(rows)


def ranks_of(results: Sequence[Result], label: str) -> np.ndarray:
    """Text-to-audio ranks of the runs with a label, in the order of their seeds: [S, M, K]. Raises
    ResultsError.
    """
    chosen = sorted(
        (result for result in results if result.label == label),
        key=lambda result: result.config.seed,
    )
    if not chosen:
        labels = ", ".join(dict.fromkeys(result.label for result in results))
        raise ResultsError(f"no run is labelled {label!r}: use one of {labels}")
    return np.stack([result.ranks for result in chosen])


def relative_variance(results: Sequence[Result], label: str) -> float:
    """MRV over the mean squared rank, all seeds together: the same where ranks get worse in all
    languages alike.
    """
    ranks = ranks_of(results, label).astype(float)
    return float(ranks.var(-1).mean() / np.square(ranks).mean())


def contrast(
    results: Sequence[Result], a: str, b: str, measure: str, repeats: int = 4000
) -> Difference:
    """a - b of two labels over the same seeds; seeds and captions are resampled, crossed. measure:
    a key of MEASURES.

    What `evaluation.paired_bootstrap` does for means, as two products of matrices instead of
    resampled tables.
    """
    left, right = (MEASURES[measure](ranks_of(results, label)) for label in (a, b))
    if left.shape != right.shape:
        raise ResultsError(
            f"{a!r} and {b!r} have not the same seeds and captions: {left.shape} and {right.shape}"
        )
    difference, random = left - right, np.random.default_rng(0)  # [S, M]
    seeds, captions = (
        random.multinomial(count, np.full(count, 1 / count), repeats) for count in difference.shape
    )
    drawn = ((seeds @ difference) * captions).sum(1) / difference.size
    side = min((drawn <= 0).sum(), (drawn >= 0).sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Difference(
        float(difference.mean()),
        float(low),
        float(high),
        min(1.0, 2 * float(side + 1) / (repeats + 1)),
    )


def effect_size(results: Sequence[Result], a: str, b: str, measure: str) -> float:
    """Mean over seeds of a - b, divided by its standard deviation over seeds (Cohen's d for
    pairs).
    """
    left, right = (MEASURES[measure](ranks_of(results, label)).mean(1) for label in (a, b))
    spread = (left - right).std(ddof=1)
    return float((left - right).mean() / spread) if spread else 0.0


def read_predictions(folder: pathlib.Path = FOLDER) -> list[dict]:
    """What was predicted of the studies: study, measure, better and worse of each. Raises
    ResultsError.
    """
    path = folder / "predictions.json"
    try:
        predictions = storage.read_json(path)["predictions"]
        for number, said in enumerate(predictions, start=1):
            if missing := [
                name for name in ("study", "measure", "better", "worse") if not said.get(name)
            ]:
                raise ValueError(f"prediction {number} has no {missing[0]}")
            if said["measure"] not in MEASURES:
                known = ", ".join(MEASURES)
                raise ValueError(
                    f"prediction {number}: measure {said['measure']!r} is none of {known}"
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{path}: damaged ({error}); restore the file of the repository"
        ) from error
    return predictions


def verdicts(study: str, folder: pathlib.Path = FOLDER) -> pd.DataFrame:
    """Every prediction on a study (predictions.json) beside what was measured: a row each.

    difference, low, high: of better - worse with its 95 % interval; verdict: "held" where the
    interval is on the predicted side of zero, "refuted" where it is on the other, else "open".
    Raises ResultsError.
    """
    results, rows = read(study, folder), []
    for said in [one for one in read_predictions(folder) if one["study"] == study]:
        pair = {name: said[name] for name in ("measure", "better", "worse")}
        asked = results, said["better"], said["worse"], said["measure"]
        found, effect = contrast(*asked), effect_size(*asked)
        low, high = sorted(
            LOWER_IS_BETTER[said["measure"]] * end for end in (found.low, found.high)
        )
        verdict = "held" if high < 0 else "refuted" if low > 0 else "open"
        measured = {"difference": found.difference, "low": found.low, "high": found.high}
        rows.append(pair | measured | {"effect": effect, "verdict": verdict})
    return pd.DataFrame(rows)
