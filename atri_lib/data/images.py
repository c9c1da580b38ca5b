"""Image files as the library sees them: 224 x 224 pixels, RGB, read by Pillow within limits."""

import os
import warnings
from contextlib import nullcontext

import numpy as np
from PIL import Image, ImageOps

from atri_lib.audio_headers import first_bytes
from atri_lib.containers import is_text
from atri_lib.quiet import without_lines
from atri_lib.terminal import one_line

SIDE = 224  # pixels
LEAST, MOST = 8, 9000  # pixels a side of a file
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")  # Pillow decodes them by itself
# how files of images end; the last three cannot be read, which is then said of each
IMAGES = tuple(".png .apng .jpg .jpeg .gif .webp .bmp .tif .tiff .svg .heic .avif".split())

# Pillow warns of odd notes in a file, which do not matter, and of too many pixels, which do.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.simplefilter("error", Image.DecompressionBombWarning)


class UnreadableImage(ValueError):
    """An image file that cannot be read, or is not taken; the message names it."""


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as uint8 [224, 224, 3]: upright as its EXIF says, fitted in without distortion,
    white around it and where it is transparent; of several frames or pages the first.

    Raises UnreadableImage when the file is missing, of another format than FORMATS, or damaged,
    and, before it is decoded, for fewer than 8 or more than 9,000 pixels a side.
    """
    pixels, _ = _decoded(path)
    return pixels


def has_several(path: str | os.PathLike) -> bool:
    """Whether an image file holds several frames or pages. Raises what `read_image` does."""
    _, several = _decoded(path)
    return several


def _decoded(path: str | os.PathLike) -> tuple[np.ndarray, bool]:
    """The pixels of the first frame, and whether there are more."""
    name = one_line(path)
    head = first_bytes(path, "image", UnreadableImage)
    # what libtiff says on stderr of a damaged file
    quiet = without_lines(b"") if head.startswith((b"II", b"MM")) else nullcontext()
    try:
        with quiet, Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if not LEAST <= min(width, height) <= max(width, height) <= MOST:
                raise UnreadableImage(f"{width} x {height} pixels")
            several = getattr(image, "is_animated", False)
            return _on_white(image), several
    except Image.UnidentifiedImageError:
        raise UnreadableImage(f"{name}: {_what_it_is(head)}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError, UnreadableImage) as error:
        said = f"{name}: {one_line(error).rstrip('.')}"
        raise UnreadableImage(f"{said}; use one of {LEAST} to {MOST} pixels a side") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file leads Pillow's decoders to errors of any kind
        said = f"{name}: cannot be read as an image ({one_line(error)})"
        raise UnreadableImage(f"{said}; replace it, or save it as PNG") from error


def _what_it_is(head: bytes) -> str:
    """What a file is that is none of FORMATS, by its first bytes, and what to do."""
    if not head:
        return "is empty; fetch the file again"
    if b"<svg" in head or head.startswith(b"%!PS"):
        return "is an SVG or PostScript drawing; save it as PNG"
    if is_text(head):
        return "is text, not an image; fetch the file again"
    return f"cannot be read as {', '.join(FORMATS)}; save it as PNG"


def _on_white(image: Image.Image) -> np.ndarray:
    """The image in the middle of a white square."""
    image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is decoded no larger than it is needed
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image, corner = fitted(image.convert("RGBA"), SIDE)
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(image, corner, mask=image)
    return np.array(square)


def fitted(image: Image.Image, side: int) -> tuple[Image.Image, tuple[int, int]]:
    """The image with its longer side of so many pixels, and its corner in the middle of a
    square.
    """
    scale = side / max(image.size)
    image = image.resize([max(1, round(length * scale)) for length in image.size])
    width, height = image.size
    return image, ((side - width) // 2, (side - height) // 2)
