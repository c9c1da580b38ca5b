"""How a scene sounds: when its sounds begin, what distance does to them, the noise behind them."""

import numpy as np

from atri_lib.audio import SAMPLE_RATE

FADE = 800  # samples: 50 ms, where a sound was cut to its place


def mixed(
    layout: str, waves: list[np.ndarray], length: int, generator: np.random.Generator
) -> np.ndarray:
    """The sounds of a scene, each in its place: float32 [length]."""
    if layout in ("single", "together"):
        starts = generator.integers(0, length // 8 + 1, size=len(waves))
        stops = np.full(len(waves), length)
    else:
        if layout == "repeated":  # two to four times, as its length allows
            size = len(waves[0])
            waves = waves * int(np.clip(length // (size + length // 20), 2, 4))
        edges = np.linspace(0, length, len(waves) + 1).astype(int)
        if layout == "sequence":
            edges[1:-1] += generator.integers(-length // 20, length // 20 + 1, size=len(waves) - 1)
        starts = edges[:-1]
        stops = edges[1:] - length // 50
    scene = np.zeros(length, np.float32)
    for wave, start, stop in zip(waves, starts, stops, strict=True):
        heard = wave[: stop - start]
        end = start + len(heard)
        scene[start:end] += heard
        if end == stop:
            fade = min(FADE, len(heard))
            scene[end - fade : end] -= heard[-fade:] * np.linspace(0, 1, fade, dtype=np.float32)
    return scene


def distant(waveform: np.ndarray, level: float) -> np.ndarray:
    """The sound from afar: quieter, without its high frequencies, with half a second of diffuse
    reverberation.
    """
    # Here: to import it takes half a second, which captions do not need.
    from scipy.signal import butter, fftconvolve, sosfilt

    muffled = sosfilt(butter(2, 1800, fs=SAMPLE_RATE, output="sos"), waveform)
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    room = np.random.default_rng(7).standard_normal(len(time)) * np.exp(-time / 0.12)
    tail = fftconvolve(muffled, room / np.sqrt(np.sum(room**2)))
    wet = np.concatenate([muffled, np.zeros(len(time) - 1)]) + 0.5 * tail
    return (wet * 10 ** (level / 20)).astype(np.float32)


def noise(length: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of unit power, between white and brown."""
    from scipy.signal import sosfilt

    white = generator.standard_normal(length).astype(np.float32)
    tilt = generator.uniform(0.0, 0.95)
    coloured = sosfilt(np.array([[1.0, 0, 0, 1.0, -tilt, 0]]), white)
    return (coloured * np.sqrt(1 - tilt**2)).astype(np.float32)
