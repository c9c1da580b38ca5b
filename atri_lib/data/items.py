"""What banks are made of: single sounds or pictures with a name in eight languages, of which scenes
are composed.
"""

import functools
from collections.abc import Hashable, Mapping
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
    left_out: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def checksum(self) -> str:
        """16 hex digits over ids, names and contents, in order."""
        parts = []
        for item in self.items:
            parts += [item.id, item.names, item.content]
        return checksum(*parts)


def well_named(called: Mapping[Hashable, dict[str, str]]) -> tuple[dict, dict]:
    """Of things and their names those that a bank can have: with names in all languages, none long
    or an earlier one's; and why each other cannot be had.
    """
    kept = {}
    left_out = {}
    taken = set()  # (language code, name)
    for thing, names in called.items():
        own = {(code, name.casefold()): name for code, name in names.items()}
        missing = [code for code in CODES if code not in names]
        doubled = [name for key, name in own.items() if key in taken]
        if missing:
            left_out[thing] = f"no caption in {', '.join(missing)}"
        elif max(map(len, names.values())) > LONGEST:
            left_out[thing] = f"a name of more than {LONGEST} characters"
        elif doubled:
            left_out[thing] = f"another has the name {doubled[0]!r}"
        else:
            kept[thing] = names
            taken |= set(own)
    return kept, left_out
