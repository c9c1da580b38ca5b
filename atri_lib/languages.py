"""The eight languages of the book, English first, and what each model calls them."""

import json
import pathlib
from dataclasses import dataclass


class UnknownLanguage(ValueError):
    """A language code that is none of the eight."""


@dataclass(frozen=True)
class Language:
    """code: ISO 639-3; name: in English; nllb: NLLB-200 and SONAR tag; locale: ISO 639-1 style,
    used by Tux Paint.
    """

    code: str
    name: str
    nllb: str
    locale: str


_TABLE = pathlib.Path(__file__).with_suffix(".json")
LANGUAGES = tuple(Language(**row) for row in json.loads(_TABLE.read_text()))
CODES = tuple(language.code for language in LANGUAGES)


def language(code: str) -> Language:
    """The language of an ISO 639-3 code. Raises UnknownLanguage, naming the eight codes, for any
    other.
    """
    for entry in LANGUAGES:
        if entry.code == code:
            return entry
    raise UnknownLanguage(
        f"unknown language code {code!r}: use one of {', '.join(CODES)} (ISO 639-3)"
    )
