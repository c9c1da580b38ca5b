"""The synthetic bank is what the synthesiser makes and has a sound for each name."""

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data import synthetic
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.storage import read_json
from tests.data.synthesiser import synthesised


def test_the_sounds_are_what_the_synthesiser_makes():
    for sound in synthetic_sounds().items:
        assert np.abs(sound.content - synthesised(sound.id)).max() <= 2**-15, sound.id


def test_sounds_last_between_0_8_and_2_seconds_and_have_no_offset():
    for sound in synthetic_sounds().items:
        assert 0.8 <= len(sound.content) / SAMPLE_RATE <= 2.0
        assert abs(sound.content.mean()) < 0.01, sound.id


def test_there_are_at_least_24_sounds_and_each_has_its_names():
    ids = [sound.id for sound in synthetic_sounds().items]
    assert len(ids) >= 24
    assert ids == list(read_json(synthetic.NAMES))


def test_no_two_sounds_are_alike():
    def timbre(wave):  # of log magnitudes in 40 bands: deviation over time, mean at first
        frames = np.lib.stride_tricks.sliding_window_view(wave, 512)[::256] * np.hanning(512)
        bands = np.abs(np.fft.rfft(frames))[:, 1:241].reshape(-1, 40, 6).mean(axis=2)
        magnitudes = np.log(bands + 1e-2)
        return np.concatenate([magnitudes[:10].mean(axis=0), magnitudes.std(axis=0)])

    timbres = np.stack([timbre(sound.content) for sound in synthetic_sounds().items])
    distance = np.linalg.norm(timbres[:, None] - timbres[None], axis=-1)  # [sounds, sounds]
    assert np.partition(distance, 1, axis=1)[:, 1].min() > 1
