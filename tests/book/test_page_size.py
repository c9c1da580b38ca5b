"""What a finished site weighs: pictures with a palette, markup that shows nothing, files that no
page loads.
"""

import base64
import io
import types

import nbformat
import numpy as np
import page_html
import page_size
import website
from bs4 import BeautifulSoup
from matplotlib import pyplot as plt
from nbformat import v4
from PIL import Image
from small_chapters import code


def drawn() -> str:
    stream = io.BytesIO()
    figure, axis = plt.subplots(figsize=(4, 3))
    axis.plot(np.sin(np.arange(100) / 9), color="#d55e00")
    figure.savefig(stream, transparent=True)
    plt.close(figure)
    return base64.b64encode(stream.getvalue()).decode()


def pixels(picture: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")).astype(int)


def test_a_picture_with_a_palette_is_smaller_and_looks_the_same():
    before = drawn()
    after = page_size.small_picture(before)
    image = Image.open(io.BytesIO(base64.b64decode(before)))
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    assert len(after) < 0.6 * len(before)
    assert np.abs(pixels(after) - np.asarray(white).astype(int)).max() < 25
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


def test_spans_without_a_colour_are_unwrapped_only_in_code():
    page = (
        '<div class="highlight"><pre><span class="n">a</span><span class="o">=</span></pre></div>'
    )
    soup = BeautifulSoup(page + '<p><span class="n">b</span></p>', "html.parser")
    page_html.improve(soup, "notebooks/01")
    assert str(soup.pre) == '<pre>a<span class="o">=</span></pre>'
    assert soup.p.span.get_text() == "b"


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
    (tmp_path / "searchindex.js").write_text("")
    script = (
        '<script src="_static/scripts/fontawesome.js?v=1"></script>'
        '<script defer src="searchindex.js"></script>'
    )
    page = '<i class="fa-solid fa-bars"></i><script src="_static/atri.js"></script>'
    (tmp_path / "a.html").write_text(f"<html><head>{script}</head><article>{page}</article></html>")
    (tmp_path / "search.html").write_text(f"<html><head>{script}</head><article></article></html>")
    config = types.SimpleNamespace(html_theme_options={}, html_baseurl="")
    builder = types.SimpleNamespace(format="html")
    website.finish(types.SimpleNamespace(outdir=tmp_path, builder=builder, config=config), None)
    found = {path.relative_to(static).as_posix() for path in static.rglob("*") if path.is_file()}
    assert found == {*kept}
    assert (static / kept[2]).read_text() == used + other
    first = (tmp_path / "a.html").read_text()
    assert first.count("<script") == 1 and "atri.js" in first
    assert "searchindex" in (tmp_path / "search.html").read_text()
