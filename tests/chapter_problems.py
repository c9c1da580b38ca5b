"""What would break a chapter's page, or tell of somebody's machine."""

import re

from nbformat import NotebookNode

# An absolute path of someone's machine; a word, a URL or a closing tag before the slash is
# something else.
ABSOLUTE_PATH = (
    r"(?<![\w./<>~)-])"
    r"(?:/(?:home|root|tmp|Users|usr|var|opt|mnt|private|work|srv|data)/[\w.]|[A-Z]:\\\\?\w)"
)
NEVER_SHOWN = {
    "an absolute path": ABSOLUTE_PATH,
    "a memory address": r"\bat 0x[0-9a-f]{6,}",
    "audio data (players belong to the built book)": r"data:audio/|<audio\b|(?m:^audio/)",
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
    """What keeps a cleaned notebook from being committed; empty when nothing does. Cells count from
    1.
    """
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown":
            told = matches(NEVER_WRITTEN, cell.source)
        else:
            told = output_problems(cell)
        found += [f"cell {number}: {problem}" for problem in told]
    return found


def output_problems(cell: NotebookNode) -> list[str]:
    """Errors, warnings, paths, audio and undescribed pictures among the outputs of a cell."""
    found = []
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            found.append(f"raised {output.ename}")
        if output.get("name") == "stderr":
            found.append(f"wrote to stderr: {output.text.strip()[:80]!r}")
        forms = dict(output.get("data", {}))
        has_picture = any(kind.startswith("image/") for kind in forms)
        forms.pop("image/png", None)
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if has_picture and not alt.strip():
            found.append("shows a picture without alt text (metadata mystnb.image.alt)")
        texts = [output.get("text", ""), *forms, *map(str, forms.values())]
        found += matches(NEVER_SHOWN, "\n".join(texts))
    return found


def matches(patterns: dict[str, str], text: str) -> list[str]:
    """What a text holds of these patterns, each with the place."""
    found = []
    for what, pattern in patterns.items():
        for match in re.finditer(pattern, text):
            found.append(f"{what}: {text[match.start() : match.end() + 40]!r}")
    return found
