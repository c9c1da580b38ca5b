"""What a finished site weighs: files that no page loads go, pictures get a palette."""

import base64
import io
import pathlib
import re
import shutil

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from nbformat import NotebookNode
from PIL import Image

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")  # what pages load of its 24 MB
UNUSED = ("*.map", "scripts/fontawesome.js*", "fa-v4compatibility.*", "sphinx-thebe.*", "locales")
# colours of a figure: with those that lie far apart first, no pixel is off by a tenth
PALETTE = 128
THEME_ICONS = {"xmark", "sun", "moon", "circle-half-stroke"}  # that its script adds
ICON_RULE = re.compile(r"((?:\.fa-[\w-]+::?before,?)+)\{content:\"[^\"]*\"\}")


def small_picture(content: str) -> str:
    """A PNG in base64 with a palette in place of 16 million colours; as it was where that is not
    smaller.
    """
    image = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image)
    few = flat.quantize(PALETTE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    few.save(stream, "PNG", optimize=True)
    small = base64.b64encode(stream.getvalue()).decode()
    return min(content, small, key=len)


def with_small_pictures(notebook: NotebookNode) -> NotebookNode:
    """A notebook whose pictures have a palette."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = small_picture(data["image/png"])
    return notebook


def slim(static: pathlib.Path, pages: str) -> None:
    """Remove from a site's folder _static what no page loads. pages: the HTML of all of them."""
    unused = [path for pattern in UNUSED for path in static.rglob(pattern)]
    mathjax = static / "mathjax"
    for path in mathjax.rglob("*.*"):
        if not path.relative_to(mathjax).as_posix().startswith(MATHJAX):
            unused.append(path)
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    icons = THEME_ICONS | set(re.findall(r"\bfa-([a-z0-9-]+)", pages))
    for path in static.rglob("pydata-sphinx-theme.css"):
        css = without_icons(path.read_text(encoding="utf-8"), icons)
        path.write_text(css, encoding="utf-8")
        styles = "".join(one.read_text(encoding="utf-8") for one in static.rglob("*.css"))
        characters = set(re.findall("[\ue000-\uf8ff]", styles))
        characters |= {chr(int(code, 16)) for code in re.findall(r"\\([ef]\w{3})\b", styles)}
        for font in static.rglob("vendor/**/fa-*.ttf"):
            small_font(font, "".join(characters))
            whole = rf'({font.stem})\.woff2\) format\("woff2"\),url\([^()]*\) format\("truetype"\)'
            css = re.sub(whole, r'\1.woff) format("woff")', css)
        path.write_text(css, encoding="utf-8")


def small_font(path: pathlib.Path, characters: str) -> None:
    """A font with only these characters, as WOFF, in place of the whole one."""
    subsetter = Subsetter(Options(notdef_outline=True))
    font = TTFont(path)
    subsetter.populate(text=characters)
    subsetter.subset(font)
    font.flavor = "woff"
    font.save(path.with_suffix(".woff"))
    font.close()
    path.unlink()
    path.with_suffix(".woff2").unlink()


def without_icons(css: str, used: set[str]) -> str:
    """A style sheet without the rules of Font Awesome's icons that no page uses."""

    def kept(match: re.Match) -> str:
        return match[0] if used & set(re.findall(r"\.fa-([\w-]+)", match[1])) else ""

    return ICON_RULE.sub(kept, css)
