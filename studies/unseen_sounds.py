"""Scenes whose test sounds training never had: the bank's sounds are split, not only their
combinations.

A dataset of the studies, named as any data from outside are:
`studies.unseen_sounds:UnseenSounds`, with `=SEED` for another split.
"""

import numpy as np

from atri_lib.data.banks import default_bank
from atri_lib.data.items import Bank
from atri_lib.data.scenes import make_scenes
from studies.scene_dataset import SceneDataset

UNSEEN = "studies.unseen_sounds:UnseenSounds=1"  # as the studies name it
SHARES = {"val": 0.1, "test": 0.2}  # of the sounds; training has the rest
SIZES = {"train": 2000, "val": 100, "test": 500}  # scenes


class UnseenSounds(SceneDataset):
    """The scenes of one split, of sounds that are in no other split.

    split: "train", "val" or "test"; seed: of the split of sounds and of the scenes, in digits.
    """

    def __init__(self, split: str, seed: str = "0") -> None:
        part = some_sounds(default_bank(), split, int(seed))
        # Which pairs the scenes' own splits would have does not matter here: one of them is used.
        scenes = make_scenes(part, {"train": SIZES[split]}, seed=int(seed))["train"]
        super().__init__(scenes, part.name)
        self.ids = tuple(name.replace("train", split) for name in scenes.ids)


def some_sounds(bank: Bank, split: str, seed: int) -> Bank:
    """The sounds of one split: a tenth for validation, a fifth for the test, the rest to train
    with.
    """
    order = np.random.default_rng((seed, 7)).permutation(len(bank.items))
    val = round(SHARES["val"] * len(order))
    test = round(SHARES["test"] * len(order))
    places = {}
    places["val"] = order[:val]
    places["test"] = order[val : val + test]
    places["train"] = order[val + test :]
    sounds = tuple(bank.items[place] for place in sorted(places[split]))
    return Bank(f"{bank.name}, {split} sounds", sounds)
