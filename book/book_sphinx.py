"""Sphinx: docstrings are read as plain text, plotly.js is given, from a file, to the pages that draw with it.

Live kernels (thebe) are taken out: their script would come from a network.
"""

import pathlib
import re
import shutil

import plotly


def as_rst(lines: list[str]) -> list[str]:
    """Plain text as reStructuredText: `code` becomes literal, every other special character stands for itself.

    Blank lines part paragraphs; lines that begin with a dash or a number are items of a list, and indented lines go on
    with their item; other indented lines become a literal block, so that tables and formulas keep their shape.
    """
    result: list[str] = []
    paragraph: list[str] = []
    item, literal = "", False

    def close() -> None:
        if paragraph:
            text = "\\ " + escaped(" ".join(line.strip() for line in paragraph))
            result.extend([f"* {text}" if item == "dash" else text, ""])
        paragraph.clear()

    for line in lines:
        indented = line[:1].isspace()
        if not line.strip():
            if not literal:
                close()
            result.append("")
        elif indented and paragraph and item:
            paragraph.append(line)
        elif indented:
            close()
            if not literal:
                result.extend(["", "::", ""])
            literal, item = True, ""
            result.append(f"    {line}")
        else:
            begins = re.match(r"(?:[-*]|(\d+[.)])) +(?=\S)", line)
            if literal or begins or (item and not paragraph):
                close()
                result.append("")
            if begins or not paragraph:
                item = ("number" if begins[1] else "dash") if begins else ""
            literal = False
            paragraph.append(line[begins.end() :] if begins and not begins[1] else line)
    close()
    return result


def escaped(text: str) -> str:
    """One line with `code` made literal and every character that means something in reStructuredText escaped."""
    pieces = re.split(r"`+([^`]*[^`\s][^`]*)`+", text)
    return "".join(
        rf"\ ``{piece.strip()}``\ " if number % 2 else re.sub(r"([\\*`|_:])", r"\\\1", piece)
        for number, piece in enumerate(pieces)
    )


def plain_docstrings(app, what, name, obj, options, lines) -> None:
    lines[:] = as_rst(lines)


def scripts(app, pagename, templatename, context, doctree) -> None:
    for kind in ("script_files", "css_files"):
        context[kind][:] = [file for file in context[kind] if "thebe" not in f"{file} {vars(file)}".lower()]
    if "Plotly.newPlot" in context.get("body", ""):
        app.add_js_file("plotly.min.js")


def copy_plotly(app) -> None:
    static = pathlib.Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    shutil.copy(pathlib.Path(plotly.__file__).parent / "package_data" / "plotly.min.js", static / "plotly.min.js")


def setup(app) -> dict:
    app.connect("builder-inited", copy_plotly)
    app.connect("autodoc-process-docstring", plain_docstrings)
    app.connect("html-page-context", scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
