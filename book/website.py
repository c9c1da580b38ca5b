"""How the pages of the site are read: languages, downloads, buttons, previews, little
weight.

An extension of Sphinx, like `pages`, which comes first: that one says what a page holds.
"""

import json
import os.path
import pathlib
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlparse

import colab
from bs4 import BeautifulSoup
from chapters import read
from nbconvert.preprocessors import ClearOutputPreprocessor
from nbformat import NotebookNode
from page_html import description, improve, parsed
from page_size import slim
from pages import ROOT, executed
from sphinx.errors import ExtensionError

NOTEBOOKS = "_notebooks"  # in the site: every chapter, to take home
PREVIEW = "_static/eight_ranks.png"
FINISHED = '<meta content="article" property="og:type"/>'
# Scripts that pages do without, by a part of their address or text: live kernels would come from a
# network.
UNUSED = ("thebe", "THEBE_JS", "fontawesome.js")
SEARCHING = ("searchtools.js", "language_data.js", "searchindex.js")
TYPESETTING = ("mathjax/", "window.MathJax")
LINKED_ONLY = ("author", "canonical", "index", "next", "prev", "search")  # nothing is fetched
FETCHED = "[src], link[href]" + "".join(f":not([rel~={kind}])" for kind in LINKED_ONLY)
ELSEWHERE = re.compile(r"(?:url\(|@import )['\"]?((?:https?:)?//[^'\")]*)")  # in a style sheet
WAYS = {"teach": "Code where it teaches", "all": "All code", "none": "No code"}


def buttons(app, config) -> None:
    """Edit, issue and launch links, as soon as repository.url in _config.yml says where the book
    is.
    """
    options = config.html_theme_options
    if options.get("repository_url"):
        options |= {f"use_{kind}_button": True for kind in ("repository", "edit_page", "issues")}
        launch = {"binderhub_url": "https://mybinder.org"}
        options["launch_buttons"] = launch | options.get("launch_buttons", {})


def surround(app, pagename, templatename, context, doctree) -> None:
    """What the theme puts around a page: the scripts of its explorables, the buttons of a
    chapter.
    """
    explorables = set(re.findall(r'data-explorable="(\w+)"', context.get("body", "")))
    if explorables:
        app.add_css_file("explore/explore.css")
        for name in ("plot", *sorted(explorables)):
            app.add_js_file(f"explore/{name}.js", defer="defer")
    if pagename.startswith("notebooks/"):
        repository = app.config.html_theme_options.get("repository_url") or ""
        context["header_buttons"] = header_buttons(pagename, repository) + context["header_buttons"]


def finish(app, exception) -> None:
    """Finish all pages once they are written, and remove what none of them loads. Raises
    ExtensionError naming what pages and styles lack, or fetch from elsewhere.
    """
    if exception or app.builder.format != "html":
        return
    site = pathlib.Path(app.outdir)
    repository = app.config.html_theme_options.get("repository_url") or ""
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}
    slim(site / "_static", "".join(pages.values()))
    problems = []
    for path, text in pages.items():
        is_page = site / "_static" not in path.parents and "<head>" in text  # no template, no link
        if is_page and FINISHED not in text:  # some are finished by the build before this one
            page = path.relative_to(site).with_suffix("").as_posix()
            soup = finished(text, site, page, app.config.html_baseurl)
            problems += missing(soup, path)
            path.write_text(str(soup), encoding="utf-8")
            if page.startswith("notebooks/"):
                write_notebooks(path.stem, repository, site)
    for path in site.rglob("*.css"):
        for address in ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            problems.append(f"{path.relative_to(site)}: fetches {address}")
    if problems:
        raise ExtensionError("\n".join(["ERROR: The pages do not hold together:", *problems]))


def missing(soup: BeautifulSoup, path: pathlib.Path) -> Iterator[str]:
    """What a page fetches from elsewhere (the book must work from a file, offline), and local files
    that are not there.
    """
    for element in soup.select(FETCHED):
        address = element.get("src") or element["href"]
        parts = urlparse(address)
        if parts.scheme == "data":
            continue
        if parts.netloc or not (path.parent / unquote(parts.path)).exists():
            yield f"ERROR: {path.name}: {address} is not a file of this site"


def finished(text: str, site: pathlib.Path, page: str, base: str = "") -> BeautifulSoup:
    """A page's HTML, improved. base: the address of the site, if it is known."""
    soup = parsed(text)
    borrow_figures(soup, site, page)
    improve(soup, page)
    describe(soup, base.rstrip("/") + "/" if base else "../" * page.count("/"))
    unused = list(UNUSED)
    if page != "search":
        unused += SEARCHING
    if not soup.find(class_="math"):
        unused += TYPESETTING
    for script in soup.find_all(["script", "link"]):
        said = f"{script.get('src')} {script.get('href')} {script.string}"
        holds_data = script.get("type") == "application/json"
        if not holds_data and any(part in said for part in unused):
            script.decompose()
    return soup


def describe(soup: BeautifulSoup, where: str) -> None:
    """Have a page say what it is to search engines and previews. where: the way to the site."""
    about = description(soup)
    title = soup.title.get_text().partition(" — ")[0] if soup.title else ""
    properties = {"title": title, "type": "article", "description": about, "image": where + PREVIEW}
    tags = [{"property": f"og:{name}", "content": said} for name, said in properties.items()]
    tags.append({"name": "description", "content": about})
    for attributes in tags:
        if attributes["content"]:
            soup.head.append(soup.new_tag("meta", attrs=attributes))


def borrow_figures(soup: BeautifulSoup, site: pathlib.Path, page: str) -> None:
    """Give `<img data-figure="page#label">` that figure's picture and description."""
    for image in soup.select("img[data-figure]"):
        lender, _, label = image.attrs.pop("data-figure").partition("#")
        other = parsed((site / f"{lender}.html").read_text(encoding="utf-8"))
        figure = other.select_one(f"#{label} img")
        if not figure:
            raise ExtensionError(f"{page}: {lender} has no figure called {label}")
        address = (site / lender).parent / figure["src"]
        image["src"] = os.path.relpath(address, (site / page).parent)
        image["alt"] = figure["alt"]


def write_notebooks(name: str, repository: str, site: pathlib.Path) -> None:
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
    if colab.link(repository, name, ROOT):
        installing = colab.with_installation(bare, ROOT, repository)
        write(installing, site / colab.FOLDER / f"{name}.ipynb")


def write(notebook: NotebookNode, path: pathlib.Path) -> None:
    """Write a notebook in one line, an eighth smaller than nbformat's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")


def header_buttons(pagename: str, repository: str = "") -> list[dict]:
    """The switch for code, the downloads, and Colab for a copy on GitHub, in the theme's form."""
    name = pagename.removeprefix("notebooks/")
    switch = []
    for way, text in WAYS.items():
        switch.append(button(f"code-{way}", text, javascript=f"atri.code('{way}')"))
    links = []
    for kind in ("executed", "source"):
        address = f"../{NOTEBOOKS}/{kind}/{name}.ipynb"
        links.append(button(f"take-{kind}", f"Notebook as {kind}", url=address))
    address = colab.link(repository, name, ROOT)
    if address:
        links.append(button("take-colab", "Open in Colab", url=address))
    code = {"label": "code", "tooltip": "Code on all pages", "icon": "fas fa-code"}
    take = {"label": "take", "tooltip": "Download", "icon": "fas fa-download"}
    return [code | {"type": "group", "buttons": switch}, take | {"type": "group", "buttons": links}]


def button(label: str, text: str, **action: str) -> dict:
    """A button in the theme's form. action: its url or its javascript."""
    kind = "link" if "url" in action else "javascript"
    return {"type": kind, "text": text, "label": label, **action}


def setup(app) -> dict:
    app.connect("config-inited", buttons)
    app.connect("html-page-context", surround, priority=900)  # after the theme's buttons
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
