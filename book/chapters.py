"""Chapters as files: what their outputs follow from, how they are executed, and how they are committed."""

import ast
import copy
import functools
import pathlib
import re
import sys

import nbformat
import papermill
from nbformat import NotebookNode

from atri_lib.storage import atomic_path, checksum, write_text

CELL_METADATA = ("tags", "mystnb", "slideshow", "editable")
SPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
BAR = "    {desc} |{bar:24}| cell {n}/{total} [{elapsed}<{remaining}]"


class ChapterFailed(Exception):
    """A cell of a chapter raised, or its kernel died; the message names the chapter and says what is known."""


def read(path: pathlib.Path) -> NotebookNode:
    """A notebook, format 4. Raises ValueError naming the file when it is none."""
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a Jupyter notebook ({error})") from error


def used_files(notebook: NotebookNode, root: pathlib.Path) -> set[pathlib.Path]:
    """The library's modules that a chapter imports, directly or through others, with the tables that lie beside them."""
    used: set[pathlib.Path] = set()
    cells = [re.sub(r"(?m)^\s*[%!].*$", "", cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    todo = {name for source in cells for name in imported(source)}
    while todo:
        name = todo.pop()
        places = [root.joinpath(*name.split(".")[:count]) for count in range(1, name.count(".") + 2)]
        found = {path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")}
        if name.endswith("."):  # a module of this package is chosen by its name
            found |= set(root.joinpath(*name.split(".")).glob("*.py"))
        for path in {path for path in found if path.is_file()} - used:
            used.add(path)
            todo |= imported(path.read_text(encoding="utf-8"))
    return used | {table for path in used for kind in ("json", "csv") for table in path.parent.glob(f"*.{kind}")}


@functools.cache
def imported(source: str) -> frozenset[str]:
    """Dotted names of the library in a source: what it imports, and what its texts name ("atri_lib.losses")."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return frozenset(name for name in names if re.fullmatch(r"atri_lib(\.\w+)*\.?", name))


@functools.cache
def code_of(source: bytes) -> str:
    """Checksum of Python code; comments, docstrings and layout do not enter."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return checksum(ast.dump(tree))


def pins(root: pathlib.Path) -> list[str]:
    """The pinned versions of requirements.txt; comments and hashes do not enter."""
    return re.findall(r"(?m)^[\w.-]+==[^\\\n]*", (root / "requirements.txt").read_text(encoding="utf-8"))


def chapter_key(notebook: NotebookNode, parameters: dict, root: pathlib.Path, sounds: object) -> str:
    """Checksum of what a chapter's outputs follow from: its cells, the code it uses, pins, Python and recordings."""
    cells = [
        [cell.cell_type, cell.source, {k: cell.metadata[k] for k in CELL_METADATA if cell.metadata.get(k)}]
        for cell in notebook.cells
    ]
    files = {
        path.relative_to(root).as_posix(): (code_of if path.suffix == ".py" else checksum)(path.read_bytes())
        for path in used_files(notebook, root)
    }
    return checksum(cells, parameters, files, pins(root), sys.version.split()[0], sounds)


def measures_time(notebook: NotebookNode) -> bool:
    """Whether a cell has the tag `measures-time`: nothing may be executed beside such a chapter."""
    return any("measures-time" in cell.metadata.get("tags", ()) for cell in notebook.cells)


def execute(source: pathlib.Path, target: pathlib.Path, parameters: dict, failed: pathlib.Path) -> None:
    """Execute a chapter with papermill into `target`, atomically, with a bar on a terminal.

    Raises ChapterFailed with chapter, cell and traceback, or when the kernel dies or does not start; what ran until
    then is kept in the folder `failed`.
    """
    bar = {"desc": source.stem, "leave": False, "bar_format": BAR, "file": sys.__stderr__, "disable": None}
    options = {"start_timeout": 120, "extra_arguments": ["--log-level=CRITICAL"], "coalesce_streams": True}
    with atomic_path(target) as partial:
        try:
            papermill.execute_notebook(source, partial, parameters, cwd=source.parent, progress_bar=bar, **options)
        except (papermill.PapermillExecutionError, RuntimeError) as error:
            reason = f"its kernel died or did not answer ({error}), most likely for lack of memory."
            if isinstance(error, papermill.PapermillExecutionError):
                reason = f"cell {error.cell_index + 1} failed.\n{papermill.exceptions.strip_color(str(error))}"
            kept = "Nothing of the chapter was executed."
            if partial.exists():
                write_text(failed / source.name, partial.read_text(encoding="utf-8"))
                kept = f"The chapter as far as it came: {failed / source.name}"
            raise ChapterFailed(f"{source.name}: {reason}\n{kept}") from error


def clean(notebook: NotebookNode) -> NotebookNode:
    """A copy without timings, widget states, run-time metadata and injected cells, counts 1, 2, 3 ..."""
    result = copy.deepcopy(notebook)
    result.cells = [cell for cell in result.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    result.metadata = NotebookNode(kernelspec=dict(SPEC), language_info={"name": "python"})
    count = 0
    for cell in result.cells:
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)})
        if cell.cell_type != "code":
            continue
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = cell.execution_count
            if "data" in output:
                output.data = NotebookNode({kind: data for kind, data in output.data.items() if "widget" not in kind})
    return result


def written(notebook: NotebookNode) -> str:
    """A notebook as committed: keys sorted, indent 1, UTF-8, lines split for readable diffs."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"
