"""Recordings of the Tux Paint stamps (Debian package tuxpaint-stamps-default, GPL-2.0-or-later) as
a sound bank.
"""

import contextlib
import os
import pathlib
import re
import sys
import zipfile
from collections.abc import Mapping

import numpy as np

from atri_lib import audio
from atri_lib.audio import SAMPLE_RATE, UnreadableSound
from atri_lib.data.items import BankUnavailable, Item, bank_checksum
from atri_lib.data.sounds import levelled, trimmed
from atri_lib.data.tux_paint import find_stamps, is_effect
from atri_lib.languages import CODES, LANGUAGES
from atri_lib.progress import progress
from atri_lib.recipe import RECIPE
from atri_lib.storage import atomic_path, cache_dir, checksum, read_json

LICENCE = "GPL-2.0-or-later"
CORRECTIONS = pathlib.Path(__file__).with_name("tuxpaint_names.json")
BOOK = pathlib.Path(__file__).with_name("tuxpaint_sounds.json")  # checksums of the book's sounds


class RecordedBank:
    """The stamps' sound effects under their native captions in eight languages.

    folder: a `stamps` folder; None looks for the installed package, then the cache, then fetches
    the package. corrections: per sound id {"why": ..., code: name, ...} or {"why": ..., "drop":
    true}; None: tuxpaint_names.json. left_out: why each sound that is not in `items` was left out.
    Where the sounds are not the book's, name says so and a notice on stderr names the files. Raises
    BankUnavailable, UnreadableSound.
    """

    name = "tuxpaint"

    def __init__(
        self,
        folder: str | os.PathLike | None = None,
        corrections: Mapping[str, Mapping] | None = None,
    ):
        self.folder = pathlib.Path(folder or find_stamps())
        self.left_out: dict[str, str] = {}
        chosen = self._chosen(read_json(CORRECTIONS) if corrections is None else corrections)
        waveforms = decoded(list(chosen))
        sounds = []
        for path, names in chosen.items():
            if waveforms[path].size:
                source = path.relative_to(self.folder).as_posix()
                sounds.append(Item(path.stem, waveforms[path], names, source, LICENCE))
            else:
                self.left_out[path.stem] = "silent"
        if not sounds:
            raise BankUnavailable(
                f"no sound effects with captions in eight languages under {self.folder}: "
                "give RecordedBank the folder `stamps` of Tux Paint, "
                "or remove this one to have it fetched again"
            )
        self.items = tuple(sounds)
        self.checksum = bank_checksum(self.items)
        others = self.unlike_the_book() if corrections is None else []
        if others:
            self.name = f"tuxpaint, not the book's ({self.checksum})"
            print(
                f"Notice: the recordings under {self.folder} are not the book's, so its figures "
                f"will not be met ({len(others)} differ: {', '.join(others[:5])}). "
                "Remove that folder to have them fetched again.",
                file=sys.stderr,
            )

    def _chosen(self, corrected: Mapping[str, Mapping]) -> dict[pathlib.Path, dict[str, str]]:
        """The files to be used and their names; notes in `left_out` why others are not."""
        chosen: dict[pathlib.Path, dict[str, str]] = {}
        taken = set()  # (language code, name)
        for path in sorted(self.folder.rglob("*.ogg")):
            if not is_effect(path.relative_to(self.folder)):
                continue
            correction = corrected.get(path.stem, {})
            names = sound_names(path.with_suffix(".txt"), correction)
            missing = [code for code in CODES if code not in names]
            doubled = [name for code, name in names.items() if (code, name) in taken]
            if correction.get("drop"):
                self.left_out[path.stem] = correction["why"]
            elif missing:
                self.left_out[path.stem] = f"no caption in {', '.join(missing)}"
            elif doubled:
                self.left_out[path.stem] = f"another sound has the name {doubled[0]!r}"
            else:
                chosen[path] = names
                taken.update(names.items())
        return chosen

    def unlike_the_book(self) -> list[str]:
        """Files that are missing, that are altered (or the caption beside them), and that the book
        does not use.
        """
        own = self.file_sums()
        faults = []
        for name, expected in read_json(BOOK).items():
            found = own.pop(name, None)
            if found is None:
                faults.append(f"{name} is missing")
            elif found != expected:
                faults.append(f"{name} is altered")
        return faults + [f"{name} is new" for name in own]

    def file_sums(self) -> dict[str, str]:
        """Checksum of every sound's file and names, by its path: what BOOK holds for the book's
        recordings.
        """
        sums = {}
        for sound in self.items:
            content = (self.folder / sound.source).read_bytes()
            sums[sound.source] = checksum(content, sound.names)
        return sums


def sound_names(caption_file: pathlib.Path, correction: Mapping) -> dict[str, str]:
    """Noun phrases per language code from NAME.txt (line 1 English, then
    `<locale>.utf8=<caption>`), corrected.

    Languages without a caption are absent; a caption file that does not exist counts as empty.
    """
    text = ""
    if caption_file.exists():
        text = caption_file.read_text(encoding="utf-8-sig", errors="replace")
    captions = {}
    for line in f"en.utf8={text}".splitlines():
        locale, _, caption = line.partition("=")
        captions[locale] = caption
    names = {}
    for language in LANGUAGES:
        caption = captions.get(f"{language.locale}.utf8", "")
        name = correction.get(language.code, noun_phrase(caption, language.code))
        if name:
            names[language.code] = name
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


def decoded(paths: list[pathlib.Path]) -> dict[pathlib.Path, np.ndarray]:
    """The waveforms of audio files as in Item (silence: empty), from the cache if these bytes were
    decoded before.
    """
    key = checksum(*(path.read_bytes() for path in paths), RECIPE)
    cached = cache_dir("tuxpaint") / f"waveforms-{key}.npz"
    names = [f"arr_{number}" for number in range(len(paths))]
    # RuntimeError, NotImplementedError: an altered header asks for a password, or another packing
    absent_or_damaged = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile)
    with contextlib.suppress(*absent_or_damaged), np.load(cached) as arrays:
        if arrays.files == names and arrays.zip.testzip() is None:  # no checksum differs
            return dict(zip(paths, arrays.values(), strict=True))
    waveforms = [decode(path) for path in progress(paths, "decoding the recordings")]
    with atomic_path(cached) as partial:
        np.savez(partial, *waveforms)
    return dict(zip(paths, waveforms, strict=True))


def decode(path: pathlib.Path) -> np.ndarray:
    """One audio file as mono 16 kHz, without rumble below 60 Hz, trimmed and levelled. Raises
    UnreadableSound.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    from torchaudio import functional

    try:
        mono = audio.mono_16k(*audio.read_mono(path, "float64"))  # equal bytes on every CPU
    except UnreadableSound as reason:
        advice = "or remove the stamps folder it is in to have it fetched again"
        raise UnreadableSound(f"{reason}, {advice}") from None
    if mono.size:
        mono /= np.abs(mono).max(initial=1.0)  # the filter clips what exceeds 1
        mono = functional.highpass_biquad(torch.from_numpy(mono), SAMPLE_RATE, 60.0).numpy()
    waveform = trimmed(mono)
    return levelled(waveform) if waveform.size else np.zeros(0, np.float32)
