"""What a finished site weighs: files that no page loads go, pictures get a palette."""

import base64
import contextlib
import io
import os
import pathlib
import re

from fontTools import subset
from nbformat import NotebookNode
from PIL import Image

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")  # what pages load of its 24 MB
UNUSED = ("*.map", "scripts/fontawesome.js*", "fa-*.ttf", "fa-*.woff2", "sphinx-thebe.*", "*.[mp]o")
THEME_ICONS = {"xmark", "sun", "moon", "circle-half-stroke"}  # that its script adds
ICON_RULE = re.compile(r"((?:\.fa-[\w-]+::?before,?)+)\{content:\"[^\"]*\"\}")
# colours of a figure: with those that lie far apart first, no pixel is off by a tenth
PALETTE = 128


def small_picture(content: str) -> str:
    """A PNG in base64 with a palette in place of 16 million colours; as it was where that is not
    smaller.
    """
    image = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
    few = image.quantize(PALETTE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
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
    small_icons(static, THEME_ICONS | set(re.findall(r"\bfa-([a-z0-9-]+)", pages)))
    unused = [path for pattern in UNUSED for path in static.rglob(pattern)]
    mathjax = static / "mathjax"
    for path in mathjax.rglob("*.*"):
        if not path.relative_to(mathjax).as_posix().startswith(MATHJAX):
            unused.append(path)
    for path in unused:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder that holds more
            os.removedirs(path.parent)


def small_icons(static: pathlib.Path, used: set[str]) -> None:
    """Leave of Font Awesome, in the theme's style sheet and as WOFF, only the icons in use."""

    def kept(match: re.Match) -> str:
        return match[0] if used & set(re.findall(r"\.fa-([\w-]+)", match[1])) else ""

    for path in static.rglob("pydata-sphinx-theme.css"):
        css = ICON_RULE.sub(kept, path.read_text(encoding="utf-8"))
        css = css.replace('.woff2) format("woff2")', '.woff) format("woff")')
        path.write_text(css, encoding="utf-8")
    styles = "".join(path.read_text(encoding="utf-8") for path in static.rglob("*.css"))
    codes = ["U+20", *re.findall(r"\\([ef]\w{3})\b", styles)]
    codes += [f"{ord(character):x}" for character in re.findall("[\ue000-\uf8ff]", styles)]
    for font in static.rglob("fa-*.ttf"):
        target = f"--output-file={font.with_suffix('.woff')}"
        subset.main([str(font), f"--unicodes={','.join(codes)}", "--flavor=woff", target])
