"""What the pages can do: folded code, verdicts, bar charts, languages, sounds, links, and how
little they weigh.
"""

import base64
import io
import json
import pathlib
import subprocess
import sys
import types

import cells
import chapters
import colab
import jinja2
import nbformat
import numpy as np
import pdf
import plotly.graph_objects as go
import pytest
import soundfile
import website
from bs4 import BeautifulSoup
from headless import needs_browser, scripted
from nbformat import v4
from PIL import Image
from small_chapters import COMMITTED, ROOT, code

from book import viz

VERDICTS = {  # printed -> its list
    "a &lt; b &amp; c: True\nit holds: at m = 1: False\n": [
        "✓holds: a < b & c",
        "✗does not hold: it holds: at m = 1",
    ],
    "a: True\nMRV 12.3": [],
    "True": [],
    "a: Truely": [],
}


@needs_browser
def test_verdicts_become_ticks_and_crosses_and_other_text_stays(tmp_path):
    outputs = [f'<div class="output stream"><pre>{text}</pre></div>' for text in VERDICTS]
    shown = scripted(tmp_path, "".join(outputs)).select(".output")
    for output, listed in zip(shown, VERDICTS.values(), strict=True):
        assert [one.get_text() for one in output.select("li")] == listed
    assert [one["class"] for one in shown[0].select("li")] == [["yes"], ["no"]]
    assert shown[1].get_text() == "a: True\nMRV 12.3"


def bars(*traces, **layout):
    """What the page gets in place of a plotly figure."""
    forms = viz.interactive(go.Figure(list(traces), layout), "What it shows.").forms
    output = v4.new_output("display_data", data=forms)
    notebook = cells.published(v4.new_notebook(cells=[code("figure", outputs=[output])]))
    return notebook.cells[0].outputs[0].data["text/html"]


def drawn(folder, page):
    """The box of bars as Chromium has drawn it, and the rows of its table."""
    box = scripted(folder, page).select_one(".atri-bars")
    rows = [[cell.text for cell in row.select("th, td")] for row in box.select("tr")]
    return box, rows


@needs_browser
def test_grouped_bars_are_drawn_by_the_page(tmp_path):
    values = {"</script>": [1.5, 2], "two": [3, 4]}
    traces = [
        go.Bar(x=["a", "b"], y=np.array(y), name=name, marker_color="red")
        for name, y in values.items()
    ]
    box, rows = drawn(tmp_path, bars(*traces, yaxis_title="R@1"))
    assert box["aria-label"] == "What it shows."
    assert rows == [["", "a", "b"], ["</script>", "1.5", "2"], ["two", "3", "4"]]
    assert len(box.select("rect")) == 4 and "R@1" in [one.text for one in box.select("text")]


@needs_browser
def test_a_slider_keeps_its_steps_and_values(tmp_path):
    more = {
        "customdata": np.array([0.1, 0.2]),
        "hovertemplate": "cosine %{customdata}<br>probability %{y}",
    }
    traces = [
        go.Bar(x=[0, 1], y=[value, 1 - value], marker_color=["#111", "#222"], **more)
        for value in (0.5, 0.25)
    ]
    steps = [{"label": label, "method": "update", "args": [{}]} for label in ("low", "high")]
    slider = {"active": 1, "steps": steps, "currentvalue": {"prefix": "t "}}
    box, rows = drawn(tmp_path, bars(*traces, sliders=[slider]))
    assert rows == [["t", "0", "1"], ["low", "0.5", "0.5"], ["high", "0.25", "0.75"]]
    assert box.output.text == "high" and box.rect["fill"] == "#111"
    assert [one.text for one in box.select("title")] == [
        "0: cosine 0.1, 0.25",
        "1: cosine 0.2, 0.75",
    ]


OTHERS = {
    "lines": go.Scatter(x=[1], y=[1]),
    "lying bars": go.Bar(x=[1], y=[1], orientation="h", marker_color="red"),
    "no colour": go.Bar(x=[1], y=[1]),
    "no x": go.Bar(y=[1], marker_color="red"),
}


@pytest.mark.parametrize("trace", OTHERS.values(), ids=OTHERS)
def test_any_other_figure_is_refused_by_its_name(trace):
    with pytest.raises(chapters.BuildFailed, match=r"upright bars .*: What it shows\."):
        bars(trace)


@needs_browser
def test_a_figure_that_cannot_be_drawn_stops_nothing_else(tmp_path):
    broken = '<div class="atri-bars"><script type="application/json">{}</script></div>'
    page = scripted(tmp_path, f"{broken}<article>{CAPTIONS}</article><a href='x.ipynb'>x</a>")
    assert page.select_one(".atri-scroll table") and page.a.has_attr("download")
    assert page.html["data-code"] == "teach"


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_interactive_figures_of_chapters_are_upright_bars(path):
    for cell in chapters.read(path).cells:
        for output in cell.get("outputs", []):
            for trace in output.get("data", {}).get(cells.PLOTLY, {}).get("data", []):
                assert trace["type"] == "bar" and trace.get("orientation") != "h"
                assert "x" in trace and "color" in trace["marker"]


CAPTIONS = """<table>
<thead><tr><th></th><th>query</th><th>rank</th><th>found</th></tr></thead><tbody>
<tr><th>English</th><td>A dog.</td><td>1</td><td>A cat.</td></tr>
<tr><th>French</th><td>Un chien.</td><td>2</td><td>A dog.</td></tr>
<tr><th>Japanese</th><td>イヌ。</td><td>3</td><td>A dog.</td></tr>
<tr><th>Chinese</th><td>狗。</td><td>3</td><td>A dog.</td></tr>
</tbody></table>"""


@needs_browser
def test_captions_in_a_table_say_their_language(tmp_path):
    soup = scripted(tmp_path, f"<article>{CAPTIONS}</article>")
    assert {cell.get_text(): cell["lang"] for cell in soup.select("td[lang]")} == {
        "A dog.": "en", "Un chien.": "fr", "イヌ。": "ja", "狗。": "zh-Hans",
    }  # fmt: skip
    assert soup.select_one("table").parent["class"] == ["atri-scroll"]


@needs_browser
def test_words_of_other_scripts_and_listed_captions_say_their_language(tmp_path):
    listed = "<table><tr><td>eng: a frog, fra: une grenouille, jpn: 水洗, zho: 狮</td></tr></table>"
    body = f"<p>about 一 &lt;b&gt; and かえる</p>{listed}<pre>狮</pre>"
    soup = scripted(tmp_path, f"<article>{body}</article>")
    assert [(one.get_text(), one["lang"]) for one in soup.select("article [lang]")] == [
        ("一", "zh-Hans"), ("かえる", "ja"),
        ("水洗", "ja"), ("狮", "zh-Hans"),
    ]  # fmt: skip
    assert soup.p.get_text() == "about 一 <b> and かえる"


def template(name, **context):
    """A template of ours as a page with this context has it, without the theme's part."""
    text = (ROOT / "book" / "_templates" / f"{name}.html").read_text(encoding="utf-8")
    theme = {"!layout.html": "{% block css %}{% endblock %}{% block extrahead %}{% endblock %}"}
    theme["!layout.html"] += "{% block body %}{{ body }}{% endblock %}"
    theme["article-header-buttons.html"] = "{{ header_buttons | tojson }}"
    environment = jinja2.Environment(loader=jinja2.DictLoader(theme | {"page": text}))
    return environment.get_template("page").render(header_buttons=[], **context)


def test_a_page_says_what_it_is_about():
    body = f'<h1>T</h1><p>Short.</p><p><strong>The question.</strong> &lt;"{"word " * 80}</p>'
    page = {"pathto": lambda path, kind: f"../{path}", "title": 'T <em>"a&amp;b"</em>'}
    page["body"] = body
    head = BeautifulSoup(template("layout", pagename="notebooks/01_x", **page), "html.parser")
    said = head.select_one("meta[name=description]")["content"]
    assert said.startswith('<"word word') and len(said) <= 202 and said.endswith(" …")
    assert head.select_one("meta[property='og:title']")["content"] == 'T "a&b"'
    assert head.select_one("meta[property='og:image']")["content"].startswith("../_static/")
    none = {"body": "", "title": "", "html_baseurl": 'https://a"/'}
    empty = template("layout", pagename="search", **page | none)
    assert "description" not in empty and 'content="https://a&#34;/_static/' in empty
    assert 'content="Search"' in empty


@pytest.mark.parametrize("name, tag", [("fra", "fr"), ("zho", "zh-Hans")])
def test_a_translated_page_says_its_language_without_a_script(name, tag):
    body = '<section id="a"><div class="lang-eng docutils">x</div><section id="b"></section>'
    context = {"pathto": lambda path, kind: path, "title": "T", "body": f"{body}</section>"}
    text = template("layout", pagename=f"book/found_{name}", **context)
    page = BeautifulSoup(text, "html.parser")
    assert [one.get("lang") for one in page.select("section, div")] == [tag, "en", None]
    assert 'lang="' not in template("layout", pagename="book/found", **context)


def test_edit_and_launch_links_wait_for_an_address():
    for url in ("", "https://github.com/a/b"):
        config = types.SimpleNamespace(
            html_theme_options={"repository_url": url, "launch_buttons": {"thebe": False}},
            html_context={},
        )
        website.buttons(None, config)
        assert bool(config.html_theme_options.get("use_edit_page_button")) == bool(url)
        assert ("binderhub_url" in config.html_theme_options["launch_buttons"]) == bool(url)


def colab_links(**context):
    groups = json.loads(template("chapter-buttons", **context))
    buttons = [one for group in groups for one in group["buttons"]]
    return [one["url"] for one in buttons if one["label"] == "take-colab"]


@pytest.mark.parametrize(
    "repository, address",
    [
        ("https://github.com/a/b", "github/a/b/blob/gh-pages/_notebooks/colab/01_x.ipynb"),
        ("https://github.com/a/b.git/", "github/a/b/blob/gh-pages/_notebooks/colab/01_x.ipynb"),
        ("https://gitlab.com/a/b", None),
        ("", None),
    ],
)
def test_colab_is_offered_for_a_copy_on_github_only(repository, address):
    context = {"pagename": "notebooks/01_x", "theme_repository_url": repository}
    with_commit = colab_links(**context, commit="abc")
    assert with_commit == ([f"https://colab.research.google.com/{address}"] if address else [])
    assert colab_links(**context, commit=None) == []
    assert json.loads(template("chapter-buttons", pagename="book/use")) == []


def test_colab_is_not_offered_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(colab, "ROOT", tmp_path)
    assert colab.commit() is None
    monkeypatch.undo()
    assert len(colab.commit()) == 40
    monkeypatch.setenv("PATH", "")
    assert colab.commit() is None


@pytest.mark.parametrize(
    "repository, commit, kinds",
    [
        ("https://github.com/a/b", "abc", ["colab", "executed", "source"]),
        ("https://github.com/a/b", None, ["executed", "source"]),
        ("https://gitlab.com/a/b", "abc", ["executed", "source"]),
        (None, "abc", ["executed", "source"]),
    ],
)
def test_a_notebook_for_colab_is_there_where_its_button_is(
    tmp_path, monkeypatch, repository, commit, kinds
):
    monkeypatch.delenv("ATRI_EXECUTED", raising=False)
    monkeypatch.setattr(colab, "commit", lambda: commit)
    website.write_notebooks(COMMITTED[0].stem, repository, tmp_path)
    assert sorted(path.name for path in (tmp_path / website.NOTEBOOKS).iterdir()) == kinds


def test_a_chapter_for_colab_installs_the_library_at_the_commit_of_the_page(tmp_path):
    notebook = v4.new_notebook(cells=[code("from atri_lib import training")])
    colab.install(notebook, ROOT.as_uri())
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells[1:]] == ["from atri_lib import training"]
    _, needed, fetched, found = notebook.cells[0].source.splitlines()
    assert needed.startswith("%pip install") and {"torch", "myst-nb"} <= set(needed.split())
    subprocess.run(fetched.removeprefix("!"), shell=True, cwd=tmp_path, check=True)
    report = f"{found}\nimport atri_lib, studies.results, book.viz\nprint(atri_lib.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", report], cwd=tmp_path, capture_output=True, text=True
    )
    assert (
        pathlib.Path(tmp_path, ran.stdout.strip())
        == tmp_path / colab.COPY / "atri_lib" / "__init__.py"
    ), ran.stderr
    committed = subprocess.run(
        ["git", "-C", ROOT, "show", "HEAD:atri_lib/losses.py"], capture_output=True, check=True
    )
    assert (tmp_path / colab.COPY / "atri_lib" / "losses.py").read_bytes() == committed.stdout


def test_the_whole_book_is_one_page_with_links_of_its_own(tmp_path):
    (tmp_path / "n").mkdir()
    page = "<html><head></head><body><article><h1 id='top'>x</h1>{}</article></body></html>"
    first = "<a href='n/c.html#top'>c</a><a href='n/c.html'>c</a><img src='i.png'>"
    second = "<a href='#top'>c</a><a href='../p.html'>p</a><img src='../i.png'>"
    (tmp_path / "p.html").write_text(page.format(first))
    (tmp_path / "n" / "c.html").write_text(page.format(second))
    soup = BeautifulSoup(pdf.assembled(tmp_path, ["p", "n/c"], "html"), "html.parser")
    assert [link["href"] for link in soup.select("a")] == ["#n/c--top", "#n/c", "#n/c--top", "#p"]
    assert all(soup.find(id=link["href"][1:]) for link in soup.select("a"))
    assert {image["src"] for image in soup.select("img")} == {"html/i.png"}


def test_the_printed_book_has_no_link_to_what_it_leaves_out(tmp_path):
    (tmp_path / "book").mkdir()
    page = "<html><head></head><body><article><h1>x</h1>{}</article></body></html>"
    own = (
        "<p>See <a href='api.html#x'>API</a>, <a href='../file.zip'>file</a>.</p>"
        "<ul><li><a href='api.html'>The library</a></li></ul>"
    )
    toc = ["book/found", "book/found_fra", "book/api"]
    (tmp_path / "book" / "found.html").write_text(page.format(own))
    soup = BeautifulSoup(pdf.assembled(tmp_path, toc, "html"), "html.parser")
    assert not soup.select("a")
    paragraphs = [one.get_text() for one in soup.select("p, li")]
    assert paragraphs == ["See API, file.", "The library", pdf.POINTER]


def test_the_printed_book_asks_for_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(pdf.BuildFailed, match="ATRI_CHROMIUM"):
        pdf.print_book(tmp_path, tmp_path / "book.pdf")


def test_a_player_is_named_and_plays_mp3(monkeypatch):
    monkeypatch.setenv("ATRI_PLAYERS", "1")
    wave = np.sin(np.arange(8000) / 5).astype("float32")
    page = BeautifulSoup(viz.players([('a "dog"', wave)]).forms["text/html"], "html.parser")
    assert page.audio["aria-label"] == 'a "dog", 0.5 s' and "0.5 s" in page.get_text()
    kind, _, content = page.audio["src"].partition(";base64,")
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert (kind, rate) == ("data:audio/mpeg", 16_000) and 8000 <= len(heard) < 12_000


@needs_browser
def test_panels_side_by_side_keep_their_size_on_a_phone(tmp_path):
    def picture(width, height):
        stream = io.BytesIO()
        Image.new("RGB", (width, height)).save(stream, "PNG")
        source = base64.b64encode(stream.getvalue()).decode()
        return f'<div class="cell_output"><img src="data:image/png;base64,{source}"/></div>'

    shown = scripted(tmp_path, picture(900, 400) + picture(400, 400)).select("img")
    assert [one.get("class") for one in shown] == [["atri-panels"], None]
    assert [one.parent["class"] for one in shown] == [["atri-scroll"], ["cell_output"]]
