"""Single sounds with a name in eight languages: what scenes are composed of."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.storage import checksum

LEVEL = 0.1  # root mean square of a sound's loudest 0.4 s
PEAK = 0.95
_FRAME = SAMPLE_RATE // 50


class SoundsUnavailable(RuntimeError):
    """The recordings, or pictures, are not on this machine and cannot be fetched; the message says
    what to do.
    """


@dataclass(frozen=True, eq=False)
class Sound:
    """One sound (or picture: `pictures.PictureBank`) and what it is called.

    waveform: float32 [samples], 16 kHz mono, |x| <= 0.95, rounded to 16 bits. names: per ISO 639-3
    code a singular noun phrase for use inside a sentence, with its article where the language has
    one ("a frog", "une grenouille", "ein Frosch" in the nominative, "カエル", "青蛙"); no two
    sounds of a bank share a name in any language.
    """

    id: str
    waveform: np.ndarray
    names: dict[str, str]
    source: str
    licence: str


class Bank(Protocol):
    """A set of sounds; checksum changes with any waveform, name or id."""

    name: str
    sounds: tuple[Sound, ...]
    checksum: str


def bank_checksum(sounds: tuple[Sound, ...]) -> str:
    """16 hex digits over ids, names and waveforms, in order."""
    parts = []
    for sound in sounds:
        parts += [sound.id, sound.names, sound.waveform]
    return checksum(*parts)


def trimmed(waveform: np.ndarray, below: float = 40.0) -> np.ndarray:
    """Cut leading and trailing 20 ms frames that are `below` dB under the loudest one; silence
    comes back empty.
    """
    padded = np.pad(waveform, (0, -len(waveform) % _FRAME))
    energy = np.square(padded, dtype=np.float64).reshape(-1, _FRAME).mean(axis=1)  # [frames]
    if not energy.size or energy.max() < 1e-8:
        return waveform[:0]
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-below / 10))
    return waveform[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME]


def levelled(waveform: np.ndarray) -> np.ndarray:
    """Scale the loudest 0.4 s to an RMS of 0.1 (less where the peak would pass 0.95), with 2 ms
    fades at the ends.

    float [samples] -> float32 [samples], rounded to 16 bits so that last-bit differences between
    machines vanish.
    """
    window = min(len(waveform), SAMPLE_RATE * 2 // 5)
    total = np.cumsum(np.square(np.concatenate([[0.0], waveform]), dtype=np.float64))
    loudest = np.sqrt((total[window:] - total[:-window]).max() / window)
    shaped = waveform * min(LEVEL / loudest, PEAK / np.abs(waveform).max())
    fade = np.linspace(0, 1, min(SAMPLE_RATE // 500, len(waveform)))
    shaped[: len(fade)] *= fade
    shaped[-len(fade) :] *= fade[::-1]
    return np.round(shaped * 2**15).astype(np.int16).astype(np.float32) / 2**15
