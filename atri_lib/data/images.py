"""Image files as the library sees them: 224 x 224 pixels, RGB, read by Pillow within limits."""

import os
import warnings

import numpy as np
from PIL import Image, ImageOps

from atri_lib import storage
from atri_lib.audio import notice_once
from atri_lib.terminal import one_line

SIDE = 224  # pixels
LEAST, MOST = 8, 9000  # pixels a side of a file
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")  # Pillow decodes them by itself
# how files of images end; those from .tif on cannot be read, which is then said of each
IMAGES = tuple(".png .apng .jpg .jpeg .gif .webp .bmp .tif .tiff .svg .heic .avif".split())

# Pillow warns of odd notes in a file, which do not matter, and of more pixels than are taken.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableImage(ValueError):
    """An image file that cannot be read, or is not taken; the message names it."""


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as uint8 [224, 224, 3]: upright as its EXIF says, fitted in without distortion,
    white around it and where it is transparent; of several frames the first.

    Raises UnreadableImage when the file is missing, of another format than FORMATS, or damaged,
    and, before it is decoded, for fewer than 8 or more than 9,000 pixels a side.
    """
    try:
        with Image.open(storage.regular(path), formats=FORMATS) as image:
            if not LEAST <= min(image.size) <= max(image.size) <= MOST:
                raise ValueError(f"{image.width} x {image.height} pixels")
            several = getattr(image, "is_animated", False)
            pixels = _on_white(image)
    except Exception as error:  # a damaged file leads Pillow's decoders to errors of any kind
        raise UnreadableImage(
            f"{one_line(path)}: cannot be read as an image ({one_line(error)}); "
            f"fetch it again, or save it as PNG of {LEAST} to {MOST} pixels a side"
        ) from error
    if several:
        notice_once("an image holds several frames; the first of each is taken")
    return pixels


def _on_white(image: Image.Image) -> np.ndarray:
    """The image in the middle of a white square."""
    image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is decoded no larger than it is needed
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "I;16":
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    square = fitted(image.convert("RGBA"), SIDE)
    white = Image.new("RGB", square.size, "white")
    white.paste(square, mask=square)
    return np.array(white)


def fitted(image: Image.Image, side: int) -> Image.Image:
    """The image with its longer side of so many pixels, in the middle of a transparent square."""
    scale = side / max(image.size)
    image = image.resize([max(1, round(length * scale)) for length in image.size])
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
