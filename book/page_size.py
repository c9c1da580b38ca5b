"""What a finished site weighs: files that no page loads go, pictures get a palette."""

import base64
import io
import pathlib
import shutil

from nbformat import NotebookNode
from PIL import Image

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")  # what pages load of its 24 MB
UNUSED = ("*.map", "*.ttf", "scripts/fontawesome.js*", "fa-v4compat*", "sphinx-thebe.*", "locales")
# colours of a figure: with those that lie far apart first, no pixel is off by a tenth
PALETTE = 128


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


def slim(static: pathlib.Path) -> None:
    """Remove from a site's folder _static what no page loads."""
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
