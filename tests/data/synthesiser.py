"""What has made the synthetic sounds, atri_lib/data/synthetic_sounds/*.flac."""

import json
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.recorded import levelled

# per sound its length in seconds, and its voices
VOICES = json.loads(pathlib.Path(__file__).with_name("synthesiser.json").read_text())


def synthesised(name: str) -> np.ndarray:
    """A sound as in Item."""
    generator = np.random.default_rng([*name.encode()])
    time = np.arange(int(VOICES[name]["seconds"] * SAMPLE_RATE)) / SAMPLE_RATE
    mixed = np.zeros(len(time))
    for voice in VOICES[name]["voices"]:
        mixed += Voice(**voice).heard(time, generator)
    return levelled(mixed)


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
        filtered = sosfilt(butter(2, self.noise, "band", fs=SAMPLE_RATE, output="sos"), white)
        return filtered / filtered.std()
