"""How the pages of the site are read: buttons, little weight, notebooks to take home.

An extension of Sphinx, like `pages`, which comes first: that one says what a page holds. Heads and
buttons are templates (`_templates`); languages, verdicts and what scrolls are left to the browser
(`_static/atri.js`).
"""

import json
import os.path
import pathlib
import re

import colab
from bs4 import BeautifulSoup
from chapters import read
from nbconvert.preprocessors import ClearOutputPreprocessor
from nbformat import NotebookNode
from page_size import slim
from pages import ROOT, executed
from sphinx.errors import ExtensionError

NOTEBOOKS = "_notebooks"  # in the site: every chapter, to take home
# What a body does without: spans in the colour of all text, ids that each proof and exercise has,
# styles that browsers ignore, a list whose members are no list items.
SPARE = re.compile(
    r'<span class="(?:n|p|w|pre)">([^<]*)</span>'
    r'| id="(?:proof|(?:proof|exercise|solution)-content)"'
    r"|<style scoped>.*?</style>"
    r'|(?<=<div) role="list"(?= class="citation-list")',
    re.DOTALL,
)
# Of what the theme loads: live kernels, which would come from a network, and what sets formulas.
LIVE = re.compile("(?i)thebe")
LIVE_AND_FORMULAS = re.compile("(?i)thebe|mathjax")


def buttons(app, config) -> None:
    """Edit, issue and launch links, as soon as repository.url in _config.yml says where the book
    is. Colab needs a commit, too.
    """
    config.html_context["commit"] = colab.commit()
    options = config.html_theme_options
    if options.get("repository_url"):
        options |= {f"use_{kind}_button": True for kind in ("repository", "edit_page", "issues")}
        launch = {"binderhub_url": "https://mybinder.org"}
        options["launch_buttons"] = launch | options.get("launch_buttons", {})


def lighten(app, pagename, templatename, context, doctree) -> None:
    """Leave out of a page what it does without."""
    body = context.get("body", "")
    context["body"] = SPARE.sub(r"\1", body)
    unused = LIVE if 'class="math' in body else LIVE_AND_FORMULAS
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context[kind] if not unused.search(str(file))]


def finish(app, exception) -> None:
    """Once all pages are written: figures of other pages, notebooks, and no file that none
    loads.
    """
    if exception or app.builder.format != "html":
        return
    site = pathlib.Path(app.outdir)
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    slim(site / "_static", "".join(pages.values()))
    for path, text in pages.items():
        if "data-figure=" in text:
            path.write_text(with_figures(text, path, site), encoding="utf-8")
    for path in sorted(executed().glob("*.ipynb")):
        write_notebooks(path.stem, app.config.html_theme_options.get("repository_url"), site)


def with_figures(text: str, path: pathlib.Path, site: pathlib.Path) -> str:
    """A page in which `<img data-figure="page#label">` has that figure's picture and description.
    Raises ExtensionError where there is no such figure.
    """
    soup = BeautifulSoup(text, "html.parser")
    for image in soup.select("img[data-figure]"):
        lender, _, label = image["data-figure"].partition("#")
        other = (site / f"{lender}.html").read_text(encoding="utf-8")
        figure = BeautifulSoup(other, "html.parser").select_one(f"#{label} img")
        if not figure:
            raise ExtensionError(f"{path.name}: {lender} has no figure called {label}")
        del image["data-figure"]
        address = (site / lender).parent / figure["src"]
        image["src"] = os.path.relpath(address, path.parent)
        image["alt"] = figure["alt"]
    return str(soup)


def write_notebooks(name: str, repository: str | None, site: pathlib.Path) -> None:
    """A chapter to take home: as executed, as source, and as Colab opens it. Half a megabyte of
    sounds stays here; lines of text stand in their place.
    """
    taken = read(executed() / f"{name}.ipynb")
    bare = read(ROOT / "notebooks" / f"{name}.ipynb")
    for cell in taken.cells:
        for output in cell.get("outputs", []):
            if "<audio" in output.get("data", {}).get("text/html", ""):
                del output["data"]["text/html"]
    ClearOutputPreprocessor().preprocess(bare, {})
    write(taken, site / NOTEBOOKS / "executed" / f"{name}.ipynb")
    write(bare, site / NOTEBOOKS / "source" / f"{name}.ipynb")
    if "://github.com/" in (repository or "") and colab.commit():
        colab.install(bare, repository)
        write(bare, site / NOTEBOOKS / "colab" / f"{name}.ipynb")


def write(notebook: NotebookNode, path: pathlib.Path) -> None:
    """Write a notebook in one line, an eighth smaller than nbformat's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")


def setup(app) -> dict:
    app.connect("config-inited", buttons)
    app.connect("html-page-context", lighten, priority=900)  # after what adds scripts
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
