"""Features of frozen encoders: computed once for equal content, whole or computed anew, only for the side asked for."""

import numpy as np
import pytest
import torch
from torch import nn

from atri_lib.data import features
from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import SyntheticBank
from atri_lib.languages import CODES


class Ear(nn.Module):
    """Patches of 8,000 samples: their mean and deviation; counts how often it is called."""

    calls, fingerprint = 0, "ear"

    def forward(self, clips):
        self.calls += 1
        patches = clips.reshape(len(clips), -1, 8000)
        return torch.stack([patches.mean(-1), patches.std(-1)], -1)


class Reader(Ear):
    fingerprint = "reader"

    def embed(self, sentences, language):
        self.calls += 1
        return torch.tensor([[len(sentence), CODES.index(language)] for sentence in sentences])


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path))
    return make_scenes(SyntheticBank(), {"train": 5, "val": 3, "test": 3}, seed=0)


def test_features_have_their_shapes_and_values_and_are_computed_once(scenes):
    ear, reader, data = Ear(), Reader(), scenes["train"]
    audio, text = features.audio_features(data, ear, batch_size=2, parts=5), features.text_features(data, reader)
    assert audio.shape == (5, 5, 2) and audio.dtype == np.float32 and ear.calls == 3
    halves = torch.from_numpy(data.waveform(4)).reshape(5, 2, 8000)
    np.testing.assert_allclose(audio[4, :, 0], halves.mean(-1).mean(-1), atol=1e-7)
    assert text.shape == (8, 5, 2) and text.dtype == np.float32 and reader.calls == 8
    assert text[2, 3].tolist() == [len(data.sentences("deu")[3]), 2]
    again = features.audio_features(data, ear, parts=5), features.text_features(data, reader)
    assert ear.calls == 3 and reader.calls == 8 and all(isinstance(values, np.memmap) for values in again)
    np.testing.assert_array_equal(again[0], audio)


def test_other_content_another_encoder_and_other_parts_are_computed(scenes):
    ear = Ear()
    features.audio_features(scenes["train"], ear)
    features.audio_features(scenes["val"], ear)
    features.audio_features(scenes["train"], ear, parts=3)
    ear.fingerprint = "another"
    features.audio_features(scenes["train"], ear)
    assert ear.calls == 4


@pytest.mark.parametrize("harm", [b"", b"flipped"])
def test_a_damaged_file_is_computed_anew(scenes, tmp_path, harm):
    ear = Ear()
    whole = np.array(features.audio_features(scenes["test"], ear))
    (path,) = (tmp_path / "features").glob("*/values.npy")
    path.write_bytes(path.read_bytes()[: -len(harm) or 10] + harm)
    with pytest.raises(features.FeatureError, match="does not match its checksum; delete"):
        features.read_array(path.parent)
    np.testing.assert_array_equal(features.audio_features(scenes["test"], ear), whole)
    assert ear.calls == 2
