"""Captions in several languages without clips: what an alignment can be fitted on besides those of
the training clips.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pydantic

from atri_lib import storage
from atri_lib.data.dataset import Dataset, by_turns
from atri_lib.data.intake import Captions, ManifestError, parsed
from atri_lib.data.manifest import listed, rows_of
from atri_lib.languages import CODES
from atri_lib.terminal import one_line


class Translations(pydantic.BaseModel):
    """A line: what is said, in every language."""

    model_config = pydantic.ConfigDict(strict=True, extra="allow")
    captions: Captions


class ParallelText(Dataset):
    """Captions without clips; `ids` number them."""

    def __init__(
        self, captions: Sequence[dict[str, tuple[str, ...]]], origin: str, languages: Sequence[str]
    ) -> None:
        self.captions = tuple(captions)
        self.ids = tuple(map(str, range(len(captions))))
        self.origin = origin
        self.languages = tuple(languages)
        self.checksum = storage.checksum("parallel text", list(captions))

    def clip(self, index: int) -> np.ndarray:
        raise IndexError(f"{self.origin} has captions only")


def load_parallel_text(path: str | os.PathLike, languages: Sequence[str] = CODES) -> ParallelText:
    """The captions of a .jsonl file, one object per line: {"captions": {"eng": "A dog.", ...}}, as
    in a manifest, of which other fields are not used.

    languages: those that every line must have. Where a line has fewer captions in one language than
    in another, they are repeated by turns. Raises ManifestError listing file:line of what is wrong.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise ManifestError(f"{path}: {what}; give a .jsonl file of captions in every language")
    taken, faults = [], []
    for number, raw in rows_of(path):
        try:
            said = parsed(raw, languages, Translations).captions
            taken.append(by_turns({code: said[code] for code in languages}))
        except ManifestError as error:
            faults.append(one_line(f"{path}:{number}: {error}"))
    if faults:
        raise ManifestError(listed(faults, nothing_taken=not taken))
    if not taken:
        raise ManifestError(f"{path}: empty; write one JSON object per line")
    return ParallelText(taken, path.name, languages)
