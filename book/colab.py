"""A chapter for Colab: a first cell that installs the library as it was at the commit of the
page.
"""

import contextlib
import pathlib
import re
import subprocess
import tomllib

import nbformat
from nbformat import NotebookNode

FOLDER = "_notebooks/colab"  # in the site, which `make publish` puts on the branch gh-pages
COPY = "copy_of_the_book"  # a folder beside the chapter
SHOWN_WITH = ["myst-nb"]  # what chapters import besides the library and what it needs


def commit(root: pathlib.Path) -> str | None:
    """The commit that a checkout stands at; None where there is no repository, or no git."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.check_output(["git", "-C", root, "rev-parse", "HEAD"], text=True).strip()


def link(repository: str, name: str, root: pathlib.Path) -> str | None:
    """Where Colab opens a chapter of a published copy; None for a repository that is not on GitHub,
    and for a copy without one.
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", repository)
    if not match or not commit(root):
        return None
    place = f"{match[1]}/blob/gh-pages/{FOLDER}/{name}.ipynb"
    return f"https://colab.research.google.com/github/{place}"


def with_installation(notebook: NotebookNode, root: pathlib.Path, repository: str) -> NotebookNode:
    """A copy of a chapter whose first cell installs what the others import, at the commit of the
    page. Colab's Python is newer than the pins' 3.11: its results may differ in the last digits.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = " ".join(project["dependencies"] + SHOWN_WITH)
    clone = f"git clone --quiet {repository.rstrip('/')} {COPY}"
    lines = [
        "# The library and the studies at the commit of this page, and what they need.",
        f"%pip install --quiet {packages}",
        f"!{clone} && git -C {COPY} checkout --quiet {commit(root)}",
        f"import sys; sys.path.insert(0, {COPY!r})",
    ]
    cell = nbformat.v4.new_code_cell("\n".join(lines), id="install")
    metadata = notebook.metadata
    return nbformat.v4.new_notebook(cells=[cell, *notebook.cells], metadata=metadata)
