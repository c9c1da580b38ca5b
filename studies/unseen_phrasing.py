"""Scenes whose test captions are phrased as no training caption is: two of the three phrasings are
for training, the third for validation and test.

A dataset of the studies, named as any data from outside are:
`studies.unseen_phrasing:UnseenPhrasing`, with `=SEED` for other scenes.
"""

import dataclasses

from atri_lib.data.banks import default_bank
from atri_lib.data.dataset import SPLITS
from atri_lib.data.phrases import PHRASINGS
from atri_lib.data.recipes import Recipe
from atri_lib.data.scenes import captions_of, make_scenes
from atri_lib.storage import checksum
from studies.scene_dataset import SIZES, SceneDataset

HELD_OUT = PHRASINGS - 1


class UnseenPhrasing(SceneDataset):
    """The scenes of one split: those of the book for a `data_seed`, said in other phrasings.

    split: "train", "val" or "test"; seed: the `data_seed`, in digits.
    """

    def __init__(self, split: str, seed: str = "0") -> None:
        scenes = make_scenes(default_bank(), SIZES, int(seed))[split]
        super().__init__(scenes, f"{scenes.origin}, phrasings held out")
        self.recipes = [rephrased(recipe, split) for recipe in scenes.recipes]
        self.captions = tuple(captions_of(recipe, scenes.bank) for recipe in self.recipes)
        phrasings = [recipe.phrasing for recipe in self.recipes]
        self.checksum = checksum(scenes.checksum, phrasings)


def rephrased(recipe: Recipe, split: str) -> Recipe:
    """The recipe with a phrasing of its split; for training, held-out ones become one of the others
    by turns of the scene's first sound.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}: splits are {', '.join(SPLITS)}")
    if split != "train":
        phrasing = HELD_OUT
    elif recipe.phrasing == HELD_OUT:
        phrasing = recipe.items[0] % HELD_OUT
    else:
        phrasing = recipe.phrasing
    return dataclasses.replace(recipe, phrasing=phrasing)
