"""Scenes: five seconds composed of one to three sounds, near or far, over quiet noise, said in
eight languages.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.dataset import SPLITS, Dataset
from atri_lib.data.items import Bank
from atri_lib.data.phrases import SOUNDS, caption
from atri_lib.data.recipes import Recipe, SceneStyle, draw, open_choices
from atri_lib.data.rendering import distant, mixed, noise
from atri_lib.languages import CODES
from atri_lib.storage import checksum

FORMAT = 1  # raise it when the same recipe is rendered differently


@dataclass(frozen=True)
class SceneSet(Dataset):
    """A dataset of scenes; audio is rendered when asked for."""

    phrases: ClassVar[Mapping] = SOUNDS
    recipes: tuple[Recipe, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    ids: tuple[str, ...]
    checksum: str
    origin: str
    bank: Bank
    sounding: "Sounding"
    style: SceneStyle
    entropy: tuple[int, int]
    seconds: float

    @staticmethod
    def variants_of(bank: Bank, style: SceneStyle) -> tuple:
        """Every sound near and far."""
        waves = [sound.content for sound in bank.items]
        return tuple((wave, distant(wave, style.far_level)) for wave in waves)

    @property
    def variants(self) -> tuple:
        """Every sound near and far, made when they are first asked for: captions need none."""
        return self.sounding.variants

    def clip(self, index: int) -> np.ndarray:
        """Scene `index` as float32 [samples]; depends on the seed and the index alone, not on
        earlier calls.
        """
        generator = np.random.default_rng((*self.entropy, index % len(self)))
        length = int(self.seconds * SAMPLE_RATE)
        recipe = self.recipes[index]
        waves = [self.variants[sound][int(far)] for sound, far in recipe.placed]
        scene = mixed(recipe.layout, waves, length, generator)
        power = float(np.mean(scene**2)) or 1e-8
        ratio = generator.uniform(*self.style.noise)
        scene += noise(length, generator) * np.float32(np.sqrt(power * 10 ** (-ratio / 10)))
        return scene * np.float32(min(1.0, 0.99 / np.abs(scene).max()))


@dataclass(frozen=True)
class Sounding:
    """What the splits of a set of scenes have in common: their sounds, made once, by whichever
    thread asks first.
    """

    kind: type[SceneSet]
    bank: Bank
    style: SceneStyle

    @functools.cached_property
    def variants(self) -> tuple:
        return self.kind.variants_of(self.bank, self.style)


def make_scenes(
    bank: Bank,
    sizes: dict[str, int] | None = None,
    seed: int = 0,
    seconds: float = 5,
    style: SceneStyle | None = None,
    kind: type[SceneSet] = SceneSet,
    apart: bool = False,
) -> dict[str, SceneSet]:
    """Compose scenes for each split from a bank; byte for byte the same for the same bank, sizes,
    seed and style.

    sizes: scenes per split, of "train", "val", "test"; default 2000, 250, 500. A split begins with
    the same scenes whatever its size and that of the others. kind: what renders and says them.
    apart: no two splits share an item at all, instead of no combination of them. Raises SceneError,
    with the number that is possible, when the items do not give enough different scenes, and
    ValueError for an empty or unknown split or a length below 1 s or above 60 s.
    """
    if sizes is None:
        sizes = {"train": 2000, "val": 250, "test": 500}
    style = style or SceneStyle()
    filled = sizes and set(sizes) <= set(SPLITS) and min(sizes.values()) >= 1
    if not filled or not 1 <= seconds <= 60:
        raise ValueError(
            f"sizes={sizes}, seconds={seconds}: every split needs a scene, "
            f"splits are {', '.join(SPLITS)}, scenes last 1 to 60 s"
        )
    sounding = Sounding(kind, bank, style)
    items = len(bank.items)
    splits = {}
    for split, size in sizes.items():
        number = SPLITS.index(split)
        generator = np.random.default_rng((seed, 1, number))
        choices = open_choices(items, seed, number, apart)
        recipes = draw(choices, items, size, style, generator, split)
        captions = tuple(_captions(recipe, bank, kind.phrases) for recipe in recipes)
        about = (FORMAT, seed, number, seconds, bank.checksum, str(style))
        drawn = ([str(recipe) for recipe in recipes], list(captions))
        splits[split] = kind(
            recipes=recipes,
            captions=captions,
            ids=tuple(f"{split}-{i:05d}" for i in range(size)),
            checksum=checksum(*about, *drawn),
            origin=bank.name,
            bank=bank,
            sounding=sounding,
            style=style,
            entropy=(seed, 2 + number),
            seconds=seconds,
        )
    return splits


def _captions(recipe: Recipe, bank: Bank, phrases: Mapping) -> dict[str, tuple[str, ...]]:
    """One caption of a scene in every language."""
    said = {}
    for code in CODES:
        names = [bank.items[number].names[code] for number in recipe.items]
        said[code] = (caption(recipe.layout, names, recipe.far, recipe.phrasing, code, phrases),)
    return said
