"""Training on one collection of recordings, test on another: Tux Paint's sounds, then Scratch's.

A dataset of the studies, named as any data from outside are: `studies.other_bank:OtherBank`, with
`=SEED` for other scenes. No recording is in both, and few names are.
"""

import numpy as np

from atri_lib.data.banks import default_bank
from atri_lib.data.dataset import Dataset
from atri_lib.data.scenes import make_scenes
from studies.scratch import ScratchBank

SIZES = {"train": 2000, "val": 250, "test": 500}  # scenes, as the book has


class OtherBank(Dataset):
    """The scenes of one split: "train" and "val" of the book's sounds, "test" of Scratch's.

    seed: of the scenes, in digits. Raises BankUnavailable.
    """

    def __init__(self, split: str, seed: str = "0") -> None:
        if split == "test":
            bank = ScratchBank()
        else:
            bank = default_bank()
        self._scenes = make_scenes(bank, {split: SIZES[split]}, seed=int(seed))[split]
        self.recipes = self._scenes.recipes
        self.ids = self._scenes.ids
        self.captions = self._scenes.captions
        self.checksum = self._scenes.checksum
        self.origin = bank.name

    def clip(self, index: int) -> np.ndarray:
        """Clip `index` as float32 [samples], 16 kHz mono. Raises IndexError."""
        return self._scenes.clip(index)
