"""Sphinx: docstrings are read as plain text, plotly.js is given, from a file, to the pages that draw with it.

Live kernels (thebe) are taken out: their script would come from a network.
"""

import pathlib
import re
import shutil

import plotly


def as_rst(lines: list[str]) -> list[str]:
    """Plain text as reStructuredText: `code` becomes literal, every other special character stands for itself.

    Indented lines become a literal block, so that tables and formulas keep their shape; lists stay lists.
    """
    result: list[str] = []
    literal = False
    for line in lines:
        indented = line.startswith((" ", "\t"))
        item = re.match(r"\s*([-*]|\d+[.)]) ", line)
        if indented and not literal and not (result and result[-1].startswith(("- ", "* ")) or item):
            result += ["", "::", ""]
            literal = True
        elif line.strip() and not indented:
            if literal:
                result.append("")
            literal = False
        if literal or not line.strip():
            result.append(line)
            continue
        if item and result and result[-1].strip() and not re.match(r"\s*([-*]|\d+[.)]) ", result[-1]) and not indented:
            result.append("")
        head = item[0] if item else ""
        result.append(head + escaped(line[len(head) :]))
    return result


def escaped(text: str) -> str:
    """One line with `code` made literal and the rest escaped."""
    pieces = re.split(r"(`+[^`]+`+)", text)
    return "".join(
        f"``{piece.strip('`')}``" if piece.startswith("`") else re.sub(r"([\\*`|_])", r"\\\1", piece)
        for piece in pieces
    )


def plain_docstrings(app, what, name, obj, options, lines) -> None:
    lines[:] = as_rst(lines)


def scripts(app, pagename, templatename, context, doctree) -> None:
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if "thebe" not in f"{file} {vars(file)}".lower()]
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
