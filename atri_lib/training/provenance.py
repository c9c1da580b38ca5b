"""Where a run comes from: of what data, by what versions, on what machine."""

import os
import platform

import torch

from atri_lib import __version__
from atri_lib.data.banks import BOOK
from atri_lib.recipe import RECIPE
from atri_lib.training.config import TrainConfig
from atri_lib.training.sources import TrainingData

NOT_THE_BOOKS = "not the data of the book: its numbers are of the recordings of Tux Paint"


def data_origin(data: TrainingData) -> str:
    """What the test split is of: a bank of sounds ("tuxpaint" is the book's) or a manifest's
    folder.
    """
    return data.splits["test"].dataset.origin


def provenance(name: str, config: TrainConfig, data: TrainingData) -> dict:
    """The first part of a run's metrics, which tells it from all other runs."""
    origin = data_origin(data)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
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
        "hardware": f"{machine}, {_accelerator()}",
    }


def _accelerator() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads"
