"""The studies of the chapter on size and direction, each a small file of
studies/rows/weights_to_ranks:

    predict_11   before anything is measured: weights and ranks of seven schemes
    measure_11   the same runs, trained (12: from another start)
    course       predicted and measured lengths over a longer run, and its parts
    long         the parts over 16 epochs
    descent      the parts under SGD
    candidates   what the systematic part may be
    excess       what a displacement does to smoothed ranks, to second order
    own          own parts of the schedules of fixed counts, predicted (own_e5: with E5)
    own_trained  draws of some of them, trained
    averaged     queries in several languages at once (the chapter on translations)

`python -m studies weights_to_ranks/course` computes one of them. Every file holds configuration,
seeds, key, what it was made with, and the seconds that it took.
"""

import functools
import json
import pathlib
import time
from collections.abc import Callable
from typing import NamedTuple

from atri_lib import storage
from atri_lib.recipe import RECIPE, key_settings
from atri_lib.training import TrainConfig, TrainingData, load_data
from atri_lib.training.sources import data_checksum
from studies import averaged_queries, own_from_ideal, rank_excess
from studies.displacement_studies import (
    ARMS,
    course,
    descent,
    long,
    measure,
    predict,
)
from studies.results import made_with
from studies.systematic_part import candidates

__all__ = ["ARMS", "FOLDER", "STARTS", "STUDIES", "Study", "compute", "key_of", "read", "stale"]
FOLDER = pathlib.Path(__file__).resolve().parent / "rows" / "weights_to_ranks"
STARTS = (11, 12)  # seeds of the prediction: no run of theirs was looked at before it was committed


class Study(NamedTuple):
    """What a study computes, and the config of its KCL run."""

    compute: Callable[[TrainConfig, TrainingData], dict]
    config: TrainConfig


STUDIES = {
    f"predict_{start}": Study(predict, TrainConfig(epochs=4, seed=start)) for start in STARTS
}
STUDIES |= {
    f"measure_{start}": Study(measure, TrainConfig(epochs=4, seed=start)) for start in STARTS
}
STUDIES["course"] = Study(course, TrainConfig(epochs=8))
STUDIES["long"] = Study(long, TrainConfig(epochs=16))
STUDIES["descent"] = Study(descent, TrainConfig(epochs=8, optimizer="sgd", learning_rate=1.0))
STUDIES["candidates"] = Study(candidates, TrainConfig(epochs=4))
STUDIES["excess"] = Study(rank_excess.measure, TrainConfig())
STUDIES["own"] = Study(own_from_ideal.predict, TrainConfig(epochs=16, seed=21))
STUDIES["own_trained"] = Study(own_from_ideal.measure, TrainConfig(epochs=16, seed=21))
STUDIES["own_e5"] = Study(
    own_from_ideal.predict, TrainConfig(epochs=16, seed=21, text_encoder="e5")
)
STUDIES["averaged"] = Study(averaged_queries.measure, TrainConfig(epochs=16, data_seed=1))


def read(name: str) -> dict:
    """What a study left. Raises ValueError that names the file and the command that writes it."""
    path = FOLDER / f"{name}.json"
    try:
        found = storage.read_sealed(path)
        if "key" not in found:
            raise ValueError(f"{path}: it has no key")
    except (OSError, ValueError) as error:
        raise ValueError(f"{error}; run `python -m studies weights_to_ranks/{name}`") from error
    return found


def key_of(name: str) -> str:
    """What a study's file depends on: RECIPE, its name, its settings and the data."""
    config = STUDIES[name].config
    settings = key_settings(config.as_dict())
    data = _data_checksum(config.text_encoder, config.data_seed)
    return storage.checksum(RECIPE, name, settings, data)


@functools.cache
def _data_checksum(encoder: str | None, data_seed: int) -> str:
    """Of scenes as the book has them, on which all studies here are, with a text encoder."""
    return data_checksum(TrainConfig(text_encoder=encoder, data_seed=data_seed))


def compute(name: str) -> None:
    """Run a study and write its file."""
    study = STUDIES[name]
    started = time.perf_counter()
    found = study.compute(study.config, load_data(study.config))
    about = {"study": name, "config": study.config.as_dict()}
    about["key"] = key_of(name)
    about["made"] = made_with()
    about["seconds"] = time.perf_counter() - started
    storage.write_sealed(FOLDER / f"{name}.json", _shortened(about | found))
    print(f"{name}: {about['seconds']:.0f} s")


def _shortened(values: dict) -> dict:
    """Numbers with 5 significant digits: the files are read by people too."""
    return json.loads(json.dumps(values), parse_float=lambda number: float(f"{float(number):.5g}"))


def stale() -> list[str]:
    """The studies whose file is missing, or was made with another RECIPE, other settings or other
    data.
    """
    names = []
    for name in STUDIES:
        path = FOLDER / f"{name}.json"
        if not path.exists() or read(name)["key"] != key_of(name):
            names.append(name)
    return names
