"""What the pages can do beyond showing a chapter: sound files, languages, downloads, little weight;
its cells: `cells`.

An extension of Sphinx, like `pages`, which comes first: that one says what a page holds, this one
how it is read.
"""

import base64
import hashlib
import html
import io
import os
import pathlib
import re

import colab
import nbformat
import soundfile
from bs4 import BeautifulSoup, Tag
from cells import arranged
from page_size import unwrapped, with_small_pictures
from pages import ROOT, executed, html_pages
from sphinx.errors import ExtensionError

from atri_lib.languages import LANGUAGES

NOTEBOOKS = "_notebooks"  # in the site: every chapter, to take home
SOUNDS = "_sounds"
PREVIEW = "_static/eight_ranks.png"
TAGS = dict(
    zip((one.code for one in LANGUAGES), "en fr de es nl ca ja zh-Hans".split(), strict=True)
)  # BCP 47
NAMES = {one.name: TAGS[one.code] for one in LANGUAGES} | TAGS
KANA, HAN = r"[\u3040-\u30ff]", r"[\u3040-\u30ff\u3400-\u9fff]"
EASTERN = re.compile(rf"(?:(jpn|zho): ?)?({HAN}(?:{HAN}|[\u3000-\u303f\uff00-\uffef])*)")


# A page's HTML


def improved(body: str, write, root: str) -> str:
    """A page's body: ids of their own, wide tables that scroll inside themselves, languages,
    sounds, links.

    write(name, content) keeps a file of the site; root is the way from the page to the site's first
    folder.
    """
    soup = BeautifulSoup(body, "html.parser")
    own_ids(soup)
    unwrapped(soup)
    for style in soup.select("style[scoped]"):
        style.decompose()
    for figure in soup.select("img.atri-panels"):
        figure.wrap(soup.new_tag("div", attrs={"class": "atri-scroll"}))
    for table in soup.select("table"):
        mark_languages(table)
        table.wrap(soup.new_tag("div", attrs={"class": "atri-scroll"}))
    for text in soup.find_all(string=EASTERN):
        if not text.find_parent(["script", "style", "pre", "code"]) and not text.find_parent(
            attrs={"lang": True}
        ):
            text.replace_with(
                BeautifulSoup(EASTERN.sub(eastern, html.escape(str(text))), "html.parser")
            )
    for audio in soup.select('audio[src^="data:audio/ogg;base64,"]'):
        sound_files(soup, audio, write, root)
    for entries in soup.select("div.citation-list"):
        del entries["role"]  # a list whose members are no list items
    for entry in soup.select("div.citation p"):
        link_papers(entry)
    return str(soup)


def own_ids(soup: BeautifulSoup) -> None:
    """A number behind each id that an element before has; links keep meaning the first."""
    seen = set()
    for element in soup.select("[id]"):
        name, count = element["id"], 2
        while element["id"] in seen:
            element["id"], count = f"{name}-{count}", count + 1
        seen.add(element["id"])


def mark_languages(table: Tag) -> None:
    """lang on captions in a table with a row a language: in the columns whose Japanese cell is
    Japanese.
    """
    rows = [row.find_all(["th", "td"]) for row in table.select("tr")]
    named = [
        (NAMES[row[0].get_text(strip=True)], row)
        for row in rows
        if row and row[0].get_text(strip=True) in NAMES
    ]
    for column in range(1, max((len(row) for _, row in named), default=0)):
        cells = {tag: row[column] for tag, row in named if column < len(row)}
        if "ja" in cells and re.search(HAN, cells["ja"].get_text()):
            for tag, cell in cells.items():
                cell["lang"] = tag
    for cell in table.find_all("td"):  # eng: a frog, fra: une grenouille, ...
        parts = re.split(rf"\b({'|'.join(TAGS)}): ", cell.string or "")
        if len(parts) > 2 and not parts[0]:
            cell.clear()
            for code, text in zip(parts[1::2], parts[2::2], strict=True):
                spoken = BeautifulSoup(
                    f'{code}: <span lang="{TAGS[code]}">{html.escape(text)}</span>', "html.parser"
                )
                cell.append(spoken)


def eastern(match: re.Match) -> str:
    """Japanese or Chinese words in a text, marked; kana is Japanese, Han alone Chinese unless
    `jpn:` stands before.
    """
    code = match[1] or ("jpn" if re.search(KANA, match[2]) else "zho")
    return f'{match[1] + ": " if match[1] else ""}<span lang="{TAGS[code]}">{match[2]}</span>'


def sound_files(soup: BeautifulSoup, audio: Tag, write, root: str) -> None:
    """An embedded Ogg becomes two files, Ogg and MP3 (for Safari), that are loaded when they are
    played.
    """
    content = base64.b64decode(audio["src"].split(",", 1)[1])
    name = hashlib.sha256(content).hexdigest()[:16]
    samples, rate = soundfile.read(io.BytesIO(content))
    stream = io.BytesIO()
    soundfile.write(
        stream, samples, rate, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.7
    )
    del audio["src"]
    audio["data-seconds"] = f"{len(samples) / rate:.1f}"
    for kind, mime, bytes_ in (
        ("ogg", "audio/ogg", content),
        ("mp3", "audio/mpeg", stream.getvalue()),
    ):
        write(f"{SOUNDS}/{name}.{kind}", bytes_)
        audio.append(
            soup.new_tag("source", attrs={"src": f"{root}{SOUNDS}/{name}.{kind}", "type": mime})
        )


def link_papers(entry: Tag) -> None:
    """Links for the arXiv numbers in an entry of the list of references."""
    for text in entry.find_all(string=re.compile(r"arXiv:\d{4}\.\d{4,5}")):
        if not text.find_parent("a"):
            link = r'<a class="reference external" href="https://arxiv.org/abs/\1">\g<0></a>'
            linked = re.sub(r"arXiv:(\d{4}\.\d{4,5})", link, html.escape(str(text)))
            text.replace_with(BeautifulSoup(linked, "html.parser"))


def description(body: str, length: int = 200) -> str:
    """The first sentences of a page, for search engines and previews."""
    soup = BeautifulSoup(body, "html.parser")
    texts = (" ".join(one.get_text().split()) for one in soup.select("section > p"))
    text = next((one for one in texts if len(one) > 60), "").removeprefix("The question. ")
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " …"


# Events of Sphinx


def buttons(app, config) -> None:
    """Edit, issue and launch links, as soon as repository.url in _config.yml says where the book
    is.
    """
    options = config.html_theme_options
    if options.get("repository_url"):
        options |= {f"use_{kind}_button": True for kind in ("repository", "edit_page", "issues")}
        options["launch_buttons"] = {"binderhub_url": "https://mybinder.org"} | options.get(
            "launch_buttons", {}
        )


def arrange(app, docname: str, source: list[str]) -> None:
    """Arrange a chapter that `pages.shown` has put in place."""
    if docname.startswith("notebooks/"):
        source[0] = nbformat.writes(
            with_small_pictures(arranged(nbformat.reads(source[0], as_version=4)))
        )


def draw(app, body: str) -> None:
    """The scripts of what a page draws: plotly.js for its figures, and those of its explorables."""
    if "Plotly.newPlot" in body:
        app.add_js_file("plotly.min.js")
    if explorables := set(re.findall(r'data-explorable="(\w+)"', body)):
        app.add_css_file("explore/explore.css")
        for name in ("plot", *sorted(explorables)):
            app.add_js_file(f"explore/{name}.js", defer="defer")


def finish_page(app, pagename, templatename, context, doctree) -> None:
    """What surrounds a page: its description, buttons, only the scripts that it needs; and its
    body, improved.
    """
    body = context.get("body", "")
    root = context["pathto"]("index", 0).rpartition("index.html")[0] if pagename != "index" else ""
    outdir = pathlib.Path(app.outdir)

    def write(name: str, content: bytes) -> None:
        (outdir / name).parent.mkdir(parents=True, exist_ok=True)
        (outdir / name).write_bytes(content)

    if doctree is not None:
        context["body"] = body = improved(body, write, root)
    title, said = (
        html.escape(re.sub(r"<[^>]*>", "", context.get("title", ""))),
        html.escape(description(body)),
    )
    where = app.config.html_baseurl.rstrip("/") + "/" if app.config.html_baseurl else root
    tags = {
        "og:title": title,
        "og:type": "article",
        "og:description": said,
        "og:image": f"{where}{PREVIEW}",
    }
    metatags = [f'property="{name}" content="{value}"' for name, value in tags.items() if value]
    metatags += [f'name="description" content="{said}"'] if said else []
    context["metatags"] = context.get("metatags", "") + "".join(
        f"\n    <meta {tag} />" for tag in metatags
    )
    repository = app.config.html_theme_options.get("repository_url") or ""
    context["header_buttons"] = header_buttons(pagename, root, repository) + context.get(
        "header_buttons", []
    )
    if not re.search(r'class="[^"]*\bmath\b', body):
        context["script_files"][:] = [
            one for one in context["script_files"] if "mathjax" not in f"{one}".lower()
        ]
    draw(app, body)
    if pagename.startswith("notebooks/"):
        name = pagename.removeprefix("notebooks/")
        bare = nbformat.read(ROOT / f"{pagename}.ipynb", as_version=4)
        for cell in bare.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        taken = with_small_pictures(nbformat.read(executed() / f"{name}.ipynb", as_version=4))
        write(f"{NOTEBOOKS}/executed/{name}.ipynb", nbformat.writes(taken).encode())
        write(f"{NOTEBOOKS}/source/{name}.ipynb", nbformat.writes(bare).encode())
        if colab.link(repository, name) and (revision := colab.commit(ROOT)):
            opened = colab.with_installation(bare, ROOT, repository, revision)
            write(f"{colab.FOLDER}/{name}.ipynb", nbformat.writes(opened).encode())


def borrow_figures(app, exception) -> None:
    """Give `<img data-figure="page#label">` that figure's picture and description, once all pages
    are there.
    """
    if exception or app.builder.format != "html":
        return
    site = pathlib.Path(app.outdir)
    for path in html_pages(site):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        borrowed = soup.select("img[data-figure]")
        for image in borrowed:
            page, _, label = image["data-figure"].partition("#")
            other = BeautifulSoup(
                (site / f"{page}.html").read_text(encoding="utf-8"), "html.parser"
            )
            figure = other.select_one(f"figure#{label} img, #{label} img")
            if not figure:
                raise ExtensionError(f"{path.name}: {page} has no figure called {label}")
            address = site / pathlib.PurePosixPath(page).parent / figure["src"]
            image.attrs |= {"src": os.path.relpath(address, path.parent), "alt": figure["alt"]}
            del image["data-figure"]
        if borrowed:
            path.write_text(str(soup), encoding="utf-8")


def header_buttons(pagename: str, root: str, repository: str = "") -> list[dict]:
    """The switch for code, the downloads, and Colab for a copy on GitHub, in the theme's form."""
    if not pagename.startswith("notebooks/"):
        return []
    name = pagename.removeprefix("notebooks/")
    ways = {"teach": "Code where it teaches", "all": "All code", "none": "No code"}
    switch = [{"type": "javascript", "javascript": f"atri.code('{way}')", "text": text, "label": f"code-{way}"}
              for way, text in ways.items()]  # fmt: skip
    files = {"executed": "Notebook as executed", "source": "Notebook as source"}
    links = [{"type": "link", "url": f"{root}{NOTEBOOKS}/{kind}/{name}.ipynb", "text": text, "label": f"take-{kind}"}
             for kind, text in files.items()]  # fmt: skip
    if (address := colab.link(repository, name)) and colab.commit(ROOT):
        links.append(
            {"type": "link", "url": address, "text": "Open in Colab", "label": "take-colab"}
        )
    links.append(
        {"type": "javascript", "javascript": "window.print()", "text": "Print", "label": "print"}
    )
    return [
        {
            "type": "group",
            "icon": "fas fa-code",
            "tooltip": "Code on all pages",
            "label": "code",
            "buttons": switch,
        },
        {
            "type": "group",
            "icon": "fas fa-download",
            "tooltip": "Download",
            "label": "take",
            "buttons": links,
        },
    ]


def setup(app) -> dict:
    app.connect("config-inited", buttons)
    app.connect("source-read", arrange, priority=600)  # after pages.shown
    app.connect(
        "html-page-context", finish_page, priority=900
    )  # after the theme's buttons and MathJax
    app.connect("build-finished", borrow_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
