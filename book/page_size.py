"""What a finished site weighs: files that no page loads go, pictures get a palette, markup that
shows nothing goes.

An extension of Sphinx, after `pages` and `website`.
"""

import base64
import io
import pathlib
import re
import shutil

import plotly
from bs4 import BeautifulSoup
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from nbformat import NotebookNode
from pages import html_pages
from PIL import Image

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")  # what pages load of its 24 MB
UNUSED = ("*.map", "scripts/fontawesome.js*", "fa-v4compatibility.*", "sphinx-thebe.*", "locales")
SCRIPT = r'\s*<script[^>]*src="[^"]*(?:{})\.js[^>]*></script>'
NOT_LOADED = re.compile(SCRIPT.format("fontawesome|searchtools|language_data|searchindex"))
FONTAWESOME = re.compile(
    SCRIPT.format("fontawesome")
)  # the page of the search needs the other three
PALETTE = (
    128  # colours of a figure: with those that lie far apart first, no pixel is off by a tenth
)
PLAIN = ("n", "p", "w", "pre")  # spans around names, brackets and spaces, in the colour of all text


def small_picture(content: str) -> str:
    """A PNG in base64 with a palette in place of 16 million colours; as it was where that is not
    smaller.
    """
    image, stream = Image.open(io.BytesIO(base64.b64decode(content))), io.BytesIO()
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.convert("RGBA").getchannel("A"))
    flat.quantize(PALETTE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        stream, "PNG", optimize=True
    )
    small = base64.b64encode(stream.getvalue()).decode()
    return min(content, small, key=len)


def with_small_pictures(notebook: NotebookNode) -> NotebookNode:
    """A notebook whose pictures have a palette."""
    for cell in notebook.cells:
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "image/png" in data:
                data["image/png"] = small_picture(data["image/png"])
    return notebook


def unwrapped(soup: BeautifulSoup) -> None:
    """Code and signatures without the spans that give nothing a colour."""
    for block in soup.select("div.highlight pre, dt.sig"):
        for span in block.select(", ".join(f'span[class="{name}"]' for name in PLAIN)):
            span.unwrap()


def slim(app, exception) -> None:
    """Remove from a finished site what no page loads."""
    if exception or app.builder.format != "html":
        return
    site, static = pathlib.Path(app.outdir), pathlib.Path(app.outdir) / "_static"
    for path in [found for pattern in UNUSED for found in static.rglob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in sorted((static / "mathjax").rglob("*"), reverse=True):
        name = path.relative_to(static / "mathjax").as_posix()
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif not name.startswith(MATHJAX):
            path.unlink()
    pages, icons = [*html_pages(site)], {"xmark", "sun", "moon", "circle-half-stroke"}
    draws = False
    for path in pages:
        text = path.read_text(encoding="utf-8")
        icons |= {*re.findall(r"\bfa-([a-z0-9-]+)", text)}
        draws |= "plotly.min.js" in text
        unused = FONTAWESOME if path == site / "search.html" else NOT_LOADED
        path.write_text(unused.sub("", text), encoding="utf-8")
    if draws:
        shutil.copy(
            pathlib.Path(plotly.__file__).parent / "package_data" / "plotly.min.js",
            static / "plotly.min.js",
        )
    for path in static.rglob("pydata-sphinx-theme.css"):
        css = without_icons(path.read_text(encoding="utf-8"), icons)
        others = "".join(
            other.read_text(encoding="utf-8") for other in static.rglob("*.css") if other != path
        )
        characters = {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", css + others)}
        characters |= {
            ord(character) for character in css + others if "\ue000" <= character <= "\uf8ff"
        }
        for font in [*(static / "vendor").rglob("fa-*.ttf")]:
            small_font(font, characters)
            whole = (
                rf'(url\([^()]*{font.stem})\.woff2\) format\("woff2"\),'
                r'url\([^()]*\) format\("truetype"\)'
            )
            css = re.sub(whole, r'\1.woff) format("woff")', css)
        path.write_text(css, encoding="utf-8")


def small_font(path: pathlib.Path, characters: set[int]) -> None:
    """A font with only these characters, as WOFF, in place of the whole one."""
    subsetter = Subsetter(Options(notdef_outline=True))
    font = TTFont(path)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    font.flavor = "woff"
    font.save(path.with_suffix(".woff"))
    font.close()
    for whole in (path, path.with_suffix(".woff2")):
        whole.unlink(missing_ok=True)


def without_icons(css: str, used: set[str]) -> str:
    """A style sheet without the rules of Font Awesome's icons that no page uses."""

    def kept(match: re.Match) -> str:
        return match[0] if used & {*re.findall(r"\.fa-([\w-]+)", match[1])} else ""

    return re.sub(r"((?:\.fa-[\w-]+::?before,?)+)\{content:\"[^\"]*\"\}", kept, css)


def setup(app) -> dict:
    app.connect("build-finished", slim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
