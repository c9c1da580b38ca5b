"""A chapter for Colab: a first cell that installs the library as it was at the commit of the
page.
"""

import contextlib
import subprocess
import tomllib

import nbformat
from nbformat import NotebookNode
from pages import ROOT

COPY = "copy_of_the_book"  # a folder beside the chapter
SHOWN_WITH = ["myst-nb"]  # what chapters import besides the library and what it needs


def commit() -> str | None:
    """The commit that this checkout stands at; None where there is no repository, or no git."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.check_output(["git", "-C", ROOT, "rev-parse", "HEAD"], text=True).strip()


def install(notebook: NotebookNode, repository: str) -> None:
    """Begin a chapter with a cell that installs what the others import, at the commit of the
    page. Colab's Python is newer than the pins' 3.11: its results may differ in the last digits.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = " ".join(project["dependencies"] + SHOWN_WITH)
    clone = f"git clone --quiet {repository.rstrip('/')} {COPY}"
    lines = [
        "# The library and the studies at the commit of this page, and what they need.",
        f"%pip install --quiet {packages}",
        f"!{clone} && git -C {COPY} checkout --quiet {commit()}",
        f"import sys; sys.path.insert(0, {COPY!r})",
    ]
    notebook.cells.insert(0, nbformat.v4.new_code_cell("\n".join(lines), id="install"))
