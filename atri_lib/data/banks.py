"""The registry of banks: the single sounds or pictures, with names, that scenes are composed of.

A new bank is a line in SOUNDS or PICTURES; a key of PICTURES is data of a run (`--data stamps`).
"""

import functools
import sys

from atri_lib.data.items import Bank, BankUnavailable
from atri_lib.data.pictures import drawn, emoji, stamps
from atri_lib.data.recorded import NAME, recorded_sounds
from atri_lib.data.synthetic import synthetic_sounds

BOOK = NAME  # the origin of the data behind every figure of the book

# what a bank is called -> what fetches it
SOUNDS = {"recordings": recorded_sounds}
PICTURES = {"pictures": emoji, "stamps": stamps}


@functools.cache
def bank(name: str) -> Bank:
    """A bank by its name, fetched if need be; where it cannot be had, synthetic sounds or drawn
    shapes, and one notice on stderr. Raises KeyError for another name.
    """
    try:
        return (SOUNDS | PICTURES)[name]()
    except BankUnavailable as reason:
        instead = drawn() if name in PICTURES else synthetic_sounds()
        said = f"Notice: {reason}\nContinuing with {instead.name} instead of {name}."
        print(said, file=sys.stderr)
        return instead


def default_bank() -> Bank:
    """The recordings of the book, or synthetic sounds: `bank("recordings")`."""
    return bank("recordings")
