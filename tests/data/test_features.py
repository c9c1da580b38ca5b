"""Features of frozen encoders: computed once for equal content, whole or computed anew, only for
the side asked for.
"""

import json
import threading

import numpy as np
import pytest
import torch
from torch import nn

from atri_lib.data import features, kept
from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.languages import CODES


class Ear(nn.Module):
    """Patches of 8,000 samples: their mean and deviation; counts how often it is called."""

    calls, name = 0, "ear"

    def forward(self, clips):
        self.calls += 1
        patches = clips.reshape(len(clips), -1, 8000)
        return torch.stack([patches.mean(-1), patches.std(-1)], -1)


class Reader(Ear):
    name = "reader"

    def embed(self, sentences, language):
        self.calls += 1
        return torch.tensor([[len(sentence), CODES.index(language)] for sentence in sentences])


class Clips:
    """Noise of the lengths given, in samples; knows which threads asked for it and how many clips
    are alive.
    """

    checksum = "clips"

    def __init__(self, *lengths):
        self.lengths, self.threads = lengths, set()

    def __len__(self):
        return len(self.lengths)

    def clip(self, index):
        self.threads.add(threading.get_ident())
        return np.random.default_rng(index).normal(size=self.lengths[index]).astype(np.float32)


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path))
    return make_scenes(synthetic_sounds(), {"train": 5, "val": 3, "test": 3}, seed=0)


def test_features_have_their_shapes_and_values_and_are_computed_once(scenes, monkeypatch):
    monkeypatch.setattr(features, "BATCH", 2)
    ear, reader, data = Ear(), Reader(), scenes["train"]
    clips, text = (
        features.clip_features(data, ear, 5, ear.name),
        features.text_features(data, reader, reader.name),
    )
    assert clips.shape == (5, 5, 2) and clips.dtype == np.float32 and ear.calls == 3
    halves = torch.from_numpy(data.clip(4)).reshape(5, 2, 8000)
    np.testing.assert_allclose(clips[4, :, 0], halves.mean(-1).mean(-1), atol=1e-7)
    assert text.shape == (8, 5, 2) and text.dtype == np.float32 and reader.calls == 8
    assert text[2, 3].tolist() == [len(data.sentences("deu")[3]), 2]
    again = (
        features.clip_features(data, ear, 5, ear.name),
        features.text_features(data, reader, reader.name),
    )
    assert (
        ear.calls == 3
        and reader.calls == 8
        and all(isinstance(values, np.memmap) for values in again)
    )
    np.testing.assert_array_equal(again[0], clips)


def test_other_content_another_encoder_and_other_parts_are_computed(scenes):
    ear = Ear()
    features.clip_features(scenes["train"], ear, 9, ear.name)
    features.clip_features(scenes["val"], ear, 9, ear.name)
    features.clip_features(scenes["train"], ear, 3, ear.name)
    ear.name = "another"
    features.clip_features(scenes["train"], ear, 9, ear.name)
    assert ear.calls == 4


def test_what_is_written_into_loaded_features_does_not_reach_the_cache(scenes):
    ear = Ear()
    whole = np.array(features.clip_features(scenes["test"], ear, 3, ear.name))
    features.clip_features(scenes["test"], ear, 3, ear.name)[:] = 7
    np.testing.assert_array_equal(features.clip_features(scenes["test"], ear, 3, ear.name), whole)


@pytest.mark.parametrize("harm", [b"", b"flipped"])
def test_a_damaged_file_is_computed_anew(scenes, tmp_path, harm):
    ear = Ear()
    whole = np.array(features.clip_features(scenes["test"], ear, 3, ear.name))
    (path,) = (tmp_path / "features").glob("*/values.npy")
    path.write_bytes(path.read_bytes()[: -len(harm) or 10] + harm)
    with pytest.raises(ValueError, match="does not match its checksum"):
        kept.read_array(path.parent)
    np.testing.assert_array_equal(features.clip_features(scenes["test"], ear, 3, ear.name), whole)
    assert ear.calls == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda about: [],
        lambda about: None,
        lambda about: 3,
        lambda about: "text",
        lambda about: {},
        lambda about: about | {"sha256": None},
    ],
)  # fmt: skip
def test_a_description_that_does_not_fit_is_computed_anew(scenes, tmp_path, change):
    ear = Ear()
    whole = np.array(features.clip_features(scenes["test"], ear, 3, ear.name))
    (note,) = (tmp_path / "features").glob("*/about.json")
    note.write_text(json.dumps(change(json.loads(note.read_text()))))
    np.testing.assert_array_equal(features.clip_features(scenes["test"], ear, 3, ear.name), whole)
    assert ear.calls == 2


def test_clips_are_loaded_in_order_by_other_threads_and_only_a_few_ahead():
    data, started = Clips(*[8000] * 40), []
    data.clip = lambda index, original=data.clip: (started.append(index), original(index))[1]
    clips = features.load_ahead(data, range(len(data)))
    np.testing.assert_array_equal(next(clips), Clips(8000).clip(0))
    assert len(started) <= 3 * features.LOADERS + 1
    rest = list(clips)
    assert len(rest) == 39 and threading.get_ident() not in data.threads
    np.testing.assert_array_equal(rest[-1], Clips(*[8000] * 40).clip(39))


def test_clips_of_any_lengths_come_out_in_order_and_long_ones_do_not_gather_in_a_batch(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "MOST_SAMPLES", 40_000)
    lengths = [8000, 24_000, 8000, 40_000, 16_000, 24_000]
    data = Clips(*lengths)
    sizes = []
    encode_clips = features.encode_clips

    def noted(clips, encoder, parts):
        sizes.append([len(clip) for clip in clips])
        return encode_clips(clips, encoder, parts)

    monkeypatch.setattr(features, "encode_clips", noted)
    values = features.clip_features(data, Ear(), 1, "ear")
    assert sizes == [lengths[:3], lengths[3:4], lengths[4:]]
    np.testing.assert_allclose(values[:, 0, 0], [data.clip(i).mean() for i in range(6)], atol=1e-6)
