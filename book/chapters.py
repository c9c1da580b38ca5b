"""Chapters as files: what their outputs follow from, how they are executed and cleaned before
a commit. What a committed one may hold is said by tests/test_book.py.
"""

import ast
import copy
import functools
import pathlib
import re
import shutil
import sys

import nbformat
import papermill
from code_hash import syntax_hash
from nbformat import NotebookNode

from atri_lib.storage import atomic_path, checksum

CELL_METADATA = ("tags", "mystnb", "slideshow", "editable")
OURS = re.compile(r"(atri_lib|studies|book)(\.\w+)*")
SPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


class BuildFailed(Exception):
    """A chapter failed, or the site is not whole; the message names what is to be mended."""


def read(path: pathlib.Path) -> NotebookNode:
    """A notebook, format 4. Raises ValueError naming the file when it is none."""
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a Jupyter notebook ({error})") from error


def used_files(notebook: NotebookNode, root: pathlib.Path) -> set[pathlib.Path]:
    """The modules of ours that a chapter imports, directly or through others, the tables beside
    them, and the files of studies/rows that the cells or these modules name; all of those where
    the chapter counts every prediction.
    """
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    sources = [re.sub(r"(?m)^\s*[%!].*$", "", cell) for cell in cells]  # without magics of IPython
    used = set()
    for source in sources:  # which grow
        for path in set().union(*(module_files(name, root) for name in names(source))) - used:
            used.add(path)
            sources.append(path.read_text(encoding="utf-8"))
    for folder in {path.parent for path in used}:
        used |= {*folder.glob("*.json"), *folder.glob("*.csv")}
    counts_all = any("tally(" in cell for cell in cells)
    named = set().union(*map(names, sources))
    for path in (root / "studies" / "rows").rglob("*.json*"):
        if counts_all or path.stem in named or path.name in named:
            used.add(path)
    return used


@functools.cache
def names(source: str) -> frozenset[str]:
    """What a source imports, as dotted names, and its texts, which may name a module too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant):
            found.add(str(node.value))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def module_files(name: str, root: pathlib.Path) -> set[pathlib.Path]:
    """The files that the import of a dotted name runs: packages, module, or the module of an
    attribute; none where the name is not ours.
    """
    if not OURS.fullmatch(name):
        return set()
    place = root
    found = set()
    for part in name.split("."):
        place = place / part
        found |= {place.with_suffix(".py"), place / "__init__.py"}
    return {path for path in found if path.is_file()}


def chapter_key(notebook: NotebookNode, parameters: dict, root: pathlib.Path, sounds: str) -> str:
    """Checksum of what a chapter's outputs follow from: its cells, the code it uses, pins, Python
    and recordings.
    """
    cells = [[cell.cell_type, cell.source, kept_metadata(cell)] for cell in notebook.cells]
    files = {}
    for path in used_files(notebook, root):
        hashed = syntax_hash if path.suffix == ".py" else checksum
        files[path.relative_to(root).as_posix()] = hashed(path.read_bytes())
    requirements = (root / "requirements.txt").read_text()
    pins = re.findall(r"(?m)^[\w.-]+==[^\\\n]*", requirements)  # without the hashes
    return checksum(cells, parameters, files, pins, sys.version.split()[0], sounds)


def kept_metadata(cell: NotebookNode) -> dict:
    """What a cell's metadata keep in a commit."""
    return {name: cell.metadata[name] for name in CELL_METADATA if cell.metadata.get(name)}


def execute(
    source: pathlib.Path, target: pathlib.Path, parameters: dict, failed: pathlib.Path
) -> None:
    """Execute a chapter with papermill, in the folder `failed`; a whole one goes to `target`.

    Raises BuildFailed with cell and traceback, or when the kernel dies; what ran until then stays.
    """
    running = failed / source.name
    failed.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            source,
            running,
            parameters,
            progress_bar=False,
            start_timeout=120,
            extra_arguments=["--log-level=CRITICAL"],
            coalesce_streams=True,
        )
    except (papermill.PapermillExecutionError, RuntimeError) as error:  # or the kernel died
        told = papermill.exceptions.strip_color(str(error))
        told = told.replace("Kernel died", "Kernel died (lack of memory?)")
        raise BuildFailed(f"{source.name} failed: {told}\nWhat ran: {running}") from error
    with atomic_path(target) as partial:
        shutil.move(running, partial)


def clean(notebook: NotebookNode) -> NotebookNode:
    """A copy without timings, run-time metadata and injected cells, counts 1, 2, 3 ..."""
    result = copy.deepcopy(notebook)
    result.metadata = NotebookNode(kernelspec=dict(SPEC), language_info={"name": "python"})
    added = "injected-parameters"
    own = [cell for cell in result.cells if added not in cell.metadata.get("tags", [])]
    result.cells = own
    for cell in own:
        cell.metadata = NotebookNode(kept_metadata(cell))
    code = [cell for cell in own if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    return result


def written(notebook: NotebookNode) -> str:
    """A notebook as committed: keys sorted, indent 1, UTF-8, lines split for readable diffs."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"
