"""What keeps a chapter from being committed: size, parts, exercises, and what its outputs show."""

import json
import re

from nbformat import NotebookNode

IGNORED = "nbval-ignore-output"
LARGEST = 1_500_000
# An absolute path of someone's machine; a word, a URL or a closing tag before the slash is
# something else.
ABSOLUTE_PATH = re.compile(
    r"(?<![\w./<>~)-])"
    r"(?:/(?:home|root|tmp|Users|usr|var|opt|mnt|private|work|srv|data)/[\w.]|[A-Z]:\\\\?\w)"
)
AUDIO = "audio data (players belong to the built book)"
NEVER_SHOWN = {
    "an absolute path": ABSOLUTE_PATH,
    "a memory address": re.compile(r"\bat 0x[0-9a-f]{6,}"),
    AUDIO: re.compile(r"data:audio/|<audio\b"),
}
PARTS = {  # what each chapter holds, besides its argument: name -> pattern in its prose
    "level-one title": r"\A# \S",
    "section with a control, or on what would have proved us wrong": (
        r"(?im)^#+ .*(?:\bcontrols?\b|(?:proved?|shown?) us wrong)"
    ),
    "'Departures from the paper' box": r"(?im)^[`:]{3,}\{admonition\} .*departures from the paper",
    "take-aways": r"(?im)^#+ .*take-?aways",
}
NEVER_WRITTEN = {
    "a picture without alt text": r"!\[\s*\]\(",
    "a line that the page drops as a comment": r"(?m)^%.*",
    "a figure or image directive without :alt:": (
        r"(?ms)[`:]{3,}\{(?:figure|image)\}(?:(?!:alt:).)*?(?:^[`:]{3,}\s*$|\Z)"
    ),
}


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def problems(notebook: NotebookNode) -> list[str]:
    """What keeps a cleaned notebook from being a committed chapter; empty when nothing does. Cells
    count from 1.
    """
    found = []
    size = len(json.dumps(notebook, ensure_ascii=False, indent=1).encode())
    if size > LARGEST:
        found.append(f"a file of {size:,} bytes (at most {LARGEST:,})")
    ids = {cell.get("id") for cell in notebook.cells}
    if None in ids or len(ids) < len(notebook.cells):
        found.append("cells without an id of their own")
    parameters = [cell for cell in notebook.cells if "parameters" in tags(cell)]
    if len(parameters) != 1 or not re.search(r"^profile\b.* = ", parameters[0].source, re.M):
        found.append("not exactly one cell tagged `parameters` that sets profile")
    for number, cell in enumerate(notebook.cells, 1):
        found += [f"cell {number}: {problem}" for problem in output_problems(cell)]
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return found + text_problems("\n\n".join(prose))


def output_problems(cell: NotebookNode) -> list[str]:
    """Errors, warnings, paths, audio and unmarked or undescribed pictures among the outputs of a
    code cell.
    """
    found = []
    kinds = set()
    for output in cell.get("outputs", []):
        data = {kind: str(shown) for kind, shown in output.get("data", {}).items()}
        kinds |= set(data)
        if output.output_type == "error":
            found.append(f"raised {output.ename}")
        if output.get("name") == "stderr":
            found.append(f"wrote to stderr: {output.text.strip()[:80]!r}")
        if any(kind.startswith("audio/") for kind in data):
            found.append(f"shows {AUDIO}")
        texts = [output.get("text", "")]
        texts += [shown for kind, shown in data.items() if kind != "image/png"]
        text = "\n".join(texts)
        for what, pattern in NEVER_SHOWN.items():
            match = pattern.search(text)
            if match:
                around = text[max(0, match.start() - 10) : match.end() + 40]
                found.append(f"shows {what}: {around!r}")
    pictures = {kind for kind in kinds if kind.startswith("image/")}
    shown = pictures | ({"text/html"} & kinds)
    if shown and IGNORED not in tags(cell):
        found.append(f"shows {', '.join(sorted(shown))} but is not tagged {IGNORED}")
    if pictures and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip():
        found.append("shows a picture without alt text (metadata mystnb.image.alt)")
    return found


def text_problems(prose: str) -> list[str]:
    """Missing parts of a chapter, what its page could not show, and exercises that are too few, too
    many, without a solution, or whose solution is not hidden.
    """
    found = [f"no {part}" for part, pattern in PARTS.items() if not re.search(pattern, prose)]
    for what, pattern in NEVER_WRITTEN.items():
        found += [f"{what}: {match[0][:40]!r}" for match in re.finditer(pattern, prose)]
    # Each exercise is followed by its label line; each solution names that label in its first line.
    exercises = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label:\s*(\S+)", prose)
    solutions = dict(re.findall(r"\{solution(?:-start)?\}\s*(\S+)([^{]*)", prose))
    if not 2 <= len(exercises) <= 4:
        found.append(f"{len(exercises)} labelled exercises (2 to 4)")
    for label in exercises:
        if label not in solutions:
            found.append(f"exercise {label} has no solution")
    for label, head in solutions.items():
        if label not in exercises:
            found.append(f"solution of unknown exercise {label}")
        if "dropdown" not in head:
            found.append(f"solution {label} is not hidden (:class: dropdown)")
    if prose.count("{solution-start}") != prose.count("{solution-end}"):
        found.append("a solution-start without its solution-end")
    return found
