"""Captions in several languages without clips: what an alignment can be fitted on besides those of
the training clips.
"""

import os
from collections.abc import Sequence

import numpy as np
import pydantic

from atri_lib import storage
from atri_lib.data.dataset import Dataset, Texts, by_turns
from atri_lib.data.intake import Captions, parsed, read_lines
from atri_lib.languages import CODES


class Translations(pydantic.BaseModel):
    """A line: what is said, in every language."""

    captions: Captions


class ParallelText(Dataset):
    """Captions without clips; `ids` number them."""

    def __init__(self, captions: Sequence[Texts], origin: str, languages: Sequence[str]) -> None:
        self.captions = tuple(captions)
        self.ids = tuple(map(str, range(len(captions))))
        self.origin = origin
        self.languages = tuple(languages)
        self.checksum = storage.checksum("parallel text", captions)

    def clip(self, index: int) -> np.ndarray:
        raise IndexError(f"{self.origin} has captions only")


def load_parallel_text(path: str | os.PathLike, languages: Sequence[str] = CODES) -> ParallelText:
    """The captions of a .jsonl file, one object per line: {"captions": {"eng": "A dog.", ...}}, as
    in a manifest, of which other fields are not used.

    languages: those that every line must have. Where a line has fewer captions in one language than
    in another, they are repeated by turns. Raises ManifestError listing file:line of what is wrong,
    OSError for what is no file.
    """
    path = storage.regular(path)

    def take(raw: bytes, place: str) -> Texts:
        said = parsed(raw, languages, Translations).captions
        return by_turns(said, languages)

    return ParallelText(read_lines(path, take), path.name, languages)
