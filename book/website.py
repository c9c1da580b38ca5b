"""What the pages can do beyond showing a chapter: folded code, sound files, languages, downloads, little weight.

An extension of Sphinx, like `pages`, which comes first: that one says what a page holds, this one how it is read.
"""

import ast
import base64
import hashlib
import html
import io
import json
import os
import pathlib
import re

import nbformat
import numpy as np
import soundfile
from bs4 import BeautifulSoup, Tag
from nbformat import NotebookNode, v4
from sphinx.errors import ExtensionError
from weight import html_pages, unwrapped, with_small_pictures

from atri_lib.languages import LANGUAGES

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOKS = "_notebooks"  # in the site: every chapter, to take home
SOUNDS = "_sounds"
PREVIEW = "_static/eight_ranks.png"
EQUATION = re.compile(r"\beq-\w|\b[Ee]quations?\b|\bEq\. ?[({\d]")  # in a comment or docstring
DRAWING = {"plt", "ax", "axes", "figure", "fig", "sns", "go", "chart", "panel", "viz", "grid"}
STROKES = {
    "plot", "hist", "legend", "axvline", "axhline", "imshow", "quiver", "add_patch", "bar", "barh", "scatter",
    "errorbar", "boxplot", "fill_between", "annotate", "set_xlim", "set_ylim", "set_xlabel", "set_ylabel", "set_title",
}  # fmt: skip
TELLING = {"glue", "print"}
ASIDE = 2 / 3  # a cell is folded when at least this share of its lines imports, glues, prints or draws
VERDICT = re.compile(r"(.*\S): (True|False)")
TAGS = dict(zip((one.code for one in LANGUAGES), "en fr de es nl ca ja zh-Hans".split(), strict=True))  # BCP 47
NAMES = {one.name: TAGS[one.code] for one in LANGUAGES} | TAGS
KANA, HAN = r"[\u3040-\u30ff]", r"[\u3040-\u30ff\u3400-\u9fff]"
EASTERN = re.compile(rf"(?:(jpn|zho): ?)?({HAN}(?:{HAN}|[\u3000-\u303f\uff00-\uffef])*)")


# Code: what is folded, and verdicts


def is_aside(node: ast.stmt) -> bool:
    """Whether a statement imports, glues, prints or draws, or only holds statements that do."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    if names & DRAWING or STROKES & {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}:
        return True
    if isinstance(node, ast.For | ast.If | ast.With):
        return all(is_aside(inner) for inner in [*node.body, *getattr(node, "orelse", [])])
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node.value.func
    return isinstance(called, ast.Name) and called.id in TELLING


def is_folded(source: str, tags: list[str]) -> bool:
    """Whether a code cell is folded on its page: parameters, imports, glue, plots; never one that names an equation.

    The tag `show-input` keeps a cell open, `hide-input` folds it.
    """
    if "show-input" in tags or {"hide-input", "hide-cell", "remove-input", "remove-cell"} & {*tags}:
        return False
    remarks = "\n".join(re.findall(r"#.*|\"\"\".*?\"\"\"", source, re.S if '"""' in source else 0))
    if EQUATION.search(remarks):
        return False
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a magic of IPython
        return False
    lines = {True: 0, False: 0}
    for node in statements:
        lines[is_aside(node)] += node.end_lineno - node.lineno + 1
    return "parameters" in tags or lines[True] >= ASIDE * sum(lines.values()) > 0


def verdicts(text: str) -> str | None:
    """Lines `sentence: True` as a list with ticks and crosses; None for any other text."""
    found = [VERDICT.fullmatch(line) for line in text.strip().splitlines()]
    if not found or not all(found):
        return None
    items = []
    for sentence, value in (match.groups() for match in found):
        kind, mark, said = ("yes", "✓", "holds") if value == "True" else ("no", "✗", "does not hold")
        spoken = f'<span class="atri-mark" aria-hidden="true">{mark}</span><span class="atri-spoken">{said}: </span>'
        items.append(f'<li class="{kind}">{spoken}{html.escape(sentence)}</li>')
    return f'<ul class="atri-verdicts">{"".join(items)}</ul>'


def arranged(notebook: NotebookNode) -> NotebookNode:
    """A chapter with its code folded, its verdicts as lists and its bar charts in the book's own form."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.setdefault("tags", [])
        if is_folded(cell.source, tags):
            tags.append("hide-input")
        for number, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if output.get("name") == "stdout" and (listed := verdicts(output.text)):
                form = {"text/html": listed, "text/plain": output.text}
                cell.outputs[number] = v4.new_output("display_data", data=form)
            elif "Plotly.newPlot" in data.get("text/html", ""):
                data["text/html"] = bars(data["text/html"]) or data["text/html"]
    return notebook


# Bar charts: drawn by the page's own script, so that plotly's 4.8 MB stay at home


def numbers(values) -> list:
    """An array as plotly writes it, in base64 or as a list."""
    if not isinstance(values, dict):
        return list(values)
    return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"]).tolist()


def bars(figure: str) -> str | None:
    """A plotly figure (HTML) of bars, grouped or with a slider that shows one group at a time, as data for atri.js.

    None for any other figure: it stays with plotly.
    """
    found = re.search(r"Plotly\.newPlot\(\s*\"[^\"]*\",\s*(?=\[)", figure)
    if not found:
        return None
    decoder = json.JSONDecoder()
    traces, end = decoder.raw_decode(figure, found.end())
    layout, _ = decoder.raw_decode(figure, figure.index("{", end))
    if any(trace.get("type") != "bar" or trace.get("orientation") == "h" for trace in traces):
        return None
    if any("x" not in trace or "color" not in trace.get("marker", {}) for trace in traces):
        return None
    series = [
        {"name": trace.get("name", ""), "colour": trace["marker"]["color"], "x": numbers(trace["x"]),
         "y": numbers(trace["y"]), "more": numbers(trace.get("customdata", []))}
        for trace in traces
    ]  # fmt: skip
    titles = {axis: layout.get(f"{axis}axis", {}).get("title", {}).get("text", "") for axis in "xy"}
    data = {"series": series, "titles": titles, "range": layout.get("yaxis", {}).get("range")}
    if more := re.match(r"([\w ]+?) %\{customdata\}", traces[0].get("hovertemplate", "")):
        data["more"] = more[1]
    if sliders := layout.get("sliders"):
        labels = [step["label"] for step in sliders[0]["steps"]]
        if len(labels) != len(series):
            return None
        data["slider"] = {"label": sliders[0]["currentvalue"]["prefix"].strip(), "values": labels}
        data["slider"]["active"] = sliders[0].get("active", 0)
    described = re.search(r'aria-label="([^"]*)"', figure)
    inner = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    name = f'role="group" aria-label="{described[1] if described else "bar chart"}"'
    return f'<div class="atri-bars" {name}><script type="application/json">{inner}</script></div>'


# A page's HTML


def improved(body: str, write, root: str) -> str:
    """A page's body: ids of their own, wide tables that scroll inside themselves, languages, sounds, links.

    write(name, content) keeps a file of the site; root is the way from the page to the site's first folder.
    """
    soup = BeautifulSoup(body, "html.parser")
    own_ids(soup)
    unwrapped(soup)
    for style in soup.select("style[scoped]"):
        style.decompose()
    for table in soup.select("table"):
        mark_languages(table)
        table.wrap(soup.new_tag("div", attrs={"class": "atri-scroll"}))
    for text in soup.find_all(string=EASTERN):
        if not text.find_parent(["script", "style", "pre", "code"]) and not text.find_parent(attrs={"lang": True}):
            text.replace_with(BeautifulSoup(EASTERN.sub(eastern, html.escape(str(text))), "html.parser"))
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
    """lang on captions in a table with a row a language: in the columns whose Japanese cell is Japanese."""
    rows = [row.find_all(["th", "td"]) for row in table.select("tr")]
    named = [(NAMES[row[0].get_text(strip=True)], row) for row in rows if row and row[0].get_text(strip=True) in NAMES]
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
                spoken = BeautifulSoup(f'{code}: <span lang="{TAGS[code]}">{html.escape(text)}</span>', "html.parser")
                cell.append(spoken)


def eastern(match: re.Match) -> str:
    """Japanese or Chinese words in a text, marked; kana is Japanese, Han alone Chinese unless `jpn:` stands before."""
    code = match[1] or ("jpn" if re.search(KANA, match[2]) else "zho")
    return f'{match[1] + ": " if match[1] else ""}<span lang="{TAGS[code]}">{match[2]}</span>'


def sound_files(soup: BeautifulSoup, audio: Tag, write, root: str) -> None:
    """An embedded Ogg becomes two files, Ogg and MP3 (for Safari), that are loaded when they are played."""
    content = base64.b64decode(audio["src"].split(",", 1)[1])
    name = hashlib.sha256(content).hexdigest()[:16]
    samples, rate = soundfile.read(io.BytesIO(content))
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.7)
    del audio["src"]
    audio["data-seconds"] = f"{len(samples) / rate:.1f}"
    for kind, mime, bytes_ in (("ogg", "audio/ogg", content), ("mp3", "audio/mpeg", stream.getvalue())):
        write(f"{SOUNDS}/{name}.{kind}", bytes_)
        audio.append(soup.new_tag("source", attrs={"src": f"{root}{SOUNDS}/{name}.{kind}", "type": mime}))


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
    """Edit, issue and launch links, as soon as repository.url in _config.yml says where the book is."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options |= {f"use_{kind}_button": True for kind in ("repository", "edit_page", "issues")}
        hosts = {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"}
        options["launch_buttons"] = hosts | options.get("launch_buttons", {})


def executed(name: str) -> pathlib.Path:
    """The chapter as it was executed for this site; as it was committed where nothing was."""
    return pathlib.Path(os.environ.get("ATRI_EXECUTED") or ROOT / "notebooks") / f"{name}.ipynb"


def arrange(app, docname: str, source: list[str]) -> None:
    """Arrange a chapter that `pages.shown` has put in place."""
    if docname.startswith("notebooks/"):
        source[0] = nbformat.writes(with_small_pictures(arranged(nbformat.reads(source[0], as_version=4))))


def draw(app, body: str) -> None:
    """The scripts of what a page draws: plotly.js for its figures, and those of its explorables."""
    if "Plotly.newPlot" in body:
        app.add_js_file("plotly.min.js")
    if explorables := set(re.findall(r'data-explorable="(\w+)"', body)):
        app.add_css_file("explore/explore.css")
        for name in ("plot", *sorted(explorables)):
            app.add_js_file(f"explore/{name}.js", defer="defer")


def finish_page(app, pagename, templatename, context, doctree) -> None:
    """What surrounds a page: its description, buttons, only the scripts that it needs; and its body, improved."""
    body = context.get("body", "")
    root = context["pathto"]("index", 0).rpartition("index.html")[0] if pagename != "index" else ""
    outdir = pathlib.Path(app.outdir)

    def write(name: str, content: bytes) -> None:
        (outdir / name).parent.mkdir(parents=True, exist_ok=True)
        (outdir / name).write_bytes(content)

    if doctree is not None:
        context["body"] = body = improved(body, write, root)
    title, said = html.escape(re.sub(r"<[^>]*>", "", context.get("title", ""))), html.escape(description(body))
    where = app.config.html_baseurl.rstrip("/") + "/" if app.config.html_baseurl else root
    tags = {"og:title": title, "og:type": "article", "og:description": said, "og:image": f"{where}{PREVIEW}"}
    context["metatags"] = context.get("metatags", "") + "".join(
        f'\n    <meta property="{name}" content="{value}" />' for name, value in tags.items() if value
    ) + (f'\n    <meta name="description" content="{said}" />' if said else "")
    context["header_buttons"] = header_buttons(pagename, root) + context.get("header_buttons", [])
    if not re.search(r'class="[^"]*\bmath\b', body):
        context["script_files"][:] = [one for one in context["script_files"] if "mathjax" not in f"{one}".lower()]
    draw(app, body)
    if pagename.startswith("notebooks/"):
        name = pathlib.PurePosixPath(pagename).name
        bare = nbformat.read(ROOT / f"{pagename}.ipynb", as_version=4)
        for cell in bare.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        taken = with_small_pictures(nbformat.read(executed(name), as_version=4))
        write(f"{NOTEBOOKS}/executed/{name}.ipynb", nbformat.writes(taken).encode())
        write(f"{NOTEBOOKS}/source/{name}.ipynb", nbformat.writes(bare).encode())


def borrow_figures(app, exception) -> None:
    """Give `<img data-figure="page#label">` that figure's picture and description, once all pages are there."""
    if exception or app.builder.format != "html":
        return
    site = pathlib.Path(app.outdir)
    for path in html_pages(site):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        borrowed = soup.select("img[data-figure]")
        for image in borrowed:
            page, _, label = image["data-figure"].partition("#")
            other = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
            figure = other.select_one(f"figure#{label} img, #{label} img")
            if not figure:
                raise ExtensionError(f"{path.name}: {page} has no figure called {label}")
            address = site / pathlib.PurePosixPath(page).parent / figure["src"]
            image.attrs |= {"src": os.path.relpath(address, path.parent), "alt": figure["alt"]}
            del image["data-figure"]
        if borrowed:
            path.write_text(str(soup), encoding="utf-8")


def header_buttons(pagename: str, root: str) -> list[dict]:
    """The switch for code, and the downloads, in the theme's form."""
    if not pagename.startswith("notebooks/"):
        return []
    name = pathlib.PurePosixPath(pagename).name
    ways = {"teach": "Code where it teaches", "all": "All code", "none": "No code"}
    switch = [{"type": "javascript", "javascript": f"atri.code('{way}')", "text": text, "label": f"code-{way}"}
              for way, text in ways.items()]  # fmt: skip
    files = {"executed": "Notebook as executed", "source": "Notebook as source"}
    links = [{"type": "link", "url": f"{root}{NOTEBOOKS}/{kind}/{name}.ipynb", "text": text, "label": f"take-{kind}"}
             for kind, text in files.items()]  # fmt: skip
    links.append({"type": "javascript", "javascript": "window.print()", "text": "Print", "label": "print"})
    return [
        {"type": "group", "icon": "fas fa-code", "tooltip": "Code on all pages", "label": "code", "buttons": switch},
        {"type": "group", "icon": "fas fa-download", "tooltip": "Download", "label": "take", "buttons": links},
    ]


def setup(app) -> dict:
    app.connect("config-inited", buttons)
    app.connect("source-read", arrange, priority=600)  # after pages.shown
    app.connect("html-page-context", finish_page, priority=900)  # after the theme's buttons and MathJax
    app.connect("build-finished", borrow_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
