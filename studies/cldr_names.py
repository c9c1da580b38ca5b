"""Our names of sounds beside those that native speakers vetted: Unicode's CLDR names of emoji.

A sound is compared where an emoji has its English name; articles, which CLDR leaves out, do not
count.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from atri_lib.data.pictures import PictureBank
from atri_lib.languages import CODES

ARTICLES = {
    "eng": {"a", "an", "some", "the"},
    "fra": {"un", "une", "des", "du", "de"},
    "deu": {"ein", "eine"},
    "spa": {"un", "una", "unos", "unas"},
    "nld": {"een"},
    "cat": {"un", "una", "uns", "unes"},
}


def bare(name: str, code: str) -> str:
    """A noun phrase without its article, in small letters."""
    first, _, rest = name.casefold().partition(" ")
    return rest if rest and first in ARTICLES.get(code, ()) else name.casefold()


def compared(names: Iterable[Mapping[str, str]], emoji: PictureBank) -> pd.DataFrame:
    """One row per sound that has an emoji and language but English: ours, CLDR's, and same, whether
    they are equal.

    names: of each sound, language code -> noun phrase.
    """
    vetted = {picture.names["eng"].casefold(): picture.names for picture in emoji.sounds}
    rows = []
    for said in names:
        english = bare(said["eng"], "eng")
        for code in CODES[1:] if english in vetted else ():
            ours, theirs = bare(said[code], code), vetted[english][code].casefold()
            rows.append((english, code, ours, theirs, ours == theirs))
    return pd.DataFrame(rows, columns=["name", "language", "ours", "CLDR", "same"])
