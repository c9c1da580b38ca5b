"""What banks are made of: single sounds or pictures with a name in eight languages, of which scenes
are composed.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from atri_lib.storage import checksum


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


class Bank(Protocol):
    """A set of items; checksum changes with any content, name or id."""

    name: str
    items: tuple[Item, ...]
    checksum: str


def bank_checksum(items: tuple[Item, ...]) -> str:
    """16 hex digits over ids, names and contents, in order."""
    parts = []
    for item in items:
        parts += [item.id, item.names, item.content]
    return checksum(*parts)
