"""How a scene of sounds, or of pictures, is said in each of the eight languages.

A template has the sounds' noun phrases at {0}, {1}, {2}, unchanged, with their indefinite article
where the language has one. So no German template asks for another case than the nominative, and no
French, Spanish or Catalan one puts a preposition before them, with which the article could
contract. Every layout has three phrasings per language; phrasing j of one language is the
translation of phrasing j of the others.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence

from atri_lib.storage import read_json

PHRASINGS = 3
HERE = pathlib.Path(__file__).parent
# layout -> language -> three phrasings; "sequence2" and "sequence3" by the number of sounds
TEMPLATES = read_json(HERE / "phrases.json")
FAR = TEMPLATES["far"]  # language -> what is said of one sound
NEAR = TEMPLATES["near"]
# far is small, a sequence goes from left to right
PICTURES = read_json(HERE / "picture_phrases.json")


def caption(
    layout: str,
    names: Sequence[str],
    far: Sequence[bool],
    phrasing: int,
    code: str,
    phrases: Mapping[str, Mapping] = TEMPLATES,
) -> str:
    """One sentence about a scene.

    layout: "single", "repeated", "sequence" or "together"; names: noun phrases in the language
    `code`, in the order of the scene; far: which of them are in the distance. Distance is always
    said; nearness where a scene has both, so that "a dog nearby, then a horn in the distance" is
    told from two distant sounds. phrases: TEMPLATES or PICTURES.
    """
    key = f"sequence{len(names)}" if layout == "sequence" else layout
    mixed = any(far) and not all(far)
    placed = []
    for name, away in zip(names, far, strict=True):
        if away or mixed:
            name = phrases["far" if away else "near"][code].format(name)
        placed.append(name)
    sentence = phrases[key][code][phrasing].format(*placed)
    if code == "spa":  # "y" becomes "e" before the sound i, which "hie" is not
        sentence = re.sub(r"\by (?=i|hi(?!e))", "e ", sentence)
    return sentence[:1].upper() + sentence[1:]
