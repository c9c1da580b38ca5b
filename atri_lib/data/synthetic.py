"""Sounds made by a small synthesiser: no download, for tests and where recordings cannot be had."""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.items import Bank, bank_of
from atri_lib.data.sounds import levelled
from atri_lib.storage import read_json

# per sound its names, its length in seconds, and its voices
SOUNDS = pathlib.Path(__file__).with_name("synthetic_sounds.json")


def synthetic_sounds() -> Bank:
    """29 sounds of 0.8 to 2 s, the same ones each time."""
    sounds = read_json(SOUNDS)

    def heard(name: str) -> np.ndarray:
        generator = np.random.default_rng([*name.encode()])
        time = np.arange(int(sounds[name]["seconds"] * SAMPLE_RATE)) / SAMPLE_RATE
        mixed = np.zeros(len(time))
        for voice in sounds[name]["voices"]:
            mixed += Voice(**voice).heard(time, generator)
        return levelled(mixed)

    called = {name: sound["names"] for name, sound in sounds.items()}
    return bank_of("synthetic", called, heard, "Apache-2.0")


@dataclass
class Voice:
    """A tone, or noise, in strokes.

    pitch: in Hz; harmonics: their amplitudes; glide: what the pitch is multiplied by in a second of
    a stroke; wobble: how much it swings, and how often a second. noise: its band in Hz, in place of
    a tone. every: seconds from stroke to stroke, varied by a share `jitter`; lasting: seconds of a
    stroke; decay: its rate in 1/s. swell: the higher, the more of the sound's ends is soft.
    """

    pitch: float = 0
    harmonics: Sequence[float] = (1,)
    glide: float = 1
    wobble: Sequence[float] = (0, 0)
    noise: Sequence[float] = ()
    level: float = 1
    every: float = 10
    jitter: float = 0
    lasting: float = 10
    decay: float = 0
    swell: float = 0

    def heard(self, time: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """float64 [samples], at so many seconds each."""
        count = int(3 * time[-1] / self.every) + 1
        varied = generator.uniform(1 - self.jitter, 1 + self.jitter, count)
        strokes = np.append(0, np.cumsum(self.every * varied))
        since = time - strokes[np.searchsorted(strokes, time, side="right") - 1]
        if self.noise:
            wave = self.band(generator.standard_normal(len(time)))
        else:
            wave = self.tone(time, since)
        loudness = self.level * np.sin(np.pi * time / time[-1]) ** self.swell
        return wave * loudness * np.exp(-self.decay * since) * (since < self.lasting)

    def tone(self, time: np.ndarray, since: np.ndarray) -> np.ndarray:
        """since: seconds since the stroke's beginning."""
        swing, rate = self.wobble
        bent = self.glide**since * (1 + swing * np.sin(2 * np.pi * rate * time))
        phase = 2 * np.pi * self.pitch * time[1] * np.cumsum(bent)
        orders = 1 + np.arange(len(self.harmonics))
        return np.sin(np.outer(phase, orders)) @ self.harmonics

    def band(self, white: np.ndarray) -> np.ndarray:
        # here: to import it takes half a second
        from scipy.signal import butter, sosfilt

        filtered = sosfilt(butter(2, self.noise, "band", fs=SAMPLE_RATE, output="sos"), white)
        return filtered / filtered.std()
