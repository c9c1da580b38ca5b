"""A bank of procedurally generated sounds: no download, for tests and where recordings cannot be
had.
"""

import pathlib

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data import synthetic_formulas
from atri_lib.data.items import Item, bank_checksum
from atri_lib.data.sounds import levelled
from atri_lib.storage import read_json

SOUNDS = pathlib.Path(__file__).with_name("synthetic_sounds.json")


class SyntheticBank:
    """29 sounds of 0.8 to 2 s, a function of the seed alone (pitches, rates and noise vary by about
    10 %).
    """

    def __init__(self, seed: int = 0):
        sounds = []
        for name, sound in read_json(SOUNDS).items():
            generator = np.random.default_rng([seed, *name.encode()])
            formula = getattr(synthetic_formulas, name)
            waveform = levelled(formula(Draw(generator, sound["seconds"])))
            source = f"{__name__}.{name}"
            sounds.append(Item(name, waveform, sound["names"], source, licence="Apache-2.0"))
        self.name = f"synthetic-{seed}"
        self.items = tuple(sounds)
        self.checksum = bank_checksum(self.items)


class Draw:
    """What a formula makes its sound of: tones, bands of noise, decay.

    t: time in seconds [samples]; f: a frequency in Hz, one or [samples].
    """

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        self.rng = rng
        lasting = np.clip(self.vary(seconds), 0.8, 2.0)
        self.t = np.arange(int(lasting * SAMPLE_RATE)) / SAMPLE_RATE
        self.arch = np.sin(np.pi * self.t / self.t[-1])  # up and down once

    def vary(self, value: float) -> float:
        return value * self.rng.uniform(0.9, 1.1)

    def sine(self, f: float, phase: float = 0.0) -> np.ndarray:
        return np.sin(2 * np.pi * f * self.t + phase)

    def tone(self, f: float | np.ndarray, harmonics: tuple[float, ...] = (1.0,)) -> np.ndarray:
        """Sum of amplitude * sin(multiple * phase), the phase integrating f."""
        phase = 2 * np.pi * np.cumsum(np.broadcast_to(f, self.t.shape)) / SAMPLE_RATE
        return sum(a * np.sin(multiple * phase) for multiple, a in enumerate(harmonics, start=1))

    def noise(self, low: float, high: float) -> np.ndarray:
        """Unit-variance noise with Gaussian flanks around the band low..high Hz."""
        spectrum = np.fft.rfft(self.rng.standard_normal(len(self.t)))
        f = np.fft.rfftfreq(len(self.t), 1 / SAMPLE_RATE)
        below = np.maximum(low - f, 0) / (0.5 * low)
        above = np.maximum(f - high, 0) / (0.5 * high)
        outside = below + above
        band = np.fft.irfft(spectrum * np.exp(-(outside**2)), len(self.t))
        return band / band.std()

    def since(self, onsets: np.ndarray) -> np.ndarray:
        """Seconds since the last onset; infinite before the first."""
        last = np.searchsorted(onsets, self.t, side="right") - 1
        return np.where(last < 0, np.inf, self.t - onsets[np.maximum(last, 0)])

    def every(self, period: float) -> np.ndarray:
        """Seconds since the last of regular onsets."""
        return self.since(np.arange(0, self.t[-1], period))

    def swell(self, rate: float) -> np.ndarray:
        """Linear fade in and out over 1 / rate seconds."""
        return np.minimum(1, rate * np.minimum(self.t, self.t[-1] - self.t))
