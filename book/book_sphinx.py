"""Sphinx: chapters and tables as they are shown, docstrings as plain text, plotly.js from a file, no live kernels."""

import itertools
import os
import pathlib
import re
import shutil

import chapters
import nbformat
import pages
import plotly

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPED = re.compile(r"\s|[-*] |\d+[.)] ")  # how a line begins that belongs to a table, a formula or a list


def as_rst(lines: list[str]) -> list[str]:
    """Plain text as reStructuredText: `code` becomes literal, every other special character stands for itself.

    Blank lines part paragraphs; indented lines and items of a list keep their shape, in literal blocks.
    """
    result = []
    for kind, rows in itertools.groupby(lines, lambda row: bool(SHAPED.match(row)) if row.strip() else None):
        if kind is not None:
            result += ["::", "", *(f"    {row}" for row in rows)] if kind else ["\\ " + escaped(" ".join(rows))]
            result.append("")
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


def shown(app, docname: str, source: list[str]) -> None:
    """A page's source as it is shown: a chapter as it was executed, a page with its tables filled in."""
    executed = pathlib.Path(os.environ.get("ATRI_EXECUTED") or ROOT / "notebooks")
    if docname.startswith("notebooks/"):
        path = executed / f"{pathlib.PurePosixPath(docname).name}.ipynb"
        source[0] = nbformat.writes(pages.published_chapter(chapters.read(path)))
    elif "<!-- " in source[0]:
        for name, table in pages.TABLES.items():
            if f"<!-- {name} -->" in source[0]:
                source[0] = source[0].replace(f"<!-- {name} -->", table(ROOT, executed))


def scripts(app, pagename, templatename, context, doctree) -> None:
    for kind in ("script_files", "css_files"):
        context[kind][:] = [file for file in context[kind] if "thebe" not in f"{file} {vars(file)}".lower()]
    if "Plotly.newPlot" in context.get("body", ""):
        app.add_js_file("plotly.min.js")


def prepare_output(app) -> None:
    """plotly.js for the pages that draw with it; and the folder holds no longer what `make book` has put there."""
    static = pathlib.Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    shutil.copy(pathlib.Path(plotly.__file__).parent / "package_data" / "plotly.min.js", static / "plotly.min.js")
    (pathlib.Path(app.outdir) / pages.BUILT).unlink(missing_ok=True)


def setup(app) -> dict:
    app.connect("builder-inited", prepare_output)
    app.connect("source-read", shown)
    app.connect("autodoc-process-docstring", plain_docstrings)
    app.connect("html-page-context", scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
