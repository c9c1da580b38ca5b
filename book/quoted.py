"""Numbers of chapters on pages: `<!-- CHAPTER KEY FORMAT -->` becomes what a cell of the chapter
glued, so that no page holds a typed number.
"""

import contextlib
import functools
import math
import pathlib
import re

from cells import GLUED, plain_number
from chapters import BuildFailed, read

MARK = re.compile(r"<!-- (\d\d_\w+) ([\w-]+) (\.\d[fg]) -->")


def quoted(text: str, executed: pathlib.Path) -> str:
    """A page's text with the chapters' numbers in it. executed: the folder of executed chapters.

    Raises BuildFailed that names a chapter or a key that is not there.
    """

    def number(mark: re.Match) -> str:
        chapter, key, form = mark.groups()
        path = executed / f"{chapter}.ipynb"
        if not path.exists():
            raise BuildFailed(f"a page quotes {chapter}, which is no chapter")
        known = glued_numbers(path)
        if key not in known:
            raise BuildFailed(f"a page quotes {key} of {chapter}, which glues no such number")
        return format(known[key], form)

    return MARK.sub(number, text)


@functools.cache
def glued_numbers(path: pathlib.Path) -> dict[str, float]:
    """The numbers that the cells of an executed chapter glued, by their keys."""
    found = {}
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            shown = output.get("data", {}).get(GLUED, "")
            with contextlib.suppress(ValueError):  # a text, or nothing glued
                number = float(plain_number(shown))
                if math.isfinite(number):
                    found[output.metadata.scrapbook.name] = number
    return found
