import json

import numpy as np
import pytest
import soundfile
import torchaudio

from atri_lib.audio import UnreadableSound, read_audio
from atri_lib.data import manifest
from atri_lib.data.manifest import AudioCaptions, ManifestError, load_manifest, write_manifest
from atri_lib.languages import CODES

RATE = 16_000


def captions(text="dog", count=1):
    return {code: [f"{text} {i} {code}" for i in range(count)] for code in CODES}


def clip(audio="dog.wav", split="train", **changes):
    return {"audio": audio, "split": split, "captions": captions(audio)} | changes


def tone(seconds=0.5, rate=RATE, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


@pytest.fixture
def folder(tmp_path):
    """dog.wav, horn.wav and bell.wav, which manifests below may name."""
    for i, name in enumerate(("dog", "horn", "bell")):
        soundfile.write(tmp_path / f"{name}.wav", tone(hertz=300 + 100 * i), RATE)
    return tmp_path


def write(folder, *lines):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    (folder / "manifest.jsonl").write_text(text + "\n", encoding="utf-8")
    return folder / "manifest.jsonl"


def made(count=3, text="made", **changes):
    """A dataset in memory whose samples fit 16 bits."""
    tones = (tone(0.3, hertz=200 + 50 * i + 9 * len(text)) for i in range(count))
    waves = [(np.round(wave * 2**15) / 2**15).astype(np.float32) for wave in tones]
    fields = {
        "origin": "made", "ids": tuple(f"{text}/{i}" for i in range(count)), "checksum": "x", "read": waves.__getitem__,
        "captions": tuple({c: (f"{text} {i} {c} « é »", f"また {i} {c}") for c in CODES} for i in range(count)),
    }  # fmt: skip
    return AudioCaptions(**fields | changes)


def test_a_manifest_gives_its_splits_with_captions_and_audio(folder):
    five = captions("horn", 5)
    path = write(folder, clip("horn.wav", "test", captions=five), "", clip("dog.wav"), clip("bell.wav", "test", id="b"))
    splits = load_manifest(path)
    assert list(splits) == ["train", "test"] and [len(split) for split in splits.values()] == [1, 2]
    test = splits["test"]
    assert test.ids == ("horn.wav", "b") and test.owner.tolist() == [0] * 5 + [1] and test.owner.dtype == np.int64
    assert test.sentences("jpn") == [*five["jpn"], "bell.wav 0 jpn"]
    assert test.captions[0]["fra"] == tuple(five["fra"])
    assert test.waveform(0).dtype == np.float32 and test.waveform(0).shape == (RATE // 2,)
    assert np.array_equal(test.waveform(-1), test.waveform(1))
    assert load_manifest(folder)["test"].checksum == test.checksum
    assert test.sentences("fra") is test.sentences("fra") and test.origin == folder.name


def test_a_caption_may_be_a_text_and_the_file_may_begin_with_a_byte_order_mark(folder):
    line = clip(captions={code: f"  une école, {code} " for code in CODES})
    path = write(folder, "\ufeff" + json.dumps(line))
    assert load_manifest(path)["train"].sentences("fra") == ["une école, fra"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"audio": ', "Invalid JSON"),
        ('["dog.wav"]', "Input should be an object, not \\['dog.wav'\\]"),
        (clip(audio=7, captions=captions()), "audio: Input should be a valid string, not 7"),
        (clip(audio="", captions=captions()), "audio: String should have at least 1 character, not ''"),
        (clip("none.wav"), "none.wav: no such audio file"),
        (clip("../dog.wav"), "outside the manifest's folder"),
        (clip("a/../../dog.wav"), "outside the manifest's folder"),
        (clip("/etc/dog.wav"), "outside the manifest's folder"),
        (clip("C:\\dog.wav"), "no such audio file"),
        (clip(split="dev"), "split: Input should be 'train', 'val' or 'test', not 'dev'"),
        ({"audio": "dog.wav", "captions": captions()}, "split: Field required"),
        (clip(id=""), "id: String should have at least 1 character, not ''"),
        (clip(captions="a dog"), "captions: Input should be an object, not 'a dog'"),
        (clip(captions=captions() | {"ita": ["un cane"]}), "unknown language code 'ita': use eng, fra"),
        (clip(captions={c: v for c, v in captions().items() if c != "nld"}), "caption missing in nld"),
        (clip(captions=captions() | {"spa": "  "}), "caption in spa is empty"),
        (clip(captions=captions() | {"cat": []}), "caption missing in cat"),
        (clip(captions=captions() | {"zho": [None]}), "captions.zho.0: Input should be a valid string, not None"),
        (clip(captions=captions() | {"zho": 3}), "captions.zho.0: Input should be a valid string, not 3"),
        (clip(captions=captions() | {"zho": {"a": "b"}}), "captions.zho.0: .*string, not {'a': 'b'}"),
        (clip(captions=captions() | {"zho": None}), "captions.zho.0: Input should be a valid string, not None"),
        (clip(captions=captions() | {"deu": ["ein Hund", "ein Köter"]}), "as many captions as the others.*'deu': 2"),
        (clip("bell.wav"), "audio bell.wav is on line 1 already"),
        (clip("./bell.wav"), "audio ./bell.wav is on line 1 already"),
        (clip(id="one"), "id 'one' of train is on line 1 already"),
        (clip("text.wav"), "text.wav: cannot be read as audio"),
        (clip("empty.wav"), "empty.wav: 0.000 s of audio"),
        (clip("short.wav"), "short.wav: 0.050 s of audio, 0.1 s is the least"),
    ],
)
def test_a_wrong_line_is_named_with_file_and_number(folder, line, message):
    (folder / "text.wav").write_text("this is not audio")
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    soundfile.write(folder / "short.wav", tone(0.05), RATE)
    path = write(folder, clip("bell.wav", id="one"), "", line)
    with pytest.raises(ManifestError, match=rf"manifest\.jsonl:3: .*{message}"):
        load_manifest(path)


def test_several_wrong_lines_are_reported_at_once_but_not_more_than_ten(folder):
    path = write(folder, clip(), *[clip(f"none-{i}.wav") for i in range(14)])
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    message = str(caught.value).splitlines()
    assert len(message) == 11 and message[0].startswith(f"{path}:2:") and message[-1] == "and 4 more"


def test_a_line_that_is_not_utf8_and_a_manifest_without_lines_raise(folder):
    path = write(folder, clip())
    path.write_bytes(path.read_bytes() + b'{"audio": "\xff.wav"}\n')
    with pytest.raises(ManifestError, match=r"manifest\.jsonl:2: Invalid JSON"):
        load_manifest(path)
    path.write_text("\n\n")
    with pytest.raises(ManifestError, match="empty; write one JSON object"):
        load_manifest(path)
    with pytest.raises(ManifestError, match="no such manifest"):
        load_manifest(folder / "none.jsonl")


def test_the_same_id_may_occur_in_two_splits(folder):
    splits = load_manifest(write(folder, clip(id="Rain"), clip("bell.wav", "test", id="Rain")))
    assert splits["train"].ids == splits["test"].ids == ("Rain",)


def test_audio_is_mixed_to_mono_and_resampled(tmp_path):
    left = tone(1.0, rate=44_100)
    soundfile.write(tmp_path / "stereo.flac", np.stack([left, 0 * left], axis=1), 44_100)
    mono = read_audio(tmp_path / "stereo.flac")
    assert mono.shape == (RATE,) and mono.dtype == np.float32
    assert np.abs(mono - tone(1.0) / 2)[100:-100].max() < 0.01


@pytest.mark.parametrize(("rate", "used"), [(44_101, 44_100), (22_254, 22_250), (16_000, 16_000), (3, 25)])
def test_an_odd_rate_is_rounded_before_resampling(tmp_path, monkeypatch, rate, used):
    rates, samples = [], np.zeros(rate)
    resample = torchaudio.functional.resample

    def recorded(mono, *pair):
        rates.append(pair)
        return resample(mono, used, RATE)  # not with the odd rate, which takes gigabytes

    monkeypatch.setattr(torchaudio.functional, "resample", recorded)
    soundfile.write(tmp_path / "odd.wav", samples, rate)
    assert read_audio(tmp_path / "odd.wav").dtype == np.float32 and rates == [(used, RATE)]


def test_audio_that_breaks_after_its_header_raises_when_it_is_read(folder):
    lines = [clip(f"{name}.wav", id=name) for name in ("dog", "horn", "bell")]
    path = write(folder, *lines)
    dataset = load_manifest(path)["train"]
    broken = tone()
    broken[5] = np.nan
    soundfile.write(folder / "dog.wav", broken, RATE, subtype="FLOAT")
    (folder / "horn.wav").write_text("not audio any more")
    with pytest.raises(ManifestError, match="horn.wav: cannot be read as audio"):
        load_manifest(path)
    with pytest.raises(UnreadableSound, match="dog.wav: .*not finite"):
        dataset.waveform(0)
    with pytest.raises(UnreadableSound, match="horn.wav: cannot be read as audio"):
        dataset.waveform(1)
    assert dataset.waveform(2).shape == (RATE // 2,)


def test_the_checksum_follows_captions_and_audio_not_the_place(folder, tmp_path_factory):
    first = load_manifest(write(folder, clip()))["train"].checksum
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    soundfile.write(elsewhere / "dog.wav", tone(hertz=300), RATE)
    assert load_manifest(write(elsewhere, clip()))["train"].checksum == first
    assert load_manifest(write(elsewhere, clip(captions=captions("cat"))))["train"].checksum != first
    soundfile.write(elsewhere / "dog.wav", tone(hertz=301), RATE)
    assert load_manifest(write(elsewhere, clip()))["train"].checksum != first


def test_the_checksum_changes_with_the_way_audio_is_decoded(folder, monkeypatch):
    first = load_manifest(write(folder, clip()))["train"].checksum
    monkeypatch.setattr(manifest, "FORMAT", manifest.FORMAT + 1)
    assert load_manifest(folder)["train"].checksum != first


def test_what_is_written_reads_back_sample_by_sample(tmp_path):
    splits = {"train": made(3), "test": made(2, "other")}
    path = write_manifest(splits, tmp_path / "set")
    assert path == tmp_path / "set" / "manifest.jsonl"
    back = load_manifest(path)
    assert list(back) == ["train", "test"]
    for split, dataset in splits.items():
        assert back[split].ids == dataset.ids and back[split].captions == dataset.captions
        for i in range(len(dataset)):
            assert np.array_equal(back[split].waveform(i), dataset.waveform(i))
    files = sorted(file.name for file in (tmp_path / "set/audio/test").iterdir())
    assert files == ["00000.flac", "00001.flac"]


def test_writing_replaces_nothing_and_leaves_nothing_half_done(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("keep")
    with pytest.raises(ManifestError, match="not an empty folder"):
        write_manifest({"train": made()}, tmp_path / "full")
    with pytest.raises(ManifestError, match="unknown split 'dev'"):
        write_manifest({"dev": made()}, tmp_path / "new")

    def interrupted(index):
        if index == 1:
            raise KeyboardInterrupt
        return made().waveform(index)

    with pytest.raises(KeyboardInterrupt):
        write_manifest({"train": made(read=interrupted)}, tmp_path / "new")
    assert [p.name for p in tmp_path.rglob("*")] == ["full", "precious.txt"]
    (tmp_path / "new").mkdir()
    assert len(load_manifest(write_manifest({"train": made()}, tmp_path / "new"))["train"]) == 3


@pytest.mark.parametrize("name", [".", "", "absent/.."])
def test_the_current_directory_is_not_replaced(tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ManifestError, match="current directory, which cannot be replaced; name a folder in it"):
        write_manifest({"train": made()}, name)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
    assert len(load_manifest(write_manifest({"train": made()}, "set"))["train"]) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ("a", "b", "a")}, "ids, each different"),
        ({"ids": ("a", "b")}, "3 clips need as many ids"),
        ({"captions": ({"eng": ("only English",)},) * 3}, "made, clip made/0: caption missing in fra, deu"),
    ],
)
def test_a_dataset_that_is_not_complete_raises(changes, message):
    with pytest.raises(ManifestError, match=message):
        made(**changes)
