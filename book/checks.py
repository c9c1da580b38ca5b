"""What a committed chapter must look like: pure functions from a notebook to the list of what is wrong with it."""

import json
import re

from nbformat import NotebookNode

IGNORED = "nbval-ignore-output"
LARGEST = 1_500_000
# An absolute path of someone's machine; a word, a URL or a closing tag before the slash is something else.
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


def problems(notebook: NotebookNode) -> list[str]:
    """What keeps a notebook from being a committed chapter; empty when nothing does. Cells are counted from 1."""
    found = []
    size = len(json.dumps(notebook, ensure_ascii=False, indent=1).encode())
    if size > LARGEST:
        found.append(f"a file of {size:,} bytes (at most {LARGEST:,})")
    if "widgets" in notebook.metadata or "papermill" in notebook.metadata:
        found.append("run-time metadata (papermill, widgets)")
    ids = [cell.get("id") for cell in notebook.cells]
    if None in ids or len(set(ids)) < len(ids):
        found.append("cells without an id of their own")
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    if counts != list(range(1, len(counts) + 1)):
        found.append("code cells not executed once each, in order")
    parameters = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(parameters) != 1 or not re.search(r"^profile = ", parameters[0].source, re.M):
        found.append("not exactly one cell tagged `parameters` that sets profile")
    for number, cell in enumerate(notebook.cells, 1):
        check = code_cell_problems if cell.cell_type == "code" else prose_problems
        found += [f"cell {number}: {problem}" for problem in check(cell)]
    return found + text_problems("\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"))


def code_cell_problems(cell: NotebookNode) -> list[str]:
    """Errors, warnings, paths, audio and unmarked or undescribed pictures among the outputs of a code cell."""
    found, kinds = [], set()
    for output in cell.outputs:
        data = output.get("data", {})
        kinds |= set(data)
        if output.output_type == "error":
            found.append(f"raised {output.ename}")
        if output.get("name") == "stderr":
            found.append(f"wrote to stderr: {output.text.strip()[:80]!r}")
        text = "".join([str(output.get("text", "")), *(str(data[kind]) for kind in data if kind != "image/png")])
        for pattern, what in ((ABSOLUTE_PATH, "an absolute path"), (ADDRESS, "a memory address")):
            if match := pattern.search(text):
                found.append(f"shows {what}: {text[max(0, match.start() - 10) : match.end() + 40]!r}")
        if re.search(r"data:audio/|<audio\b", text) or any(kind.startswith("audio/") for kind in data):
            found.append("holds audio data (players belong to the built book)")
    pictures = {kind for kind in kinds if kind.startswith("image/")}
    if (pictures or "text/html" in kinds) and IGNORED not in cell.metadata.get("tags", []):
        found.append(f"shows {', '.join(sorted(pictures | ({'text/html'} & kinds)))} but is not tagged {IGNORED}")
    if pictures and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip():
        found.append("shows a picture without alt text (metadata mystnb.image.alt)")
    return found


def prose_problems(cell: NotebookNode) -> list[str]:
    """Pictures without alt text in a Markdown cell."""
    figures = re.findall(r"[`:]{3,}\{(?:figure|image)\}(.*?)(?:^[`:]{3,}\s*$|\Z)", cell.source, re.S | re.M)
    found = ["a picture without alt text" for _ in re.findall(r"!\[\s*\]\(", cell.source)]
    return found + ["a figure or image directive without :alt:" for body in figures if ":alt:" not in body]


def text_problems(prose: str) -> list[str]:
    """Missing parts of a chapter, and exercises without a solution (or the reverse)."""
    found = [f"no {part.removeprefix('a ')}" for part, pattern in PARTS.items() if not re.search(pattern, prose)]
    # Each exercise is followed by its label line; each solution names that label in its first line.
    exercises = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label:\s*(\S+)", prose)
    solutions = dict(re.findall(r"\{solution(?:-start)?\}\s*(\S+)([^{]*)", prose))
    if not 2 <= len(exercises) <= 4:
        found.append(f"{len(exercises)} labelled exercises (2 to 4)")
    found += [f"exercise {label} has no solution" for label in exercises if label not in solutions]
    found += [f"solution of unknown exercise {label}" for label in solutions if label not in exercises]
    found += [f"solution {label} is not hidden (:class: dropdown)" for label in solutions if "dropdown" not in solutions[label]]
    if prose.count("{solution-start}") != prose.count("{solution-end}"):
        found.append("a solution-start without its solution-end")
    return found
