"""Sounds that a small synthesiser has made (tests/data/synthesiser.py): no download, for tests and
where recordings cannot be had.
"""

import pathlib

import numpy as np
import soundfile

from atri_lib.data.items import Bank, bank_of
from atri_lib.storage import read_json

NAMES = pathlib.Path(__file__).with_name("synthetic_sounds.json")


def synthetic_sounds() -> Bank:
    """29 sounds of 0.8 to 2 s, the same ones each time."""

    def heard(name: str) -> np.ndarray:
        samples, _ = soundfile.read(NAMES.with_suffix("") / f"{name}.flac", dtype="float32")
        return samples

    return bank_of("synthetic", read_json(NAMES), heard, "Apache-2.0")
