"""Captions without clips for the alignment, where training never has the sounds of the test.

Datasets of the studies, named as any data from outside are; "=" gives the seed of
`UnseenSounds`, then how many captions: `studies.parallel_text:Templates=1/400`.
"""

import numpy as np

from atri_lib.data.banks import default_bank
from atri_lib.data.manifest import ParallelText
from atri_lib.data.pictures import emoji
from atri_lib.data.scenes import make_scenes
from atri_lib.languages import CODES
from studies.unseen_sounds import UnseenSounds, some_sounds

OTHER_SCENES = 1000  # is added to the seed


class Templates(ParallelText):
    """Captions of new scenes of the sounds that only the test has, none of them a test caption."""

    def __init__(self, split: str, argument: str) -> None:
        seed, count = map(int, argument.split("/"))
        part = some_sounds(default_bank(), "test", seed)
        sizes = {"train": 2 * count}
        scenes = make_scenes(part, sizes, seed=OTHER_SCENES + seed)["train"]
        of_test = set(UnseenSounds("test", str(seed)).sentences("eng"))
        new = [said for said in scenes.captions if said["eng"][0] not in of_test]
        super().__init__(new[:count], f"{count} captions of {part.name}", CODES)


class Names(ParallelText):
    """The bare names of the sounds that only the test has."""

    def __init__(self, split: str, argument: str) -> None:
        seed = int(argument)
        part = some_sounds(default_bank(), "test", seed)
        said = [as_captions(sound.names) for sound in part.items]
        super().__init__(said, f"names of {part.name}", CODES)


class Emoji(ParallelText):
    """The names of emoji in Unicode's CLDR, the first `count` of a random order."""

    def __init__(self, split: str, argument: str) -> None:
        seed, count = map(int, argument.split("/"))
        bank = emoji()
        order = np.random.default_rng(seed).permutation(len(bank.items))
        said = [as_captions(bank.items[number].names) for number in order[:count]]
        super().__init__(said, f"{len(said)} names of {bank.name}", CODES)


def as_captions(names: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """One caption per language."""
    return {code: (names[code],) for code in CODES}
