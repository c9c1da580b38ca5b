"""Tux Paint's stamps (Debian package tuxpaint-stamps-default, GPL-2.0-or-later): sound effects and
pictures with native captions in eight languages.
"""

import pathlib
import re
from collections.abc import Callable, Mapping

import numpy as np

from atri_lib.data.debian import package
from atri_lib.data.items import Bank, bank_of
from atri_lib.languages import LANGUAGES
from atri_lib.storage import read_json

LICENCE = "GPL-2.0-or-later"
# What the banks change in the stamps' captions, by file names without suffix. why: the reason,
# checked against the recording; drop: the sound is left out; a language code: the name used instead
# of the volunteers' caption, a singular noun phrase (German: nominative).
CORRECTIONS = pathlib.Path(__file__).with_name("tuxpaint_names.json")
# by their paths below `stamps`: not a symbol's name, a spoken description, a game's rule
EFFECT = re.compile(r"^(?!symbols/|.*(_desc|dreydl)).*\.ogg$")
# not of a symbol or a flag
PICTURE = re.compile(r"^(?!.*(symbols|flags|roadsigns)/).*\.png$")


def bank_of_stamps(
    name: str,
    folder: pathlib.Path,
    wanted: Callable[[str], object],
    content: Callable[[pathlib.Path], np.ndarray],
) -> Bank:
    """The stamps' files that are wanted (by their path below the folder), under their captions as
    tuxpaint_names.json corrects them.

    content: an item's, of its file. Raises BankUnavailable where there are none.
    """
    corrections = read_json(CORRECTIONS)
    called = {}
    for path in sorted(folder.rglob("[!.]*.*")):  # macOS leaves "._name" beside a file
        source = path.relative_to(folder).as_posix()
        if wanted(source):
            called[source] = stamp_names(path, corrections.get(path.stem, {}))
    bank = bank_of(name, called, lambda source: content(folder / source), LICENCE)
    if not bank.items:
        raise package("stamps").unavailable(f"{folder} holds none with captions")
    return bank


def stamp_names(stamp: pathlib.Path, correction: Mapping) -> dict[str, str]:
    """Noun phrases of a stamp per language code, from NAME.txt beside it (line 1 English, then
    `<locale>.utf8=<caption>`), corrected: {"why": ..., code: name, ...}.

    Empty where there is no caption; a caption file that does not exist counts as empty.
    """
    text = ""
    file = stamp.with_suffix(".txt")
    if file.exists():
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    captions = dict(re.findall(r"(?m)^(\w+)\.utf8=(.*)", f"en.utf8={text}"))
    names = {}
    for language in LANGUAGES:
        said = noun_phrase(captions.get(language.locale, ""), language.code)
        names[language.code] = correction.get(language.code, said)
    return names


def noun_phrase(caption: str, code: str) -> str:
    """A native caption as it reads inside a sentence: "Ein bunter Hahn." -> "ein bunter Hahn",
    "一只企鹅。" -> "企鹅".

    Drops what is in parentheses and final punctuation; Japanese and Chinese lose spaces, Chinese
    its classifier; the first letter is lowered, in German only that of an article.
    """
    text = re.sub(r"[(（].*?[)）]", "", caption)
    text = " ".join(text.split()).strip(" .,;!。．！")
    if code in ("jpn", "zho"):
        text = text.replace(" ", "")
        return re.sub("^一[只个道]", "", text) if code == "zho" else text
    if code == "deu" and not re.match(r"(Ein|Eine|Der|Die|Das)\b", text):
        return text
    return text[:1].lower() + text[1:]
