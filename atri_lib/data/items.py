"""What banks are made of: single sounds or pictures with a name in eight languages, of which scenes
are composed.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from atri_lib.languages import CODES
from atri_lib.storage import checksum

LONGEST = 40  # characters of a name


class BankUnavailable(RuntimeError):
    """The recordings, or pictures, are not on this machine and cannot be fetched; the message says
    what to do.
    """


@dataclass(frozen=True, eq=False)
class Item:
    """A sound or a picture and what it is called.

    content: of a sound float32 [samples], 16 kHz mono, |x| <= 0.95, rounded to 16 bits; of a
    picture uint8 [128, 128, 4], red, green, blue and opacity. names: per ISO 639-3 code a singular
    noun phrase for use inside a sentence, with its article where the language has one ("a frog",
    "une grenouille", "ein Frosch" in the nominative, "カエル", "青蛙"); no two items of a bank
    share a name in any language.
    """

    id: str
    content: np.ndarray
    names: dict[str, str]
    source: str
    licence: str


@dataclass(frozen=True, eq=False)
class Bank:
    """A set of items; left_out: what else was there, and why it is not among them."""

    name: str
    items: tuple[Item, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def checksum(self) -> str:
        """16 hex digits over ids, names and contents, in order."""
        parts = []
        for item in self.items:
            parts += [item.id, item.names, item.content]
        return checksum(*parts)


def bank_of(
    name: str,
    called: Mapping[str, Mapping[str, str]],
    content: Callable[[str], np.ndarray],
    licence: str,
) -> Bank:
    """A bank of what is named in all languages, briefly, and as nothing earlier is; an id is the
    stem of a source.

    called: source -> language code -> name; content: an item's, of its source; empty where nothing
    is heard.
    """
    items = []
    left_out = {}
    taken = set()  # (language code, name)
    for source, names in called.items():
        missing = [code for code in CODES if not names.get(code)]
        own = {(code, said.casefold()) for code, said in names.items()}
        stem = pathlib.PurePath(source).stem
        if missing:
            why = f"no caption in {', '.join(missing)}"
        elif max(map(len, names.values())) > LONGEST:
            why = f"a name of more than {LONGEST} characters"
        elif taken & own:
            why = f"another has the name {min(taken & own)[1]!r}"
        elif not (found := content(source)).size:
            why = "silent"
        else:
            taken |= own
            items.append(Item(stem, found, names, source, licence))
            continue
        left_out[stem] = why
    return Bank(name, tuple(items), left_out)
