"""The eight languages of the book, English first, and what each model calls them."""

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


LANGUAGES = (
    Language("eng", "English", "eng_Latn", "en"),
    Language("fra", "French", "fra_Latn", "fr"),
    Language("deu", "German", "deu_Latn", "de"),
    Language("spa", "Spanish", "spa_Latn", "es"),
    Language("nld", "Dutch", "nld_Latn", "nl"),
    Language("cat", "Catalan", "cat_Latn", "ca"),
    Language("jpn", "Japanese", "jpn_Jpan", "ja"),
    Language("zho", "Chinese", "zho_Hans", "zh_CN"),
)
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
