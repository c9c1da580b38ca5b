"""Scenes: five seconds composed of one to three sounds, near or far, over quiet noise, said in
eight languages.
"""

import functools
from collections.abc import Mapping

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.dataset import SPLITS, Dataset, Texts
from atri_lib.data.items import Bank, Item
from atri_lib.data.phrases import TEMPLATES, caption
from atri_lib.data.recipes import STYLE, Recipe, draw
from atri_lib.data.rendering import distant, mixed, noise
from atri_lib.languages import CODES
from atri_lib.storage import checksum

FORMAT = 1  # raise it when the same recipe is rendered differently
SECONDS = 5


class SceneSet(Dataset):
    """The scenes of one split, as `make_scenes` composes them; audio is rendered when asked for."""

    phrases = TEMPLATES
    style = STYLE

    def __init__(self, bank: Bank, size: int, seed: int, split: str, apart: bool = False) -> None:
        """apart: no two splits share an item at all, instead of no combination of them."""
        number = SPLITS.index(split)
        self.bank = bank
        self.origin = bank.name
        self.recipes = draw(len(bank.items), size, seed, split, apart)
        self.ids = tuple(f"{split}-{i:05d}" for i in range(size))
        self.captions = tuple(captions_of(recipe, bank, self.phrases) for recipe in self.recipes)
        self.entropy = (seed, 2 + number)
        about = (FORMAT, seed, number, SECONDS, bank.checksum, str(STYLE))
        recipes = [str(recipe) for recipe in self.recipes]
        self.checksum = checksum(*about, recipes, self.captions)

    def clip(self, index: int) -> np.ndarray:
        """Scene `index` as float32 [samples]; depends on the seed and the index alone, not on
        earlier calls.
        """
        generator = np.random.default_rng((*self.entropy, index % len(self)))
        recipe = self.recipes[index]
        waves = []
        for number, far in recipe.placed:
            sound = self.bank.items[number]
            waves.append(_from_afar(sound) if far else sound.content)
        scene = mixed(recipe.layout, waves, SECONDS * SAMPLE_RATE, generator)
        power = float(np.mean(scene**2)) or 1e-8
        ratio = generator.uniform(*self.style.noise)
        scene += noise(len(scene), generator) * np.float32(np.sqrt(power * 10 ** (-ratio / 10)))
        return scene * np.float32(min(1.0, 0.99 / np.abs(scene).max()))


@functools.lru_cache(maxsize=500)
def _from_afar(sound: Item) -> np.ndarray:
    return distant(sound.content, STYLE.far_level)


def make_scenes(bank: Bank, sizes: Mapping[str, int], seed: int = 0) -> dict[str, SceneSet]:
    """Compose scenes for each split from a bank; byte for byte the same for the same bank and seed.

    sizes: scenes per split, of "train", "val", "test". A split begins with the same scenes whatever
    its size and that of the others. Raises ValueError, with the number that is possible, when the
    items do not give enough different scenes, and for another split.
    """
    return {split: SceneSet(bank, size, seed, split) for split, size in sizes.items()}


def captions_of(recipe: Recipe, bank: Bank, phrases: Mapping = TEMPLATES) -> Texts:
    """One caption of a scene in every language."""
    captions = {}
    for code in CODES:
        names = [bank.items[number].names[code] for number in recipe.items]
        text = caption(recipe.layout, names, recipe.far, recipe.phrasing, code, phrases)
        captions[code] = (text,)
    return captions
