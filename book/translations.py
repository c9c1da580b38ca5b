"""Translations of a page. `found_fra.md` beside `found.md` is its French. It names the English text
it follows: `<!-- follows 3f2a9c11 -->`.
"""

import hashlib
import pathlib

from atri_lib.languages import LANGUAGES


def follows(page: pathlib.Path) -> str:
    """The comment in a translation of an English page: the first eight digits of its SHA-256."""
    return f"<!-- follows {hashlib.sha256(page.read_bytes()).hexdigest()[:8]} -->"


def stale(page: pathlib.Path) -> list[str]:
    """The languages, in English, whose translation of a page does not follow its text of today."""
    names = {f"{page.stem}_{one.code}": one.name for one in LANGUAGES}
    comment = follows(page)
    paths = sorted(page.parent.glob(f"{page.stem}_*.md"))
    return [names[path.stem] for path in paths if comment not in path.read_text(encoding="utf-8")]
