"""Sounds as bytes that every browser plays."""

import io

import numpy as np


def mp3(samples: np.ndarray, rate: int, level: float) -> bytes:
    """Samples at a rate as MP3; level: of compression, from 0 (the best) to 1."""
    import soundfile

    stream = io.BytesIO()
    options = {"format": "MP3", "compression_level": level, "bitrate_mode": "CONSTANT"}
    soundfile.write(stream, samples, rate, **options)
    return stream.getvalue()
