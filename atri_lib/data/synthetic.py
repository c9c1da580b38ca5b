"""A bank of procedurally generated sounds: no download, for tests and where recordings cannot be had."""

import json
import pathlib

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.sounds import Sound, bank_checksum, levelled

Rng = np.random.Generator
NAMES = pathlib.Path(__file__).with_name("synthetic_names.json")


class SyntheticBank:
    """29 sounds of 0.8 to 2 s, a function of the seed alone (pitches, rates and noise vary by about 10 %)."""

    def __init__(self, seed: int = 0):
        names = json.loads(NAMES.read_text(encoding="utf-8"))
        self.name = f"synthetic-{seed}"
        self.sounds = tuple(
            Sound(
                id=generate.__name__,
                waveform=levelled(generate(np.random.default_rng([seed, *generate.__name__.encode()]))),
                names=names[generate.__name__],
                source=f"{__name__}.{generate.__name__}",
                licence="Apache-2.0",
            )
            for generate in _GENERATORS
        )
        self.checksum = bank_checksum(self.sounds)


# Building blocks. t is time in seconds [samples], f a frequency in Hz (a number or [samples]).


def _time(rng: Rng, seconds: float) -> np.ndarray:
    return np.arange(int(np.clip(seconds * rng.uniform(0.9, 1.1), 0.8, 2.0) * SAMPLE_RATE)) / SAMPLE_RATE


def _vary(rng: Rng, value: float) -> float:
    return value * rng.uniform(0.9, 1.1)


def _tone(t: np.ndarray, f: float | np.ndarray, harmonics: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """Sum of amplitude * sin(multiple * phase), the phase integrating f."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f, t.shape)) / SAMPLE_RATE
    return sum(amplitude * np.sin(multiple * phase) for multiple, amplitude in enumerate(harmonics, 1))


def _noise(rng: Rng, t: np.ndarray, low: float, high: float) -> np.ndarray:
    """Unit-variance noise with Gaussian flanks around the band low..high Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(len(t)))
    f = np.fft.rfftfreq(len(t), 1 / SAMPLE_RATE)
    outside = np.maximum(low - f, 0) / (0.5 * low) + np.maximum(f - high, 0) / (0.5 * high)
    band = np.fft.irfft(spectrum * np.exp(-(outside**2)), len(t))
    return band / band.std()


def _since(t: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """Seconds since the last onset; infinite before the first."""
    last = np.searchsorted(onsets, t, side="right") - 1
    return np.where(last < 0, np.inf, t - onsets[np.maximum(last, 0)])


def _every(t: np.ndarray, period: float) -> np.ndarray:
    return _since(t, np.arange(0, t[-1], period))


def _struck(t: np.ndarray, partials: dict[float, float]) -> np.ndarray:
    """Partials f Hz -> decay in 1/s, each dying away from t = 0; the body of bells."""
    return sum(np.sin(2 * np.pi * f * t) * np.exp(-decay * t) for f, decay in partials.items())


def _swell(t: np.ndarray, rate: float) -> np.ndarray:
    """Linear fade in and out over 1 / rate seconds."""
    return np.minimum(1, rate * np.minimum(t, t[-1] - t))


# The sounds.


def alarm_clock(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.6)
    within = t % 0.5
    return _tone(t, _vary(rng, 2000), (1, 0, 0.4)) * ((within < 0.3) & (within % 0.08 < 0.04))


def siren(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.9)
    return _tone(t, _vary(rng, 800) * (1 + 0.35 * np.sin(2 * np.pi * _vary(rng, 1.1) * t)), (1, 0.4, 0.2))


def telephone(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.8)
    ring = np.sin(2 * np.pi * _vary(rng, 20) * t) > 0
    return (_tone(t, _vary(rng, 1300)) + _tone(t, _vary(rng, 1650))) * ring * (t % 0.9 < 0.6)


def beating_heart(rng: Rng) -> np.ndarray:
    t = _time(rng, 2.0)
    beat = _every(t, _vary(rng, 0.8))
    thump = np.exp(-25 * beat) + 0.7 * np.where(beat > 0.25, np.exp(-25 * (beat - 0.25)), 0)
    return _tone(t, _vary(rng, 60), (1, 0.5)) * thump


def clock(rng: Rng) -> np.ndarray:
    t = _time(rng, 2.0)
    return _noise(rng, t, 2000, 5000) * np.exp(-250 * _every(t, _vary(rng, 0.5)))


def church_bell(rng: Rng) -> np.ndarray:
    f = _vary(rng, 420)
    return _struck(_time(rng, 2.0), {0.5 * f: 1, f: 2, 1.2 * f: 2.5, 1.5 * f: 3, 2 * f: 3.5, 2.7 * f: 5})


def drum(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.2)
    hit = _every(t, _vary(rng, 0.4))
    return np.sin(2 * np.pi * _vary(rng, 110) * hit * np.exp(-hit)) * np.exp(-9 * hit)


def rain_shower(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.9)
    drops = (rng.random(len(t)) < 0.004) * rng.normal(0, 5, len(t))
    return 0.5 * _noise(rng, t, 1500, 6000) + np.convolve(drops, np.exp(-np.arange(60) / 10))[: len(t)]


def strong_wind(rng: Rng) -> np.ndarray:
    t = _time(rng, 2.0)
    gust = 0.6 + 0.4 * np.sin(2 * np.pi * _vary(rng, 0.8) * t + rng.uniform(0, 6))
    return _noise(rng, t, 200, 500) * gust + 0.3 * _noise(rng, t, 550, 650) * gust**2


def ocean_wave(rng: Rng) -> np.ndarray:
    t = _time(rng, 2.0)
    swell = np.sin(np.pi * t / t[-1]) ** 2
    return _noise(rng, t, 100, 900) * swell + _noise(rng, t, 1000, 5000) * swell**4


def clap_of_thunder(rng: Rng) -> np.ndarray:
    t = _time(rng, 2.0)
    return _noise(rng, t, 40, 150) * np.exp(-1.5 * t) + _noise(rng, t, 150, 2500) * np.exp(-7 * t)


def engine(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.7)
    return np.exp(-4 * (t * _vary(rng, 38) % 1)) * (1 + 0.4 * _noise(rng, t, 80, 600)) - 0.25


def helicopter(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.8)
    return _noise(rng, t, 80, 800) * np.exp(-4 * (t * _vary(rng, 12) % 1))


def propeller_plane(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.9)
    f = _vary(rng, 130) * (1.05 - 0.1 * t / t[-1])
    return _tone(t, f, tuple(1 / k for k in range(1, 12))) * np.sin(np.pi * t / t[-1])


def steam_locomotive(rng: Rng) -> np.ndarray:
    t = _time(rng, 2.0)
    return _noise(rng, t, 300, 3000) * np.exp(-8 * _every(t, _vary(rng, 0.3)))


def foghorn(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.8)
    return _tone(t, _vary(rng, 140), (1, 0.8, 0.6, 0.3, 0.2)) * _swell(t, 8)


def small_bird(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.4)
    note = _every(t, _vary(rng, 0.23))
    f = _vary(rng, 3600) + 1200 * np.sin(2 * np.pi * 9 * note)
    return _tone(t, f) * (note < 0.15) * np.sin(np.pi * note / 0.15)


def drop_of_water(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.4)
    fall = np.minimum(_every(t, _vary(rng, 0.45)), 10)
    return np.sin(2 * np.pi * (_vary(rng, 700) + 3000 * fall) * fall) * np.exp(-22 * fall)


def buzzer(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.0)
    return np.sign(_tone(t, _vary(rng, 180))) * (1 + 0.3 * np.sign(_tone(t, 95)))


def whistle(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.1)
    trill = 1 + 0.04 * np.sign(np.sin(2 * np.pi * 35 * t))
    return _tone(t, _vary(rng, 2500) * trill) + 0.2 * _noise(rng, t, 2000, 3500)


def rising_tone(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.3)
    return _tone(t, _vary(rng, 250) * 9 ** (t / t[-1]))


def falling_tone(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.3)
    return _tone(t, _vary(rng, 2250) * 9 ** (-t / t[-1]))


def typewriter(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.7)
    keys = np.cumsum(rng.uniform(0.09, 0.2, 30))
    return _noise(rng, t, 900, 4000) * np.exp(-90 * _since(t, keys))


def geiger_counter(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.8)
    return _noise(rng, t, 3000, 7000) * np.exp(-900 * _since(t, np.cumsum(rng.exponential(0.04, 200))))


def flute(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.6)
    vibrato = 1 + 0.01 * np.sin(2 * np.pi * 5.5 * t)
    breath = 0.08 * _noise(rng, t, 800, 4000)
    return (_tone(t, _vary(rng, 620) * vibrato, (1, 0.25, 0.08)) + breath) * _swell(t, 12)


def organ(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.9)
    root = _vary(rng, 260)
    return sum(_tone(t, root * step, (1, 0.7, 0.1, 0.5, 0, 0, 0, 0.3)) for step in (1, 1.25, 1.5))


def car_horn(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.1)
    f = _vary(rng, 410)
    honk = (t < 0.3) | (t > 0.5)
    return (_tone(t, f, (1, 0.9, 0.8, 0.6, 0.4, 0.3)) + _tone(t, 1.26 * f, (1, 0.9, 0.8, 0.6, 0.4))) * honk


def untuned_radio(rng: Rng) -> np.ndarray:
    t = _time(rng, 1.5)
    return rng.standard_normal(len(t)) + 0.3 * _tone(t, _vary(rng, 1000) * (1 + 0.5 * np.sin(2 * np.pi * 0.7 * t)))


def electronic_beep(rng: Rng) -> np.ndarray:
    t = _time(rng, 0.9)
    return _tone(t, _vary(rng, 1000)) * (t % 0.5 < 0.25)


_GENERATORS = (
    alarm_clock, siren, telephone, beating_heart, clock, church_bell, drum, rain_shower, strong_wind,
    ocean_wave, clap_of_thunder, engine, helicopter, propeller_plane, steam_locomotive, foghorn, small_bird,
    drop_of_water, buzzer, whistle, rising_tone, falling_tone, typewriter, geiger_counter, flute, organ,
    car_horn, untuned_radio, electronic_beep,
)
