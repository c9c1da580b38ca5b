"""A bank of procedurally generated sounds: no download, for tests and where recordings cannot be
had.
"""

import json
import pathlib

import numpy as np

from atri_lib.data.items import Item, bank_checksum
from atri_lib.data.sounds import levelled
from atri_lib.data.synthetic_draw import Draw
from atri_lib.data.synthetic_formulas import FORMULAS

NAMES = pathlib.Path(__file__).with_name("synthetic_names.json")


class SyntheticBank:
    """29 sounds of 0.8 to 2 s, a function of the seed alone (pitches, rates and noise vary by about
    10 %).
    """

    def __init__(self, seed: int = 0):
        names = json.loads(NAMES.read_text(encoding="utf-8"))
        sounds = []
        for name, (seconds, formula) in FORMULAS.items():
            generator = np.random.default_rng([seed, *name.encode()])
            waveform = levelled(formula(Draw(generator, seconds)))
            source = f"{__name__}.{name}"
            sounds.append(Item(name, waveform, names[name], source, licence="Apache-2.0"))
        self.name = f"synthetic-{seed}"
        self.items = tuple(sounds)
        self.checksum = bank_checksum(self.items)
