"""Chapters as files: what their outputs follow from, how they are executed, and how they are committed."""

import copy
import pathlib
import re
import sys
import time
from collections.abc import Callable

import nbformat
import papermill
from nbformat import NotebookNode

from atri_lib.storage import atomic_path, checksum, write_text

CELL_METADATA = ("tags", "mystnb", "slideshow", "editable")


class ChapterFailed(Exception):
    """A cell of a chapter raised, or its kernel died; the message names the chapter and says what is known."""


def read(path: pathlib.Path) -> NotebookNode:
    """A notebook, format 4. Raises ValueError naming the file when it is none."""
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a Jupyter notebook ({error})") from error


def environment_key(root: pathlib.Path) -> str:
    """Checksum of all that chapters run on: the library's code and tables, the pins, the Python version."""
    files = sorted(path for suffix in ("py", "json", "csv") for path in (root / "atri_lib").rglob(f"*.{suffix}"))
    named = [[path.relative_to(root).as_posix(), checksum(path.read_bytes())] for path in files]
    pins = [line for line in (root / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    return checksum(named, pins, sys.version.split()[0])


def chapter_key(notebook: NotebookNode, parameters: dict, environment: str, data: str) -> str:
    """Checksum of what the outputs of a chapter follow from; outputs, counts and ids do not enter."""
    cells = [
        [cell.cell_type, cell.source, {k: cell.metadata[k] for k in CELL_METADATA if cell.metadata.get(k)}]
        for cell in notebook.cells
    ]
    return checksum(cells, parameters, environment, data)


def measures_time(notebook: NotebookNode) -> bool:
    """Whether a cell has the tag `measures-time`: nothing may be executed beside such a chapter."""
    return any("measures-time" in cell.metadata.get("tags", ()) for cell in notebook.cells)


class Reported:
    """A stream that hands each text written to it to a function."""

    def __init__(self, report: Callable[[str], None]):
        self.report = report

    def write(self, text: str) -> None:
        if text.strip():
            self.report(text.strip())

    def flush(self) -> None:
        """Nothing is held back."""


def execute(
    source: pathlib.Path,
    target: pathlib.Path,
    parameters: dict,
    failed: pathlib.Path,
    report: Callable[[str], None] | None = None,
) -> float:
    """Execute a chapter with papermill into `target`, atomically; returns seconds.

    Shows a bar, or hands "cells done/all cells" to `report` after each cell.
    Raises ChapterFailed with chapter, cell and traceback, or when the kernel dies or does not start; what ran until
    then is kept in the folder `failed`.
    """
    start = time.monotonic()
    shape = "{desc} |{bar:24}| cell {n}/{total} [{elapsed}<{remaining}]"
    bar = {"desc": f"    {source.stem}", "leave": False, "bar_format": shape}
    if report:
        bar = {"file": Reported(report), "leave": False, "bar_format": "{n}/{total}", "mininterval": 0}
    with atomic_path(target) as partial:
        try:
            papermill.execute_notebook(
                source,
                partial,
                parameters,
                cwd=source.parent,
                progress_bar=bar,
                start_timeout=120,
                extra_arguments=["--log-level=CRITICAL"],
            )
        except papermill.PapermillExecutionError as error:
            traceback = papermill.exceptions.strip_color("\n".join(error.traceback)) or f"{error.ename}: {error.evalue}"
            raise ChapterFailed(
                f"{source.name}, cell {error.cell_index + 1} (In [{error.exec_count}]) failed:\n\n"
                f"{indent(error.source)}\n\n{traceback}\n\n{keep(partial, failed / source.name)}"
            ) from error
        except RuntimeError as error:  # nbclient's DeadKernelError, and what it raises when a kernel does not start
            raise ChapterFailed(
                f"{source.name}: its kernel died or did not answer ({error}), most likely for lack of memory.\n"
                "Close other programs, then give the same command again: finished chapters are kept.\n\n"
                f"{keep(partial, failed / source.name)}"
            ) from error
    return time.monotonic() - start


def keep(partial: pathlib.Path, kept: pathlib.Path) -> str:
    """Copy what a failed chapter has saved so far, if anything; returns a line that says where it is."""
    if not partial.exists():
        return "Nothing of the chapter was executed."
    write_text(kept, partial.read_text(encoding="utf-8"))
    return f"The chapter as far as it came: {kept}"


def indent(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def clean(notebook: NotebookNode) -> NotebookNode:
    """A copy without timings, widget states, run-time metadata, injected cells; streams joined, counts 1, 2, 3 ..."""
    result = copy.deepcopy(notebook)
    result.cells = [cell for cell in result.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    result.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    count = 0
    for cell in result.cells:
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)})
        if cell.cell_type != "code":
            continue
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        cell.outputs = joined(cell.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = cell.execution_count
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = stable_ids(output.data["text/html"], cell.id)
            if "data" in output:
                output.data = NotebookNode({kind: data for kind, data in output.data.items() if "widget" not in kind})
    return result


def stable_ids(page: str, cell: str) -> str:
    """HTML with the random element ids of plotly's figures named after their cell."""
    for number, name in enumerate(dict.fromkeys(re.findall(r'id="([\da-f-]{36})" class="plotly', page))):
        page = page.replace(name, f"plotly-{cell}-{number}")
    return page


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs with neighbouring pieces of one stream made one: how a kernel cuts a stream up is chance."""
    result: list[NotebookNode] = []
    for output in outputs:
        last = result[-1] if result else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            result.append(output)
    return result


def written(notebook: NotebookNode) -> str:
    """A notebook as committed: keys sorted, indent 1, UTF-8, lines split for readable diffs."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"
