"""Recordings of the Tux Paint stamps as a bank of sounds."""

import dataclasses
import pathlib
import sys

import numpy as np

from atri_lib import audio
from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.debian import package
from atri_lib.data.items import Bank
from atri_lib.data.kept import kept
from atri_lib.data.sounds import levelled, trimmed
from atri_lib.data.tux_paint import CORRECTIONS, EFFECT, bank_of_stamps
from atri_lib.recipe import RECIPE
from atri_lib.storage import cache_dir, checksum, read_json

NAME = "tuxpaint"
BOOK = "11f1918cd0c7de3d"  # checksum of the book's recordings


def recorded_sounds() -> Bank:
    """The stamps' sound effects, but for those that tuxpaint_names.json drops, of the installed
    package, else from the cache, else fetched.

    Where the sounds are not the book's, the bank's name and a notice on stderr say so.
    Raises BankUnavailable, UnreadableSound.
    """
    folder = package("stamps").find("[!.]*.ogg")
    corrections = read_json(CORRECTIONS)
    corrections.pop("_about", None)
    dropped = {}
    for stamp, correction in corrections.items():
        if "drop" in correction:
            dropped[stamp] = correction["why"]

    def heard(source: str) -> bool:
        return EFFECT.search(source) and pathlib.Path(source).stem not in dropped

    bank = bank_of_stamps(NAME, folder, heard, decoded)
    name = NAME
    if bank.checksum != BOOK:
        name = f"{NAME}, not the book's ({bank.checksum})"
        print(
            f"Notice: the {len(bank.items)} recordings under {folder} are not the book's, so its "
            "figures will not be met; remove that folder to have them fetched again.",
            file=sys.stderr,
        )
    return dataclasses.replace(bank, name=name, left_out=bank.left_out | dropped)


def decoded(path: pathlib.Path) -> np.ndarray:
    """The waveform of an audio file as in Item (silence: empty), from the cache if these bytes were
    decoded before. Raises UnreadableSound.
    """
    key = checksum(path.read_bytes(), RECIPE)
    waveform = kept(cache_dir("tuxpaint", "sounds") / key, lambda: decode(path))
    return np.array(waveform)


def decode(path: pathlib.Path) -> np.ndarray:
    """One audio file as mono 16 kHz, without rumble below 60 Hz, trimmed and levelled. Raises
    UnreadableSound.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    from torchaudio import functional

    mono = audio.mono_16k(*audio.read_mono(path, "float64"))  # equal bytes on every CPU
    if mono.size:
        mono /= np.abs(mono).max(initial=1.0)  # the filter clips what exceeds 1
        mono = functional.highpass_biquad(torch.from_numpy(mono), SAMPLE_RATE, 60.0).numpy()
    waveform = trimmed(mono)
    return levelled(waveform) if waveform.size else waveform
