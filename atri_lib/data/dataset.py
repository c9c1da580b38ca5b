"""What every dataset is: clips with captions in up to eight languages, read when asked for."""

import abc
import functools
import unicodedata
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from atri_lib.languages import CODES

SPLITS = ("train", "val", "test")
CAPTION_LIMIT = 2_000  # characters: longer ones take an encoder gigabytes
# by their category letters or symbols, but nothing to see: fillers, a braille cell without dots
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159")

Texts = dict[str, tuple[str, ...]]  # the captions of a clip by language code


class Dataset(Protocol):
    """ids: one per clip; captions: per clip {language code: sentences}, equally many in each of
    `languages`.

    languages: those of all captions, in the library's order; all eight unless a dataset has fewer.
    checksum: changes with captions and clips; origin: the bank of sounds or the folder that they
    come from. recordings: a checksum of each clip's content, by which clips with the same one are
    known; empty where every clip's is its own. pictures: whether clips are pictures, not sounds.
    """

    ids: tuple[str, ...]
    captions: tuple[Texts, ...]
    checksum: str
    origin: str
    languages: tuple[str, ...] = CODES
    recordings: tuple[str, ...] = ()
    pictures: bool = False

    @abc.abstractmethod
    def clip(self, index: int) -> np.ndarray:
        """Clip `index`: a sound as float32 [samples], 16 kHz mono; a picture as uint8 [height,
        width, 3]. Raises IndexError.
        """

    def __len__(self) -> int:
        return len(self.ids)

    def sentences(self, code: str) -> list[str]:
        """All captions in one language, clip by clip: the same list at each call.

        Raises ValueError for a language that is not there.
        """
        if code not in self.languages:
            raise ValueError(
                f"{self.origin} has no captions in {code}, only in {', '.join(self.languages)}"
            )
        return self._sentences[code]

    @functools.cached_property
    def _sentences(self) -> dict[str, list[str]]:
        return {
            code: [text for captions in self.captions for text in captions[code]]
            for code in self.languages
        }

    @functools.cached_property
    def owner(self) -> np.ndarray:
        """int64 [captions]: the clip that each of `sentences(code)` belongs to."""
        first = self.languages[0]
        return np.repeat(np.arange(len(self)), [len(captions[first]) for captions in self.captions])


def text_fault(text: str) -> str | None:
    """Why a text cannot be a caption ("empty", also where nothing in it can be seen), or None."""
    if len(text) > CAPTION_LIMIT:
        return f"has {len(text)} characters, {CAPTION_LIMIT} are the most: shorten it"
    kinds = {unicodedata.category(character) for character in set(text) - BLANK}
    if "Cs" in kinds:
        return "holds half of a character (a lone surrogate): save the text as UTF-8"
    if all(kind[0] in "CMZ" for kind in kinds):  # marks (M) need a letter to sit on
        return "is empty"
    return None


def by_turns(captions: Texts, languages: Sequence[str]) -> Texts:
    """As many captions in each of some languages as in any of them: fewer ones are repeated in
    their order.
    """
    most = max(len(captions[code]) for code in languages)
    return {
        code: tuple(captions[code][i % len(captions[code])] for i in range(most))
        for code in languages
    }
