"""A bank of procedurally generated sounds: no download, for tests and where recordings cannot be
had.
"""

import json
import pathlib
from collections.abc import Callable

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.sounds import Sound, bank_checksum, levelled

NAMES = pathlib.Path(__file__).with_name("synthetic_names.json")


class SyntheticBank:
    """29 sounds of 0.8 to 2 s, a function of the seed alone (pitches, rates and noise vary by about
    10 %).
    """

    def __init__(self, seed: int = 0):
        names = json.loads(NAMES.read_text(encoding="utf-8"))
        self.name = f"synthetic-{seed}"
        self.sounds = tuple(
            Sound(
                id=name,
                waveform=levelled(
                    formula(Draw(np.random.default_rng([seed, *name.encode()]), seconds))
                ),
                names=names[name],
                source=f"{__name__}.{name}",
                licence="Apache-2.0",
            )
            for name, (seconds, formula) in SOUNDS.items()
        )
        self.checksum = bank_checksum(self.sounds)


class Draw:
    """What a formula is made of. t: time in seconds [samples]; f: a frequency in Hz, one or
    [samples].
    """

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        self.rng = rng
        self.t = np.arange(int(np.clip(self.vary(seconds), 0.8, 2.0) * SAMPLE_RATE)) / SAMPLE_RATE
        self.arch = np.sin(np.pi * self.t / self.t[-1])  # up and down once

    def vary(self, value: float) -> float:
        return value * self.rng.uniform(0.9, 1.1)

    def sine(self, f: float, phase: float = 0.0) -> np.ndarray:
        return np.sin(2 * np.pi * f * self.t + phase)

    def tone(self, f: float | np.ndarray, harmonics: tuple[float, ...] = (1.0,)) -> np.ndarray:
        """Sum of amplitude * sin(multiple * phase), the phase integrating f."""
        phase = 2 * np.pi * np.cumsum(np.broadcast_to(f, self.t.shape)) / SAMPLE_RATE
        return sum(
            amplitude * np.sin(multiple * phase) for multiple, amplitude in enumerate(harmonics, 1)
        )

    def struck(self, f: float, partials: dict[float, float]) -> np.ndarray:
        """Partials, multiple of f -> decay in 1/s, each dying away from t = 0; the body of
        bells.
        """
        return sum(
            self.sine(multiple * f) * np.exp(-decay * self.t)
            for multiple, decay in partials.items()
        )

    def noise(self, low: float, high: float) -> np.ndarray:
        """Unit-variance noise with Gaussian flanks around the band low..high Hz."""
        spectrum = np.fft.rfft(self.rng.standard_normal(len(self.t)))
        f = np.fft.rfftfreq(len(self.t), 1 / SAMPLE_RATE)
        outside = np.maximum(low - f, 0) / (0.5 * low) + np.maximum(f - high, 0) / (0.5 * high)
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


# name -> seconds, formula; what a formula draws first comes first in it
SOUNDS: dict[str, tuple[float, Callable[[Draw], np.ndarray]]] = {
    "alarm_clock": (1.6, lambda d: (
        d.tone(d.vary(2000), (1, 0, 0.4)) * (d.t % 0.5 < 0.3) * (d.t % 0.5 % 0.08 < 0.04))),
    "siren": (1.9, lambda d: d.tone(d.vary(800) * (1 + 0.35 * d.sine(d.vary(1.1))), (1, 0.4, 0.2))),
    "telephone": (1.8, lambda d: (
        (d.sine(d.vary(20)) > 0) * (d.t % 0.9 < 0.6) * (d.tone(d.vary(1300)) + d.tone(d.vary(1650))))),
    "beating_heart": (2.0, lambda d: (
        (np.exp(-25 * (beat := d.every(d.vary(0.8)))) + 0.7 * np.where(beat > 0.25, np.exp(-25 * (beat - 0.25)), 0))
        * d.tone(d.vary(60), (1, 0.5)))),
    "clock": (2.0, lambda d: d.noise(2000, 5000) * np.exp(-250 * d.every(d.vary(0.5)))),
    "church_bell": (2.0, lambda d: d.struck(d.vary(420), {0.5: 1, 1: 2, 1.2: 2.5, 1.5: 3, 2: 3.5, 2.7: 5})),
    "drum": (1.2, lambda d: (
        np.exp(-9 * (hit := d.every(d.vary(0.4)))) * np.sin(2 * np.pi * d.vary(110) * hit * np.exp(-hit)))),
    "rain_shower": (1.9, lambda d: (
        np.convolve(
            (d.rng.random(len(d.t)) < 0.004) * d.rng.normal(0, 5, len(d.t)), np.exp(-np.arange(60) / 10)
        )[: len(d.t)] + 0.5 * d.noise(1500, 6000))),
    "strong_wind": (2.0, lambda d: (
        (gust := 0.6 + 0.4 * d.sine(d.vary(0.8), d.rng.uniform(0, 6))) * d.noise(200, 500)
        + 0.3 * d.noise(550, 650) * gust**2)),
    "ocean_wave": (2.0, lambda d: d.noise(100, 900) * d.arch**2 + d.noise(1000, 5000) * (d.arch**2) ** 4),
    "clap_of_thunder": (2.0, lambda d: (
        d.noise(40, 150) * np.exp(-1.5 * d.t) + d.noise(150, 2500) * np.exp(-7 * d.t))),
    "engine": (1.7, lambda d: np.exp(-4 * (d.t * d.vary(38) % 1)) * (1 + 0.4 * d.noise(80, 600)) - 0.25),
    "helicopter": (1.8, lambda d: d.noise(80, 800) * np.exp(-4 * (d.t * d.vary(12) % 1))),
    "propeller_plane": (1.9, lambda d: (
        d.tone(d.vary(130) * (1.05 - 0.1 * d.t / d.t[-1]), tuple(1 / k for k in range(1, 12))) * d.arch)),
    "steam_locomotive": (2.0, lambda d: d.noise(300, 3000) * np.exp(-8 * d.every(d.vary(0.3)))),
    "foghorn": (1.8, lambda d: d.tone(d.vary(140), (1, 0.8, 0.6, 0.3, 0.2)) * d.swell(8)),
    "small_bird": (1.4, lambda d: (
        np.sin(np.pi * (note := d.every(d.vary(0.23))) / 0.15) * (note < 0.15)
        * d.tone(d.vary(3600) + 1200 * np.sin(2 * np.pi * 9 * note)))),
    "drop_of_water": (1.4, lambda d: (
        np.exp(-22 * (fall := d.every(d.vary(0.45)))) * np.sin(2 * np.pi * (d.vary(700) + 3000 * fall) * fall))),
    "buzzer": (1.0, lambda d: np.sign(d.tone(d.vary(180))) * (1 + 0.3 * np.sign(d.tone(95)))),
    "whistle": (1.1, lambda d: (
        d.tone(d.vary(2500) * (1 + 0.04 * np.sign(d.sine(35)))) + 0.2 * d.noise(2000, 3500))),
    "rising_tone": (1.3, lambda d: d.tone(d.vary(250) * 9 ** (d.t / d.t[-1]))),
    "falling_tone": (1.3, lambda d: d.tone(d.vary(2250) * 9 ** (-d.t / d.t[-1]))),
    "typewriter": (1.7, lambda d: (
        np.exp(-90 * d.since(np.cumsum(d.rng.uniform(0.09, 0.2, 30)))) * d.noise(900, 4000))),
    "geiger_counter": (1.8, lambda d: (
        d.noise(3000, 7000) * np.exp(-900 * d.since(np.cumsum(d.rng.exponential(0.04, 200)))))),
    "flute": (1.6, lambda d: (
        (0.08 * d.noise(800, 4000) + d.tone(d.vary(620) * (1 + 0.01 * d.sine(5.5)), (1, 0.25, 0.08))) * d.swell(12))),
    "organ": (1.9, lambda d: (
        sum(d.tone(f, (1, 0.7, 0.1, 0.5, 0, 0, 0, 0.3)) for f in d.vary(260) * np.array([1, 1.25, 1.5])))),
    "car_horn": (1.1, lambda d: (
        (d.tone((f := d.vary(410)), (1, 0.9, 0.8, 0.6, 0.4, 0.3)) + d.tone(1.26 * f, (1, 0.9, 0.8, 0.6, 0.4)))
        * ((d.t < 0.3) | (d.t > 0.5)))),
    "untuned_radio": (1.5, lambda d: (
        d.rng.standard_normal(len(d.t)) + 0.3 * d.tone(d.vary(1000) * (1 + 0.5 * d.sine(0.7))))),
    "electronic_beep": (0.9, lambda d: d.tone(d.vary(1000)) * (d.t % 0.5 < 0.25)),
}  # fmt: skip
