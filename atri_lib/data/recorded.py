"""Tux Paint's stamps (Debian package tuxpaint-stamps-default, GPL-2.0-or-later): their recordings
as a bank of sounds, and banks of their files with native captions in eight languages.
"""

import dataclasses
import pathlib
import re
import sys
from collections.abc import Callable, Collection, Mapping

import numpy as np

from atri_lib import audio
from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.debian import package
from atri_lib.data.items import Bank, bank_of
from atri_lib.data.kept import kept
from atri_lib.languages import LANGUAGES
from atri_lib.recipe import RECIPE
from atri_lib.storage import cache_dir, checksum, read_json

NAME = "tuxpaint"
LEVEL = 0.1  # root mean square of a sound's loudest 0.4 s
PEAK = 0.95
FRAME = SAMPLE_RATE // 50
BOOK = "11f1918cd0c7de3d"  # checksum of the book's recordings
LICENCE = "GPL-2.0-or-later"
# What the banks change in the stamps' captions, by file names without suffix. why: the reason,
# checked against the recording; drop: the sound is left out; a language code: the name used instead
# of the volunteers' caption, a singular noun phrase (German: nominative).
CORRECTIONS = pathlib.Path(__file__).with_name("tuxpaint_names.json")
# by their paths below `stamps`: not a symbol's name, a spoken description, a game's rule
EFFECT = re.compile(r"^(?!symbols/|.*(_desc|dreydl)).*\.ogg$")
# not of a symbol or a flag
PICTURE = re.compile(r"^(?!.*(symbols|flags|roadsigns)/).*\.png$")


def recorded_sounds() -> Bank:
    """The stamps' sound effects, but for those that tuxpaint_names.json drops, of the installed
    package, else from the cache, else fetched.

    Where the sounds are not the book's, the bank's name and a notice on stderr say so.
    Raises BankUnavailable, UnreadableSound.
    """
    folder = package("stamps").find("[!.]*.ogg")
    dropped = {}
    for stamp, correction in read_json(CORRECTIONS).items():
        if "drop" in correction:
            dropped[stamp] = correction["why"]
    bank = bank_of_stamps(NAME, folder, EFFECT, decoded, dropped)
    bank.left_out.update(dropped)
    if bank.checksum == BOOK:
        return bank
    print(
        f"Notice: the {len(bank.items)} recordings under {folder} are not the book's, so its "
        "figures will not be met; remove that folder to have them fetched again.",
        file=sys.stderr,
    )
    return dataclasses.replace(bank, name=f"{NAME}, not the book's ({bank.checksum})")


def bank_of_stamps(
    name: str,
    folder: pathlib.Path,
    wanted: re.Pattern,
    content: Callable[[pathlib.Path], np.ndarray],
    dropped: Collection[str] = (),
) -> Bank:
    """The stamps' files of which the path below the folder is wanted, under their captions as
    tuxpaint_names.json corrects them.

    content: an item's, of its file; dropped: stamps that are not taken. Raises BankUnavailable
    where there are none.
    """
    corrections = read_json(CORRECTIONS)
    called = {}
    for path in sorted(folder.rglob("[!.]*.*")):  # macOS leaves "._name" beside a file
        source = path.relative_to(folder).as_posix()
        if wanted.search(source) and path.stem not in dropped:
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
        return re.sub("^一[只个道]", "", text.replace(" ", ""))
    if code == "deu" and not re.match(r"(Ein|Eine|Der|Die|Das)\b", text):
        return text
    return text[:1].lower() + text[1:]


def decoded(path: pathlib.Path) -> np.ndarray:
    """The waveform of an audio file as in Item (silence: empty), from the cache if these bytes were
    decoded before. Raises UnreadableSound.
    """
    key = checksum(path.read_bytes(), RECIPE)
    waveform = kept(cache_dir("tuxpaint", "sounds") / key, lambda: decode(path))
    return np.array(waveform)


def decode(path: pathlib.Path) -> np.ndarray:
    """One audio file as mono 16 kHz, without rumble below 60 Hz, trimmed and levelled; silence is
    empty. Raises UnreadableSound.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    from torchaudio import functional

    mono = audio.mono_16k(*audio.read_mono(path, "float64"))  # equal bytes on every CPU
    if not mono.any():
        return mono[:0]
    mono /= np.abs(mono).max(initial=1.0)  # the filter clips what exceeds 1
    heard = functional.highpass_biquad(torch.from_numpy(mono), SAMPLE_RATE, 60.0).numpy()
    return levelled(trimmed(heard))


def trimmed(waveform: np.ndarray) -> np.ndarray:
    """Cut leading and trailing 20 ms frames that are 40 dB under the loudest one; silence comes
    back empty.
    """
    padded = np.pad(waveform, (0, -len(waveform) % FRAME))
    energy = np.square(padded).reshape(-1, FRAME).mean(axis=1)  # [frames]
    loudest = energy.max(initial=0)
    if loudest < 1e-8:
        return waveform[:0]
    loud = np.flatnonzero(energy >= 1e-4 * loudest)
    return waveform[loud[0] * FRAME : (loud[-1] + 1) * FRAME]


def levelled(waveform: np.ndarray) -> np.ndarray:
    """Scale the loudest 0.4 s to an RMS of 0.1 (less where the peak would pass 0.95), with 2 ms
    fades at the ends; silence is left alone.

    float64 [samples] -> float32 [samples], rounded to 16 bits so that last-bit differences between
    machines vanish.
    """
    if not waveform.size:
        return waveform
    window = min(len(waveform), SAMPLE_RATE * 2 // 5)
    total = np.cumsum(np.square(np.append(0, waveform)))
    power = (total[window:] - total[:-window]).max() / window
    peak = np.abs(waveform).max()
    shaped = waveform * min(LEVEL / np.sqrt(power), PEAK / peak)
    fade = np.linspace(0, 1, min(SAMPLE_RATE // 500, len(waveform)))
    shaped[: len(fade)] *= fade
    shaped[-len(fade) :] *= fade[::-1]
    return np.round(shaped * 2**15).astype(np.int16) / np.float32(2**15)
