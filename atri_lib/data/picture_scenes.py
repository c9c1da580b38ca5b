"""Scenes of one to three pictures: the recipes of `scenes`, drawn instead of rendered.

A sequence goes from left to right, what is together stands one above the other, what is repeated
stands in a row, and what is far is small.
"""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from atri_lib.data import banks
from atri_lib.data.items import Bank
from atri_lib.data.phrases import PICTURES
from atri_lib.data.scenes import SceneSet

SIDE = 224  # pixels of a scene
CONCEPTS = 150  # pictures that scenes are composed of, drawn from the bank
LARGEST = 150  # pixels of a picture's side
APART = "-apart"  # ends the name of data whose splits share no picture
NAMES = tuple(name + ending for name in banks.PICTURES for ending in ("", APART))


class PictureScenes(SceneSet):
    """The scenes of one split, drawn when asked for."""

    phrases = PICTURES
    pictures = True

    def clip(self, index: int) -> np.ndarray:
        """Scene `index` as uint8 [224, 224, 3]."""
        generator = np.random.default_rng((*self.entropy, index % len(self)))
        recipe = self.recipes[index]
        scene = Image.fromarray(ground(generator))
        shown = recipe.placed
        if recipe.layout == "repeated":
            shown = shown * int(generator.integers(2, 5))
        share = SIDE // len(shown)
        turn = -1 if recipe.layout == "together" else 1  # as (x, y), or else as (y, x)
        for number, (picture, small) in enumerate(shown):
            side = min(share, LARGEST) // (2 if small else 1)
            room = np.array([share, SIDE])[::turn] - side + 1
            place = np.array([share * number, 0])[::turn] + generator.integers(0, room)
            drawn = Image.fromarray(self.bank.items[picture].content)
            drawn = drawn.resize((side, side))
            scene.paste(drawn, tuple(place.tolist()), drawn)
        return np.array(scene)


def ground(generator: np.random.Generator) -> np.ndarray:
    """A light colour, plain or chequered at random: uint8 [224, 224, 3]."""
    colour = generator.integers(150, 256, 3)
    texture = generator.integers(-40, 41, (14, 14)) * generator.integers(0, 2)
    size = SIDE // 14
    squares = texture.repeat(size, axis=0).repeat(size, axis=1)
    return (colour + squares[..., None]).clip(0, 255).astype(np.uint8)


def picture_scenes(name: str, sizes: Mapping[str, int], seed: int = 0) -> dict[str, SceneSet]:
    """Scenes of pictures for each split, by one of NAMES.

    "pictures" are emoji, "stamps" are Tux Paint's; splits share no combination of them, and with
    "-apart" no picture. Raises ValueError as `make_scenes` does.
    """
    bank = banks.bank(name.removesuffix(APART))
    order = np.random.default_rng((seed, 4)).permutation(len(bank.items))
    chosen = sorted(order[:CONCEPTS])
    few = Bank(bank.name, tuple(bank.items[number] for number in chosen))
    apart = name.endswith(APART)
    return {split: PictureScenes(few, size, seed, split, apart) for split, size in sizes.items()}
