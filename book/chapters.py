"""Chapters as files: what their outputs follow from, how they are executed, cleaned, and checked
before a commit.
"""

import ast
import copy
import functools
import json
import pathlib
import re
import sys

import nbformat
import papermill
from nbformat import NotebookNode

from atri_lib.storage import atomic_path, checksum, syntax_hash, write_text

CELL_METADATA = ("tags", "mystnb", "slideshow", "editable")
SPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
IGNORED = "nbval-ignore-output"
LARGEST = 1_500_000
# An absolute path of someone's machine; a word, a URL or a closing tag before the slash is
# something else.
ABSOLUTE_PATH = re.compile(
    r"(?<![\w./<>~)-])(?:/(?:home|root|tmp|Users|usr|var|opt|mnt|private|work|srv|data)/[\w.]|[A-Z]:\\\\?\w)"
)
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
PARTS = {  # what each chapter holds, besides its argument: name -> pattern in its prose
    "a level-one title": r"\A# \S",
    "a section on what would have shown us wrong": r"(?im)shown? us wrong",
    "a 'Departures from the paper' box": r"(?im)^[`:]{3,}\{admonition\} .*departures from the paper",
    "take-aways": r"(?im)^#+ .*take-?aways",
}


class BuildFailed(Exception):
    """A chapter failed, or the site is not whole; the message names what is to be mended."""


def read(path: pathlib.Path) -> NotebookNode:
    """A notebook, format 4. Raises ValueError naming the file when it is none."""
    try:
        return nbformat.read(path, as_version=4)
    except (
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
        KeyError,
        AttributeError,
    ) as error:
        raise ValueError(f"{path}: not a Jupyter notebook ({error})") from error


def used_files(notebook: NotebookNode, root: pathlib.Path) -> set[pathlib.Path]:
    """The library's modules that a chapter imports, directly or through others, and the tables
    beside them.
    """
    used: set[pathlib.Path] = set()
    cells = [
        re.sub(r"(?m)^\s*[%!].*$", "", cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    todo = {name for source in cells for name in imported(source)}
    while todo:
        name = todo.pop()
        places = [
            root.joinpath(*name.split(".")[:count]) for count in range(1, name.count(".") + 2)
        ]
        found = {
            path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")
        }
        if name.endswith("."):  # a module of this package is chosen by its name
            found |= set(root.joinpath(*name.split(".")).glob("*.py"))
        for path in {path for path in found if path.is_file()} - used:
            used.add(path)
            todo |= imported(path.read_text(encoding="utf-8"))
    used |= {
        table
        for path in used
        for kind in ("json", "csv")
        for table in path.parent.glob(f"*.{kind}")
    }
    return used | stored_figures(cells, used, root / "studies" / "rows")


def stored_figures(
    cells: list[str], used: set[pathlib.Path], folder: pathlib.Path
) -> set[pathlib.Path]:
    """The files of studies/rows that a chapter's cells name ("numbers"), or a module that it uses
    ("seconds.json").
    """
    modules = [path.read_text(encoding="utf-8") for path in used if path.suffix == ".py"]
    by_cells = {text for source in cells for text in texts(source)}
    by_modules = {text for source in modules for text in texts(source)}
    files = folder.rglob("*.json*")
    return {path for path in files if path.stem in by_cells or path.name in by_cells | by_modules}


@functools.cache
def texts(source: str) -> frozenset[str]:
    """The strings in a source."""
    nodes = ast.walk(ast.parse(source))
    return frozenset(
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@functools.cache
def imported(source: str) -> frozenset[str]:
    """Dotted names of the library in a source: what it imports, and what its texts name
    ("atri_lib.losses").
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return frozenset(
        name for name in names if re.fullmatch(r"(atri_lib|studies|book)(\.\w+)*\.?", name)
    )


def chapter_key(notebook: NotebookNode, parameters: dict, root: pathlib.Path, sounds: str) -> str:
    """Checksum of what a chapter's outputs follow from: its cells, the code it uses, pins, Python
    and recordings.
    """
    cells = [
        [
            cell.cell_type,
            cell.source,
            {k: cell.metadata[k] for k in CELL_METADATA if cell.metadata.get(k)},
        ]
        for cell in notebook.cells
    ]
    files = {
        path.relative_to(root).as_posix(): (syntax_hash if path.suffix == ".py" else checksum)(
            path.read_bytes()
        )
        for path in used_files(notebook, root)
    }
    pins = re.findall(
        r"(?m)^[\w.-]+==[^\\\n]*", (root / "requirements.txt").read_text()
    )  # without the hashes
    return checksum(cells, parameters, files, pins, sys.version.split()[0], sounds)


def execute(
    source: pathlib.Path, target: pathlib.Path, parameters: dict, failed: pathlib.Path
) -> None:
    """Execute a chapter with papermill into `target`, atomically, with a bar on a terminal.

    Raises BuildFailed with cell and traceback, or when the kernel dies; what ran until then is kept
    in `failed`.
    """
    bar = {"desc": source.stem, "leave": False, "file": sys.__stderr__, "disable": None}
    options = {
        "start_timeout": 120,
        "extra_arguments": ["--log-level=CRITICAL"],
        "coalesce_streams": True,
    }
    with atomic_path(target) as partial:
        try:
            papermill.execute_notebook(
                source, partial, parameters, cwd=source.parent, progress_bar=bar, **options
            )
        except (papermill.PapermillExecutionError, RuntimeError) as error:
            reason = f"its kernel died or did not answer ({error}), most likely for lack of memory."
            if isinstance(error, papermill.PapermillExecutionError):
                reason = f"cell {error.cell_index + 1} failed.\n{papermill.exceptions.strip_color(str(error))}"
            kept = "Nothing of the chapter was executed."
            if partial.exists():
                write_text(failed / source.name, partial.read_text(encoding="utf-8"))
                kept = f"The chapter as far as it came: {failed / source.name}"
            raise BuildFailed(f"{source.name}: {reason}\n{kept}") from error


def clean(notebook: NotebookNode) -> NotebookNode:
    """A copy without timings, widget states, run-time metadata and injected cells, counts 1, 2, 3
    ...
    """
    result = copy.deepcopy(notebook)
    result.cells = [
        cell for cell in result.cells if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    result.metadata = NotebookNode(kernelspec=dict(SPEC), language_info={"name": "python"})
    count = 0
    for cell in result.cells:
        cell.metadata = NotebookNode(
            {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
        )
        if cell.cell_type != "code":
            continue
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = cell.execution_count
            if "data" in output:
                output.data = NotebookNode(
                    {kind: data for kind, data in output.data.items() if "widget" not in kind}
                )
    return result


def written(notebook: NotebookNode) -> str:
    """A notebook as committed: keys sorted, indent 1, UTF-8, lines split for readable diffs."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def problems(notebook: NotebookNode) -> list[str]:
    """What keeps a cleaned notebook from being a committed chapter; empty when nothing does. Cells
    count from 1.
    """
    size = len(json.dumps(notebook, ensure_ascii=False, indent=1).encode())
    found = [f"a file of {size:,} bytes (at most {LARGEST:,})"] if size > LARGEST else []
    ids = [cell.get("id") for cell in notebook.cells]
    if None in ids or len(set(ids)) < len(ids):
        found.append("cells without an id of their own")
    parameters = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(parameters) != 1 or not re.search(r"^profile\b.* = ", parameters[0].source, re.M):
        found.append("not exactly one cell tagged `parameters` that sets profile")
    for number, cell in enumerate(notebook.cells, 1):
        found += [f"cell {number}: {problem}" for problem in output_problems(cell)]
    return found + text_problems(
        "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    )


def output_problems(cell: NotebookNode) -> list[str]:
    """Errors, warnings, paths, audio and unmarked or undescribed pictures among the outputs of a
    code cell.
    """
    found, kinds = [], set()
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        kinds |= set(data)
        if output.output_type == "error":
            found.append(f"raised {output.ename}")
        if output.get("name") == "stderr":
            found.append(f"wrote to stderr: {output.text.strip()[:80]!r}")
        text = "".join(
            [
                str(output.get("text", "")),
                *(str(data[kind]) for kind in data if kind != "image/png"),
            ]
        )
        for pattern, what in ((ABSOLUTE_PATH, "an absolute path"), (ADDRESS, "a memory address")):
            if match := pattern.search(text):
                found.append(
                    f"shows {what}: {text[max(0, match.start() - 10) : match.end() + 40]!r}"
                )
        if re.search(r"data:audio/|<audio\b", text) or any(
            kind.startswith("audio/") for kind in data
        ):
            found.append("holds audio data (players belong to the built book)")
    pictures = {kind for kind in kinds if kind.startswith("image/")}
    if (pictures or "text/html" in kinds) and IGNORED not in cell.metadata.get("tags", []):
        found.append(
            f"shows {', '.join(sorted(pictures | ({'text/html'} & kinds)))} but is not tagged {IGNORED}"
        )
    if pictures and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip():
        found.append("shows a picture without alt text (metadata mystnb.image.alt)")
    return found


def text_problems(prose: str) -> list[str]:
    """Missing parts of a chapter, pictures without alt text, and exercises without a solution (or
    the reverse).
    """
    found = [
        f"no {part.removeprefix('a ')}"
        for part, pattern in PARTS.items()
        if not re.search(pattern, prose)
    ]
    found += ["a picture without alt text" for _ in re.findall(r"!\[\s*\]\(", prose)]
    figures = re.findall(
        r"[`:]{3,}\{(?:figure|image)\}(.*?)(?:^[`:]{3,}\s*$|\Z)", prose, re.S | re.M
    )
    found += [
        "a figure or image directive without :alt:" for body in figures if ":alt:" not in body
    ]
    # Each exercise is followed by its label line; each solution names that label in its first line.
    exercises = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label:\s*(\S+)", prose)
    solutions = dict(re.findall(r"\{solution(?:-start)?\}\s*(\S+)([^{]*)", prose))
    found += [f"{len(exercises)} labelled exercises (2 to 4)"] * (not 2 <= len(exercises) <= 4)
    found += [f"exercise {label} has no solution" for label in exercises if label not in solutions]
    found += [
        f"solution of unknown exercise {label}" for label in solutions if label not in exercises
    ]
    shown = [label for label, head in solutions.items() if "dropdown" not in head]
    found += [f"solution {label} is not hidden (:class: dropdown)" for label in shown]
    unended = prose.count("{solution-start}") != prose.count("{solution-end}")
    return found + ["a solution-start without its solution-end"] * unended
