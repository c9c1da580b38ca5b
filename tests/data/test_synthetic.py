"""The synthetic bank is a function of its seed and has a sound for each name."""

import json

import numpy as np
import pytest

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data import synthetic
from atri_lib.data.synthetic import synthetic_sounds


def test_a_seed_gives_the_same_bytes_and_another_seed_gives_others():
    first, again, other = synthetic_sounds(3), synthetic_sounds(3), synthetic_sounds(4)
    assert first.checksum == again.checksum != other.checksum and first.name != other.name
    for a, b, c in zip(first.items, again.items, other.items, strict=True):
        assert a.content.tobytes() == b.content.tobytes() != c.content.tobytes()


@pytest.mark.parametrize("seed", range(5))
def test_sounds_last_between_0_8_and_2_seconds_and_have_no_offset(seed):
    for sound in synthetic_sounds(seed).items:
        assert 0.8 <= len(sound.content) / SAMPLE_RATE <= 2.0
        assert abs(sound.content.mean()) < 0.01, sound.id


def test_there_are_at_least_24_sounds_and_each_has_its_names():
    ids = [sound.id for sound in synthetic_sounds().items]
    assert len(ids) >= 24 and ids == list(json.loads(synthetic.SOUNDS.read_text(encoding="utf-8")))


def test_sounds_differ_more_between_names_than_between_seeds():
    def timbre(wave):  # mean and deviation over time of log magnitudes in 40 bands
        frames = np.lib.stride_tricks.sliding_window_view(wave, 512)[::256] * np.hanning(512)
        bands = np.abs(np.fft.rfft(frames))[:, 1:241].reshape(-1, 40, 6).mean(axis=2)
        return np.concatenate([np.log(bands + 1e-2).mean(axis=0), np.log(bands + 1e-2).std(axis=0)])

    a, b = (np.stack([timbre(s.content) for s in synthetic_sounds(seed).items]) for seed in (0, 1))
    distance = np.linalg.norm(a[:, None] - b[None], axis=-1)  # [sounds, sounds]
    assert (distance.argmin(axis=1) == np.arange(len(a))).mean() > 0.9
