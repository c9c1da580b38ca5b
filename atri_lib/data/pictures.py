"""Single pictures with a name in eight languages: Tux Paint's stamps, emoji, and drawn shapes that
take their place.
"""

import io
import pathlib
import re
from functools import cache
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from atri_lib.data.debian import package
from atri_lib.data.images import fitted
from atri_lib.data.items import Bank, bank_of
from atri_lib.data.recorded import PICTURE, bank_of_stamps
from atri_lib.languages import LANGUAGES
from atri_lib.storage import read_json

SIDE = 128  # pixels of a picture's longer side
FONT = "NotoColorEmoji.ttf"
DRAWN = pathlib.Path(__file__).with_name("drawn_shapes.json")
# an emoji that shows a thing, not letters, signs, arrows, buttons, clocks, shapes, skin tones
THING = re.compile(
    "[^\u0000-\u00ff\u2010-\u22ff\u23cf-\u23ef\u23f8-\u23fa\u2460-\u25ff\u2611\u2622-\u2653"
    "\u2660-\u2667\u267b-\u267f\u2695\u269b-\u26a0\u26a7-\u26ab\u26ce\u26d4\u2705\u2714-\u2721"
    "\u2733-\u2734\u2747-\u2763\u2795-\u27bf\u2900-\u2b4f\u2b51-\u2bff\u3000-\u33ff"
    "\U0001f100-\U0001f2ff\U0001f3e7\U0001f3fb-\U0001f3ff\U0001f4a0-\U0001f4a2\U0001f4a4"
    "\U0001f4ae-\U0001f4af\U0001f4b1-\U0001f4b2\U0001f4f2-\U0001f4f6\U0001f500-\U0001f50c"
    "\U0001f514-\U0001f524\U0001f52f-\U0001f53d\U0001f549\U0001f550-\U0001f567"
    "\U0001f5e8-\U0001f5ef\U0001f6ab-\U0001f6c5\U0001f6d0-\U0001f6d1\U0001f7e0-\U0001f7ff]"
)


@cache
def stamps() -> Bank:
    """The stamps' pictures under their native names; what shows no thing (letters, flags, signs) is
    not among them. Raises BankUnavailable.
    """
    folder = package("stamps").find("[!.]*.png")
    return bank_of_stamps("tuxpaint pictures", folder, PICTURE, cut_out)


@cache
def emoji() -> Bank:
    """The emoji of Noto Color Emoji under their names in the Unicode CLDR; letters, arrows, shapes,
    clocks, flags and skin tones are not among them. Raises BankUnavailable.
    """
    from fontTools.ttLib import TTFont

    said = annotations(package("emoji names").find("en.xml"))
    file = package("emoji").find(FONT) / FONT
    with TTFont(file, lazy=True) as font:
        glyphs = font.getBestCmap()
        bitmaps = font["CBDT"].strikeData[0]
        called = {}
        for character in sorted(said):
            if glyphs.get(ord(character)) in bitmaps:
                called[f"U+{ord(character):04X}"] = said[character]

        def shown(source: str) -> np.ndarray:
            glyph = glyphs[int(source[2:], 16)]
            return cut_out(io.BytesIO(bitmaps[glyph].imageData))

        return bank_of("emoji", called, shown, "OFL-1.1, Unicode-3.0")


def annotations(folder: pathlib.Path) -> dict[str, dict[str, str]]:
    """character -> language code -> name in the CLDR, of the characters that show a thing."""
    found: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        table = ElementTree.parse(folder / f"{language.locale[:2]}.xml")
        for entry in table.iterfind(".//annotation[@type='tts']"):
            character = entry.attrib["cp"]
            if THING.fullmatch(character):
                found.setdefault(character, {})[language.code] = entry.text.strip()
    return found


@cache
def drawn() -> Bank:
    """Six shapes in six colours, where no pictures can be had."""

    def shown(name: str) -> np.ndarray:
        return np.asarray(Image.open(DRAWN.with_suffix("") / f"{name}.png"))

    return bank_of("drawn shapes", read_json(DRAWN), shown, "Apache-2.0")


def cut_out(file: pathlib.Path | io.BytesIO) -> np.ndarray:
    """The picture of a file without its empty margins, its longer side 128 pixels, in the middle of
    uint8 [128, 128, 4].
    """
    whole = Image.open(file).convert("RGBA")
    cut = whole.crop(whole.getchannel("A").getbbox())
    return np.asarray(fitted(cut, SIDE))
