"""What a finished site weighs: pictures with a palette, markup that shows nothing, files that no
page loads.
"""

import base64
import io

import nbformat
import numpy as np
import page_size
import pytest
import website
from matplotlib import pyplot as plt
from nbformat import v4
from PIL import Image
from small_chapters import code


def drawn() -> str:
    stream = io.BytesIO()
    figure, axis = plt.subplots(figsize=(4, 3))
    axis.plot(np.sin(np.arange(100) / 9), color="#d55e00")
    figure.savefig(stream)
    plt.close(figure)
    return base64.b64encode(stream.getvalue()).decode()


def pixels(picture: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")).astype(int)


def test_a_picture_with_a_palette_is_smaller_and_looks_the_same():
    before = drawn()
    after = page_size.small_picture(before)
    assert len(after) < 0.6 * len(before)
    assert np.abs(pixels(after) - pixels(before)).max() < 25
    again = page_size.small_picture(after)
    assert len(again) <= len(after) and (pixels(again) == pixels(after)).all()


def test_only_the_pictures_of_a_notebook_change():
    outputs = [v4.new_output("display_data", {"image/png": drawn(), "text/plain": "figure"})]
    notebook = v4.new_notebook(
        cells=[code("plt.plot()", outputs=outputs), v4.new_markdown_cell("prose")]
    )
    small = page_size.with_small_pictures(notebook)
    assert (
        small.cells[0].outputs[0].data["text/plain"] == "figure"
        and small.cells[1].source == "prose"
    )
    nbformat.validate(small)


SIGN = '<span class="o">=</span>'
DOCUMENT = '<p><span class="doc">b</span></p>'
PROOF = '<div class="proof" id="proof"><p id="proof-content">'
BODIES = {  # of a page -> what is left
    f'<pre><span class="n">a</span>{SIGN}</pre>': f"<pre>a{SIGN}</pre>",
    DOCUMENT: DOCUMENT,
    PROOF: '<div class="proof"><p>',
    "a<style scoped>\n.x {}</style>b": "ab",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}


@pytest.mark.parametrize("body", BODIES)
def test_markup_that_shows_nothing_is_left_out(body):
    context = {"body": body, "script_files": [], "css_files": []}
    website.lighten(None, "book/x", "page.html", context, None)
    assert context["body"] == BODIES[body]


@pytest.mark.parametrize("body, is_set", [("text", False), ('<span class="math x">', True)])
def test_scripts_that_a_page_does_without_are_left_out(body, is_set):
    scripts = ["sphinx-thebe.js", "atri.js", "mathjax/tex-chtml.js", "window.MathJax = {}"]
    context = {"body": body, "script_files": scripts, "css_files": ["sphinx-thebe.css", "atri.css"]}
    website.lighten(None, "book/x", "page.html", context, None)
    assert context["script_files"] == (scripts[1:] if is_set else ["atri.js"])
    assert context["css_files"] == ["atri.css"]


def test_what_no_page_loads_is_removed(tmp_path):
    static = tmp_path / "_static"
    kept = [
        "mathjax/tex-chtml.js",
        "mathjax/output/chtml/fonts/woff-v2/a.woff",
        "styles/pydata-sphinx-theme.css",
        "atri.js",
    ]
    gone = [
        "mathjax/tex-svg.js",
        "mathjax/sre/mathmaps/en.json",
        "styles/theme.css.map",
        "scripts/fontawesome.js",
    ]
    used, other = '.fa-bars:before{content:"a"}', ".x{color:red}"
    for name in kept + gone:
        (static / name).parent.mkdir(parents=True, exist_ok=True)
        (static / name).write_text(f'{used}.fa-cat:before,.fa-kitty:before{{content:"b"}}{other}')
    page_size.slim(static, '<i class="fa-solid fa-bars"></i>')
    found = {path.relative_to(static).as_posix() for path in static.rglob("*") if path.is_file()}
    assert found == {*kept}
    assert all(any(folder.iterdir()) for folder in static.rglob("*/"))
    assert (static / kept[2]).read_text() == used + other
