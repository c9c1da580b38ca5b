"""What the pages can do beyond showing a chapter: downloads, buttons, previews, little weight; its
cells: `cells`; its HTML: `page_html`.

An extension of Sphinx, like `pages`, which comes first: that one says what a page holds, this one
how it is read.
"""

import html
import os
import pathlib
import re

import colab
import nbformat
from cells import arranged
from page_html import TAGS, description, improved, marked_links, page_language, parsed
from page_size import with_small_pictures
from pages import ROOT, executed, html_pages
from sphinx.errors import ExtensionError

NOTEBOOKS = "_notebooks"  # in the site: every chapter, to take home
PREVIEW = "_static/eight_ranks.png"


def buttons(app, config) -> None:
    """Edit, issue and launch links, as soon as repository.url in _config.yml says where the book
    is.
    """
    options = config.html_theme_options
    if options.get("repository_url"):
        options |= {f"use_{kind}_button": True for kind in ("repository", "edit_page", "issues")}
        launch = {"binderhub_url": "https://mybinder.org"}
        options["launch_buttons"] = launch | options.get("launch_buttons", {})


def arrange(app, docname: str, source: list[str]) -> None:
    """Arrange a chapter that `pages.shown` has put in place."""
    if docname.startswith("notebooks/"):
        chapter = nbformat.reads(source[0], as_version=4)
        source[0] = nbformat.writes(with_small_pictures(arranged(chapter)))


def draw(app, body: str) -> None:
    """The scripts of what a page draws: plotly.js for its figures, and those of its explorables."""
    if "Plotly.newPlot" in body:
        app.add_js_file("plotly.min.js")
    explorables = set(re.findall(r'data-explorable="(\w+)"', body))
    if explorables:
        app.add_css_file("explore/explore.css")
        for name in ("plot", *sorted(explorables)):
            app.add_js_file(f"explore/{name}.js", defer="defer")


def finish_page(app, pagename, templatename, context, doctree) -> None:
    """What surrounds a page: its description, buttons, only the scripts that it needs; and its
    body, improved.
    """
    body = context.get("body", "")
    root = ""
    if pagename != "index":
        root = context["pathto"]("index", 0).rpartition("index.html")[0]
    outdir = pathlib.Path(app.outdir)

    def write(name: str, content: bytes) -> None:
        path = outdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    if doctree is not None:
        body = improved(body, write, root, pagename)
        context["body"] = body
    name_languages(context, pagename)
    base = app.config.html_baseurl
    where = base.rstrip("/") + "/" if base else root
    context["metatags"] = context.get("metatags", "") + metatags(context, body, where)
    repository = app.config.html_theme_options.get("repository_url") or ""
    others = context.get("header_buttons", [])
    context["header_buttons"] = header_buttons(pagename, root, repository) + others
    if not re.search(r'class="[^"]*\bmath\b', body):
        scripts = context["script_files"]
        scripts[:] = [one for one in scripts if "mathjax" not in f"{one}".lower()]
    draw(app, body)
    if pagename.startswith("notebooks/"):
        write_notebooks(pagename.removeprefix("notebooks/"), repository, write)


def name_languages(context: dict, pagename: str) -> None:
    """Titles of translated pages say their language around a page: in lists, next and previous."""
    english = TAGS["eng"]
    for name in ("generate_toctree_html", "generate_toc_html"):
        if made := context.get(name):
            context[name] = with_languages(made, pagename)
    for way in ("prev", "next"):
        other = context.get(way)
        tag = page_language(other["link"]) if other else english
        if tag != english:
            context[way] = other | {"title": f'<span lang="{tag}">{other["title"]}</span>'}


def with_languages(made, pagename: str):
    """A function of the theme that makes a list of links, whose links then say their language.

    The button that opens a part of the list gets a name, which the theme leaves out.
    """

    def wrapped(*arguments, **options) -> str:
        links = marked_links(str(made(*arguments, **options)), pagename, TAGS["eng"])
        return links.replace("<summary>", '<summary aria-label="Pages below">')

    return wrapped


def metatags(context: dict, body: str, where: str) -> str:
    """What a page says of itself to search engines and previews."""
    said = html.escape(description(body))
    properties = {
        "og:title": html.escape(re.sub(r"<[^>]*>", "", context.get("title", ""))),
        "og:type": "article",
        "og:description": said,
        "og:image": f"{where}{PREVIEW}",
    }
    tags = []
    for name, value in properties.items():
        if value:
            tags.append(f'\n    <meta property="{name}" content="{value}" />')
    if said:
        tags.append(f'\n    <meta name="description" content="{said}" />')
    return "".join(tags)


def write_notebooks(name: str, repository: str, write) -> None:
    """A chapter to take home: as executed, as source, and as Colab opens it."""
    taken = nbformat.read(executed() / f"{name}.ipynb", as_version=4)
    bare = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    files = {
        f"{NOTEBOOKS}/executed/{name}.ipynb": with_small_pictures(taken),
        f"{NOTEBOOKS}/source/{name}.ipynb": bare,
    }
    revision = colab.commit(ROOT) if colab.link(repository, name) else None
    if revision:
        opened = colab.with_installation(bare, ROOT, repository, revision)
        files[f"{colab.FOLDER}/{name}.ipynb"] = opened
    for file, notebook in files.items():
        write(file, nbformat.writes(notebook).encode())


def borrow_figures(app, exception) -> None:
    """Give `<img data-figure="page#label">` that figure's picture and description, once all pages
    are there.
    """
    if exception or app.builder.format != "html":
        return
    site = pathlib.Path(app.outdir)
    for path in html_pages(site):
        text = path.read_text(encoding="utf-8")
        if "data-figure" not in text:
            continue
        soup = parsed(text)
        borrowed = soup.select("img[data-figure]")
        for image in borrowed:
            page, _, label = image["data-figure"].partition("#")
            other = parsed((site / f"{page}.html").read_text(encoding="utf-8"))
            figure = other.select_one(f"figure#{label} img, #{label} img")
            if not figure:
                raise ExtensionError(f"{path.name}: {page} has no figure called {label}")
            address = site / pathlib.PurePosixPath(page).parent / figure["src"]
            image["src"] = os.path.relpath(address, path.parent)
            image["alt"] = figure["alt"]
            del image["data-figure"]
        if borrowed:
            path.write_text(str(soup), encoding="utf-8")


def header_buttons(pagename: str, root: str, repository: str = "") -> list[dict]:
    """The switch for code, the downloads, and Colab for a copy on GitHub, in the theme's form."""
    if not pagename.startswith("notebooks/"):
        return []
    name = pagename.removeprefix("notebooks/")
    ways = {"teach": "Code where it teaches", "all": "All code", "none": "No code"}
    switch = []
    for way, text in ways.items():
        switch.append(script_button(f"code-{way}", text, f"atri.code('{way}')"))
    files = {"executed": "Notebook as executed", "source": "Notebook as source"}
    links = []
    for kind, text in files.items():
        address = f"{root}{NOTEBOOKS}/{kind}/{name}.ipynb"
        links.append(link_button(f"take-{kind}", text, address))
    address = colab.link(repository, name)
    if address and colab.commit(ROOT):
        links.append(link_button("take-colab", "Open in Colab", address))
    links.append(script_button("print", "Print", "window.print()"))
    return [
        button_group("code", "Code on all pages", "fas fa-code", switch),
        button_group("take", "Download", "fas fa-download", links),
    ]


def script_button(label: str, text: str, script: str) -> dict:
    return {"type": "javascript", "javascript": script, "text": text, "label": label}


def link_button(label: str, text: str, address: str) -> dict:
    return {"type": "link", "url": address, "text": text, "label": label}


def button_group(label: str, tooltip: str, icon: str, buttons: list[dict]) -> dict:
    return {
        "type": "group",
        "icon": icon,
        "tooltip": tooltip,
        "label": label,
        "buttons": buttons,
    }


def setup(app) -> dict:
    app.connect("config-inited", buttons)
    app.connect("source-read", arrange, priority=600)  # after pages.shown
    # After the theme's buttons and MathJax.
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", borrow_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
