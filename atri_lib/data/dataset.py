"""What every dataset is: clips with captions in eight languages, whose sound is read or rendered when asked for."""

import functools
import unicodedata
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from atri_lib.languages import CODES, language

SPLITS = ("train", "val", "test")
CAPTION_LIMIT = 2_000  # characters: longer ones take an encoder gigabytes


class Dataset(Protocol):
    """ids: one per clip; captions: per clip {language code: sentences}, all eight languages, equally many in each.

    checksum: changes with captions and sound; origin: the bank of sounds or the folder that they come from.
    """

    ids: tuple[str, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    checksum: str
    origin: str

    def waveform(self, index: int) -> np.ndarray:
        """Clip `index` as float32 [samples], 16 kHz mono. Raises IndexError."""
        ...

    def __len__(self) -> int:
        return len(self.ids)

    def sentences(self, code: str) -> list[str]:
        """All captions in one language, clip by clip: the same list at each call. Raises UnknownLanguage."""
        return self._sentences[language(code).code]

    @functools.cached_property
    def _sentences(self) -> dict[str, list[str]]:
        return {code: [text for captions in self.captions for text in captions[code]] for code in CODES}

    @functools.cached_property
    def owner(self) -> np.ndarray:
        """int64 [captions]: the clip that each of `sentences(code)` belongs to."""
        return np.repeat(np.arange(len(self)), [len(captions[CODES[0]]) for captions in self.captions])


def text_fault(text: str) -> str | None:
    """Why a text cannot be a caption ("empty", also where nothing in it can be seen), or None."""
    if len(text) > CAPTION_LIMIT:
        return f"has {len(text)} characters, {CAPTION_LIMIT} are the most: shorten it"
    kinds = {unicodedata.category(character) for character in text}
    if "Cs" in kinds:
        return "holds half of a character (a lone surrogate): save the text as UTF-8"
    return None if any(kind[0] not in "CZ" for kind in kinds) else "is empty"


def captions_fault(captions: Mapping[str, tuple[str, ...]]) -> str | None:
    """What is wrong with a clip's captions, naming the language, or None."""
    if unknown := [code for code in captions if code not in CODES]:
        return f"unknown language code {unknown[0]!r}: use {', '.join(CODES)} (ISO 639-3)"
    if lacking := [code for code in CODES if not captions.get(code)]:
        return f"caption missing in {', '.join(lacking)}"
    for code in CODES:
        if fault := next(filter(None, map(text_fault, captions[code])), None):
            return f"caption in {code} {fault}"
    counts = {code: len(captions[code]) for code in CODES}
    if len(set(counts.values())) > 1:
        return f"every language needs as many captions as the others, not {counts}"
    return None
