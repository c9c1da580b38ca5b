"""Sounds as bytes that a browser plays."""

import io

import numpy as np


def encoded(samples: np.ndarray, rate: int, kind: str, level: float, **options) -> bytes:
    """Samples at a rate as "OGG" or "MP3"; level: of compression, from 0 (the best) to 1."""
    import soundfile

    codec = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}[kind]
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, codec, format=kind, compression_level=level, **options)
    return stream.getvalue()
