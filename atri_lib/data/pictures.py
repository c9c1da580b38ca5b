"""Single pictures with a name in eight languages: Tux Paint's stamps, emoji, and drawn shapes that
take their place.
"""

import io
import pathlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from atri_lib.data import debian
from atri_lib.data.images import fitted
from atri_lib.data.items import Item, bank_checksum
from atri_lib.data.recorded import CORRECTIONS, sound_names
from atri_lib.data.tux_paint import find_stamps, is_picture
from atri_lib.languages import CODES, LANGUAGES
from atri_lib.storage import cache_dir, read_json

SIDE = 128  # pixels of a picture's longer side
LONGEST = 40  # characters of a name
DRAWN = pathlib.Path(__file__).with_name("drawn_shapes.json")
NOTO = "usr/share/fonts/truetype/noto"
CLDR = "usr/share/unicode/cldr/common/annotations"
# emoji that show no thing: letters, signs, arrows, buttons, clocks, shapes, skin tones
NO_THING = re.compile(
    "[\u0000-\u00ff\u2010-\u22ff\u23cf-\u23ef\u23f8-\u23fa\u2460-\u25ff\u2611\u2622-\u2653"
    "\u2660-\u2667\u267b-\u267f\u2695\u269b-\u26a0\u26a7-\u26ab\u26ce\u26d4\u2705\u2714-\u2721"
    "\u2733-\u2734\u2747-\u2763\u2795-\u27bf\u2900-\u2b4f\u2b51-\u2bff\u3000-\u33ff"
    "\U0001f100-\U0001f2ff\U0001f3e7\U0001f3fb-\U0001f3ff\U0001f4a0-\U0001f4a2\U0001f4a4"
    "\U0001f4ae-\U0001f4af\U0001f4b1-\U0001f4b2\U0001f4f2-\U0001f4f6\U0001f500-\U0001f50c"
    "\U0001f514-\U0001f524\U0001f52f-\U0001f53d\U0001f549\U0001f550-\U0001f567"
    "\U0001f5e8-\U0001f5ef\U0001f6ab-\U0001f6c5\U0001f6d0-\U0001f6d1\U0001f7e0-\U0001f7ff]"
)


class PictureBank:
    """Pictures; no two share a name in any language.

    left_out: how many others had no name in all languages, a long one, or another's.
    """

    def __init__(self, name: str, pictures: Iterable[Item]) -> None:
        self.name = name
        self.left_out = 0
        taken = set()
        kept = []
        for picture in pictures:
            names = {(code, picture.names.get(code, "").casefold()) for code in CODES}
            lengths = [len(name) for _, name in names]
            if taken & names or not 0 < min(lengths) <= max(lengths) <= LONGEST:
                self.left_out += 1
            else:
                taken |= names
                kept.append(picture)
        self.items = tuple(kept)
        self.checksum = bank_checksum(self.items)

    def some(self, count: int, seed: int) -> "PictureBank":
        """A bank of so many of them, drawn."""
        order = np.random.default_rng((seed, 4)).permutation(len(self.items))
        return PictureBank(self.name, [self.items[number] for number in sorted(order[:count])])


@cache
def stamps() -> PictureBank:
    """The stamps' pictures under their native names; what shows no thing (letters, flags, signs) is
    not among them. Raises BankUnavailable.
    """
    folder = find_stamps(is_picture)
    corrections = read_json(CORRECTIONS)
    pictures = []
    for path in sorted(folder.rglob("*.png")):
        source = path.relative_to(folder)
        names = sound_names(path.with_suffix(".txt"), corrections.get(path.stem, {}))
        if is_picture(source) and len(names) == len(CODES):
            pixels = cut_out(path)
            pictures.append(Item(path.stem, pixels, names, str(source), "GPL-2.0-or-later"))
    return PictureBank("tuxpaint pictures", pictures)


@cache
def emoji() -> PictureBank:
    """The emoji of Noto Color Emoji under their names in the Unicode CLDR; letters, arrows, shapes,
    clocks, flags and skin tones are not among them. Raises BankUnavailable.
    """
    from fontTools.ttLib import TTFont

    tables = [f"{language.locale[:2]}.xml" for language in LANGUAGES]
    names = _annotations(_debian("unicode-cldr-core", 17, "the names of emoji", CLDR, tables))
    (file,) = _debian("fonts-noto-color-emoji", 10, "the emoji", NOTO, ["NotoColorEmoji.ttf"])
    pictures = []
    with TTFont(file, lazy=True) as font:
        glyphs = font.getBestCmap()
        bitmaps = font["CBDT"].strikeData[0]
        for character, said in sorted(names.items()):
            glyph = bitmaps.get(glyphs.get(ord(character)))
            if glyph is not None:
                pixels = cut_out(io.BytesIO(glyph.imageData))
                name = f"U+{ord(character):04X}"
                pictures.append(Item(name, pixels, said, name, "OFL-1.1, Unicode-3.0"))
    return PictureBank("emoji", pictures)


def _debian(
    name: str, megabytes: int, what: str, inside: str, files: list[str]
) -> list[pathlib.Path]:
    """Files of a folder inside a package, installed, cached or fetched."""

    def holds(folder: pathlib.Path) -> bool:
        return all((folder / file).is_file() for file in files)

    package = debian.Package(
        name,
        megabytes,
        what,
        folder=pathlib.PurePosixPath(inside),
        wanted=lambda path: str(path) in files,
        cached=cache_dir("pictures") / name,
    )
    folder = debian.find(package, pathlib.Path("/", inside), holds)
    return [folder / file for file in files]


def _annotations(tables: Sequence[pathlib.Path]) -> dict[str, dict[str, str]]:
    """character -> language code -> name, of the characters that show a thing."""
    found: dict[str, dict[str, str]] = {}
    for language, table in zip(LANGUAGES, tables, strict=True):
        for entry in ElementTree.parse(table).iter("annotation"):
            character = entry.get("cp", "")
            if entry.get("type") == "tts" and len(character) == 1 and entry.text:
                if not NO_THING.match(character):
                    found.setdefault(character, {})[language.code] = entry.text.strip()
    return found


@cache
def drawn() -> PictureBank:
    """Six shapes in six colours, where no pictures can be had."""
    known = read_json(DRAWN)
    pictures = []
    for shape in known["shapes"].values():
        for colour, called in known["colours"].items():
            names = {}
            for code, pattern in known["pattern"].items():
                names[code] = pattern.format(shape["names"][code], called[code])
            canvas = Image.new("RGBA", (SIDE, SIDE))
            ImageDraw.Draw(canvas).polygon(shape["corners"], fill=colour)
            pixels = np.asarray(canvas)
            pictures.append(Item(names["eng"], pixels, names, "drawn", "Apache-2.0"))
    return PictureBank("drawn shapes", pictures)


def cut_out(file: pathlib.Path | io.BytesIO) -> np.ndarray:
    """The picture of a file without its empty margins, its longer side 128 pixels, in the middle of
    uint8 [128, 128, 4].
    """
    with Image.open(file) as image:
        whole = image.convert("RGBA")
    cut = whole.crop(whole.getchannel("A").getbbox())
    shown, corner = fitted(cut, SIDE)
    canvas = Image.new("RGBA", (SIDE, SIDE))
    canvas.paste(shown, corner)
    return np.asarray(canvas)
