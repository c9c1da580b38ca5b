"""Numbers of chapters on pages: `<!-- CHAPTER KEY FORMAT -->` becomes what a cell of the chapter
glued, so that no page holds a typed number.
"""

import ast
import pathlib
import re

from chapters import BuildFailed, read
from nbformat import NotebookNode

MARK = re.compile(r"<!-- (\d\d_\w+) ([\w-]+) (\.\d[fg]) -->")
GLUED = "application/papermill.record/text/plain"


def quoted(text: str, executed: pathlib.Path) -> str:
    """A page's text with the chapters' numbers in it. executed: the folder of executed chapters.

    Raises BuildFailed that names a chapter or a key that is not there.
    """
    known: dict[str, dict[str, float]] = {}

    def number(mark: re.Match) -> str:
        chapter, key, form = mark.groups()
        if chapter not in known:
            path = executed / f"{chapter}.ipynb"
            if not path.exists():
                raise BuildFailed(f"a page quotes {chapter}, which is no chapter")
            known[chapter] = glued_numbers(read(path))
        if key not in known[chapter]:
            raise BuildFailed(f"a page quotes {key} of {chapter}, which glues no such number")
        return format(known[chapter][key], form)

    return MARK.sub(number, text)


def glued_numbers(notebook: NotebookNode) -> dict[str, float]:
    """The numbers that a chapter's cells glued, by their keys."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            shown = output.get("data", {}).get(GLUED)
            if name is None or shown is None:
                continue
            text = re.sub(r"^np\.\w+\((.*)\)$", r"\1", shown)
            try:
                found[name] = float(ast.literal_eval(text))
            except (ValueError, SyntaxError, TypeError):
                continue  # a text
    return found
