"""How a scene sounds: when its sounds begin, what distance does to them, the noise behind them."""

import numpy as np

from atri_lib.audio import SAMPLE_RATE

FADE = 800  # samples: 50 ms, where a sound was cut to its place
RAMP = np.linspace(0, 1, FADE, dtype=np.float32)


def mixed(
    layout: str, waves: list[np.ndarray], length: int, generator: np.random.Generator
) -> np.ndarray:
    """The sounds of a scene, each in its place: float32 [length]."""
    scene = np.zeros(length, np.float32)
    if layout in ("single", "together"):
        starts = generator.integers(0, length // 8 + 1, size=len(waves))
        stops = [length] * len(waves)
    else:
        gap = length // 20
        if layout == "repeated":  # two to four times, as its length allows
            times = length // (len(waves[0]) + gap)
            waves = waves * min(max(times, 2), 4)
        starts = np.linspace(0, length, len(waves) + 1).astype(int)
        if layout == "sequence":
            starts[1:-1] += generator.integers(-gap, gap + 1, size=len(waves) - 1)
        stops = starts[1:] - length // 50
    for wave, start, stop in zip(waves, starts, stops, strict=False):
        heard = wave[: stop - start]
        end = start + len(heard)
        scene[start:end] += heard
        if end == stop:
            scene[end - FADE : end] -= heard[-FADE:] * RAMP
    return scene


def distant(waveform: np.ndarray, level: float) -> np.ndarray:
    """The sound from afar: quieter, without its high frequencies, with half a second of diffuse
    reverberation.
    """
    # Here: to import it takes half a second, which captions do not need.
    from scipy.signal import butter, fftconvolve, sosfilt

    low_pass = butter(2, 1800, fs=SAMPLE_RATE, output="sos")
    muffled = sosfilt(low_pass, waveform)
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    room = np.random.default_rng(7).standard_normal(len(time)) * np.exp(-time / 0.12)
    room /= np.sqrt(np.sum(room**2))
    wet = 0.5 * fftconvolve(muffled, room)
    wet[: len(muffled)] += muffled
    wet *= 10 ** (level / 20)
    return wet.astype(np.float32)


def noise(length: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of unit power, between white and brown."""
    from scipy.signal import lfilter

    white = generator.standard_normal(length).astype(np.float32)
    tilt = generator.uniform(0.0, 0.95)
    coloured = lfilter([1.0], [1.0, -tilt], white)
    coloured *= np.sqrt(1 - tilt**2)
    return coloured.astype(np.float32)
