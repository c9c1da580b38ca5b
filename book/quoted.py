"""Numbers of chapters on pages: `<!-- CHAPTER KEY FORMAT -->` becomes what a cell of the chapter
glued, so that no page holds a typed number.
"""

import functools
import math
import pathlib
import re

from cells import GLUED, plain_number
from chapters import BuildFailed, read

MARK = re.compile(r"<!-- (\d\d_\w+) ([\w-]+) (\.\d[fg]) -->")


def quoted(text: str, executed: pathlib.Path) -> str:
    """A page's text with the chapters' numbers in it. executed: the folder of executed chapters.

    Raises BuildFailed that names a chapter and a key where there is no such number.
    """

    def number(mark: re.Match) -> str:
        chapter, key, form = mark.groups()
        try:
            glued = glued_texts(executed / f"{chapter}.ipynb")
            value = float(plain_number(glued[key]))
            if not math.isfinite(value):
                raise ValueError(value)
            return format(value, form)
        except (OSError, KeyError, ValueError) as error:
            raise BuildFailed(f"a page quotes {key} of {chapter}: no number ({error!r})") from error

    return MARK.sub(number, text)


@functools.cache
def glued_texts(path: pathlib.Path) -> dict[str, str]:
    """What the cells of an executed chapter glued, by key."""
    found = {}
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            if GLUED in output.get("data", {}):
                found[output.metadata.scrapbook.name] = output.data[GLUED]
    return found
