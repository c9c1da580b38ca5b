"""Scenes under another name: what the datasets of single studies have in common."""

import numpy as np

from atri_lib.data.dataset import Dataset
from atri_lib.data.scenes import SceneSet

SIZES = {"train": 2000, "val": 250, "test": 500}  # scenes, as many as the book has


class SceneDataset(Dataset):
    """The scenes of one split, as a dataset named by a study. origin: whose items they are."""

    def __init__(self, scenes: SceneSet, origin: str) -> None:
        self._scenes = scenes
        self.recipes = scenes.recipes
        self.ids = scenes.ids
        self.captions = scenes.captions
        self.checksum = scenes.checksum
        self.origin = origin

    def clip(self, index: int) -> np.ndarray:
        """Clip `index` as float32 [samples], 16 kHz mono. Raises IndexError."""
        return self._scenes.clip(index)
