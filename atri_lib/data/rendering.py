"""How a scene sounds: when its sounds begin, what distance does to them, the noise behind them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from atri_lib.audio import SAMPLE_RATE

FADE = 800  # samples: 50 ms, where a sound was cut to its slot
Variants = tuple[tuple[np.ndarray, np.ndarray], ...]  # per sound: near, far


class Slot(NamedTuple):
    """Where a sound of a scene is heard: from sample `start` to `stop` at the latest."""

    sound: int
    far: bool
    start: int
    stop: int


def slots(
    layout: str,
    heard: list[tuple[int, bool]],
    length: int,
    generator: np.random.Generator,
    variants: Variants,
) -> Iterator[Slot]:
    """Where the sounds of a scene, each with whether it is far, are heard in `length` samples."""
    if layout in ("single", "together"):
        starts = generator.integers(0, length // 8 + 1, size=len(heard))
        for (sound, far), start in zip(heard, starts, strict=True):
            yield Slot(sound, far, int(start), length)
        return
    if layout == "repeated":  # two to four times, as its length allows
        sound, far = heard[0]
        size = len(variants[sound][int(far)])
        heard = heard * int(np.clip(length // (size + length // 20), 2, 4))
    edges = np.linspace(0, length, len(heard) + 1).astype(int)
    if layout == "sequence":
        edges[1:-1] += generator.integers(-length // 20, length // 20 + 1, size=len(heard) - 1)
    for (sound, far), start, stop in zip(heard, edges[:-1], edges[1:], strict=True):
        yield Slot(sound, far, start, stop - length // 50)


def mixed(slots: Iterable[Slot], length: int, variants: Variants) -> np.ndarray:
    """The sounds of a scene, each in its slot: float32 [length]."""
    scene = np.zeros(length, np.float32)
    for slot in slots:
        wave = variants[slot.sound][int(slot.far)][: slot.stop - slot.start]
        end = slot.start + len(wave)
        scene[slot.start : end] += wave
        if end == slot.stop:
            fade = min(FADE, len(wave))
            scene[end - fade : end] -= wave[-fade:] * np.linspace(0, 1, fade, dtype=np.float32)
    return scene


def distant(waveform: np.ndarray, level: float) -> np.ndarray:
    """The sound from afar: quieter, without its high frequencies, with half a second of diffuse
    reverberation.
    """
    muffled = sosfilt(butter(2, 1800, fs=SAMPLE_RATE, output="sos"), waveform)
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    room = np.random.default_rng(7).standard_normal(len(time)) * np.exp(-time / 0.12)
    tail = fftconvolve(muffled, room / np.sqrt(np.sum(room**2)))
    wet = np.concatenate([muffled, np.zeros(len(time) - 1)]) + 0.5 * tail
    return (wet * 10 ** (level / 20)).astype(np.float32)


def noise(length: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of unit power, between white and brown."""
    white = generator.standard_normal(length).astype(np.float32)
    tilt = generator.uniform(0.0, 0.95)
    coloured = sosfilt(np.array([[1.0, 0, 0, 1.0, -tilt, 0]]), white)
    return (coloured * np.sqrt(1 - tilt**2)).astype(np.float32)
