"""A bank of procedurally generated sounds: no download, for tests and where recordings cannot be
had.
"""

import pathlib

import numpy as np

from atri_lib.data import synthetic_formulas
from atri_lib.data.items import Item, bank_checksum
from atri_lib.data.sounds import levelled
from atri_lib.data.synthetic_draw import Draw
from atri_lib.storage import read_json

SOUNDS = pathlib.Path(__file__).with_name("synthetic_sounds.json")


class SyntheticBank:
    """29 sounds of 0.8 to 2 s, a function of the seed alone (pitches, rates and noise vary by about
    10 %).
    """

    def __init__(self, seed: int = 0):
        sounds = []
        for name, sound in read_json(SOUNDS).items():
            generator = np.random.default_rng([seed, *name.encode()])
            formula = getattr(synthetic_formulas, name)
            waveform = levelled(formula(Draw(generator, sound["seconds"])))
            source = f"{__name__}.{name}"
            sounds.append(Item(name, waveform, sound["names"], source, licence="Apache-2.0"))
        self.name = f"synthetic-{seed}"
        self.items = tuple(sounds)
        self.checksum = bank_checksum(self.items)
