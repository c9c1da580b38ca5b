"""How a single sound is cut and levelled."""

import numpy as np

from atri_lib.audio import SAMPLE_RATE

LEVEL = 0.1  # root mean square of a sound's loudest 0.4 s
PEAK = 0.95
_FRAME = SAMPLE_RATE // 50


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
