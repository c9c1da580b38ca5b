"""Translations of a page. `found_fra.md` beside `found.md` is its French. It names the English text
it follows: `<!-- follows 3f2a9c11 -->`.
"""

import hashlib
import pathlib

from atri_lib.languages import LANGUAGES


def follows(english: str) -> str:
    """The comment in a translation of this English text: the first eight digits of its SHA-256."""
    return f"<!-- follows {hashlib.sha256(english.encode()).hexdigest()[:8]} -->"


def translated(page: pathlib.Path) -> dict[str, str]:
    """The text of each translation of a page (found.md), by the English name of its language."""
    found = {}
    for language in LANGUAGES:
        path = page.with_stem(f"{page.stem}_{language.code}")
        if path.exists():
            found[language.name] = path.read_text(encoding="utf-8")
    return found


def stale(page: pathlib.Path) -> list[str]:
    """The languages, in English, whose translation of a page does not follow its text of today."""
    comment = follows(page.read_text(encoding="utf-8"))
    return [name for name, text in translated(page).items() if comment not in text]
