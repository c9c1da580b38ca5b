"""Manifests: a written set reads back; every kind of broken line is named with its file and line number."""

import json

import numpy as np
import pytest
import soundfile

from atri_lib.data.manifest import ManifestError, load_manifest, read_audio, write_manifest
from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import SyntheticBank
from atri_lib.languages import CODES

CAPTIONS = {code: f"caption in {code}" for code in CODES}


def folder_with(tmp_path, *changes):
    """A manifest of valid lines, each updated with one of `changes`."""
    soundfile.write(tmp_path / "a.wav", np.zeros((800, 2)), 8000)
    valid = {"audio": "a.wav", "split": "train", "captions": CAPTIONS}
    lines = [{"id": str(number)} | valid | change for number, change in enumerate(changes)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_scenes_written_as_a_manifest_read_back(tmp_path):
    scenes = make_scenes(SyntheticBank(), {"train": 6, "val": 3, "test": 4})
    write_manifest(scenes, tmp_path)
    read = load_manifest(tmp_path)
    for split, dataset in scenes.items():
        assert read[split].captions == dataset.captions and read[split].ids == dataset.ids
        assert read[split].sentences("jpn") == dataset.sentences("jpn")
        np.testing.assert_allclose(read[split].waveform(2), dataset.waveform(2), atol=2**-15)
    assert load_manifest(tmp_path / "manifest.jsonl")["test"].checksum == read["test"].checksum


def test_audio_becomes_mono_at_16_khz(tmp_path):
    dataset = load_manifest(folder_with(tmp_path, {}))["train"]
    assert dataset.waveform(0).shape == (1600,) and dataset.waveform(0).dtype == np.float32


def test_several_captions_a_clip_know_their_owner(tmp_path):
    five = {code: [f"{code} {i}" for i in range(5)] for code in CODES}
    dataset = load_manifest(folder_with(tmp_path, {"captions": five}, {"captions": five}))["train"]
    assert dataset.owner.tolist() == [0] * 5 + [1] * 5 and dataset.sentences("fra")[6] == "fra 1"


def test_the_checksum_sees_audio_and_captions(tmp_path):
    first = load_manifest(folder_with(tmp_path, {}))["train"].checksum
    soundfile.write(tmp_path / "a.wav", np.ones(800) / 2, 8000)
    second = load_manifest(tmp_path)["train"].checksum
    third = load_manifest(folder_with(tmp_path, {"captions": CAPTIONS | {"zho": "x"}}))["train"].checksum
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"captions": {**CAPTIONS, "xyz": "?"}}, "unknown language code 'xyz'"),
        ({"captions": {code: CAPTIONS[code] for code in CODES[:7]}}, "no caption in zho"),
        ({"captions": {**CAPTIONS, "fra": "  "}}, "no caption in fra"),
        ({"captions": {**CAPTIONS, "deu": ["one", "two"]}}, "same number"),
        ({"captions": "a dog"}, "all eight languages"),
        ({"audio": "b.wav"}, "'b.wav' is missing"),
        ({"audio": "../a.wav"}, "lies outside"),
        ({"split": "dev"}, "split 'dev' is unknown"),
        ({"id": "0"}, "id '0' is already that of line 1"),
    ],
)
def test_a_broken_line_is_named_with_file_and_number(tmp_path, change, message):
    with pytest.raises(ManifestError, match=message) as error:
        load_manifest(folder_with(tmp_path, {}, change))
    assert "manifest.jsonl:2" in str(error.value)


def test_text_that_is_no_manifest_is_refused(tmp_path):
    (tmp_path / "manifest.jsonl").write_text("{not json\n")
    with pytest.raises(ManifestError, match="manifest.jsonl:1: not JSON"):
        load_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("\n")
    with pytest.raises(ManifestError, match="holds no clips"):
        load_manifest(tmp_path)
    with pytest.raises(ManifestError, match="cannot be read"):
        load_manifest(tmp_path / "absent.jsonl")


def test_unreadable_and_empty_audio_is_named(tmp_path):
    (tmp_path / "noise.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(ManifestError, match="noise.wav: cannot be read as audio"):
        read_audio(tmp_path / "noise.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(ManifestError, match="empty.wav: holds no samples"):
        read_audio(tmp_path / "empty.wav")
