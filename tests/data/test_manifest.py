import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torchaudio
from manifest_faults import FAULTS, IMAGE_FAULTS
from PIL import Image

from atri_lib.audio import UnreadableSound, notice_once, read_audio
from atri_lib.data import manifest
from atri_lib.data.manifest import CaptionedClips, ManifestError, load_manifest, write_manifest
from atri_lib.languages import CODES, UnknownLanguage

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
    text = "\n".join(
        line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines
    )
    (folder / "manifest.jsonl").write_text(text + "\n", encoding="utf-8")
    return folder / "manifest.jsonl"


def made(count=3, text="made", **changes):
    """A dataset in memory whose samples fit 16 bits."""
    tones = (tone(0.3, hertz=200 + 50 * i + 9 * len(text)) for i in range(count))
    waves = [(np.round(wave * 2**15) / 2**15).astype(np.float32) for wave in tones]
    fields = {
        "origin": "made",
        "ids": tuple(f"{text}/{i}" for i in range(count)),
        "checksum": "x",
        "read": waves.__getitem__,
        "captions": tuple(
            {c: (f"{text} {i} {c} « é »", f"また {i} {c}") for c in CODES} for i in range(count)
        ),
    }
    return CaptionedClips(**fields | changes)


def test_a_manifest_gives_its_splits_with_captions_and_audio(folder):
    five = captions("horn", 5)
    path = write(
        folder,
        clip("horn.wav", "test", captions=five),
        "",
        clip("dog.wav"),
        clip("bell.wav", "test", id="b"),
    )
    splits = load_manifest(path)
    assert list(splits) == ["train", "test"] and [len(split) for split in splits.values()] == [1, 2]
    test = splits["test"]
    assert (
        test.ids == ("horn.wav", "b")
        and test.owner.tolist() == [0] * 5 + [1]
        and test.owner.dtype == np.int64
    )
    assert test.sentences("jpn") == [*five["jpn"], "bell.wav 0 jpn"]
    assert test.captions[0]["fra"] == tuple(five["fra"])
    assert test.clip(0).dtype == np.float32 and test.clip(0).shape == (RATE // 2,)
    assert np.array_equal(test.clip(-1), test.clip(1))
    assert load_manifest(folder)["test"].checksum == test.checksum
    assert test.sentences("fra") is test.sentences("fra") and test.origin == folder.name


def test_a_caption_may_be_a_text_and_the_file_may_begin_with_a_byte_order_mark(folder):
    line = clip(captions={code: f"  une école, {code} " for code in CODES})
    path = write(folder, "\ufeff" + json.dumps(line))
    assert load_manifest(path)["train"].sentences("fra") == ["une école, fra"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"audio": ', "no JSON object .*; write one on each line, in UTF-8"),
        ('["dog.wav"]', r"no JSON object \(\['dog.wav'\]\); write one on each line"),
        ("3", r"no JSON object \(3\); write one on each line"),
        (clip("./bell.wav", id="two"), "what is on line 1: it is the same file; keep a"),
        (clip("link.wav", id="two"), "what is on line 1: it is the same file; keep a"),
        ({"audio": "dog.wav", "captions": captions()}, "split: Field required"),
        (
            '{"audio": "dog.wav", "split": "train", "split": "test", "captions": %s}',
            "the key 'split' comes twice",
        ),
        (
            '{"audio": "dog.wav", "split": "train", "captions": {"eng": "a", %s}',
            "the key 'eng' comes twice",
        ),
        (
            '{"audio": "dog.wav", "split": "test", "note": {"a": 1, "a": 2}, "captions": %s}',
            "the key 'a' comes twice",
        ),
        (clip("loop.wav"), "loop.wav"),
        (
            '{"audio": "dog.wav", "split": "test", "x": ' + "[" * 10**5 + "]}",
            "no JSON .*recursion",
        ),
        (clip(id="one"), "what is on line 1: the id 'one' is the same; change one"),
        (clip("text.wav"), "text.wav: cannot be read as audio"),
        (clip("empty.wav"), "empty.wav: .*0.000 s of audio"),
        (clip("short.wav"), "short.wav: .*0.050 s of audio, 0.1 s is the least"),
        *(
            pytest.param(json.dumps(clip() | fault.changes), fault.message, id=fault.name)
            for fault in FAULTS
        ),
    ],
)
def test_a_wrong_line_is_named_with_file_and_number(folder, line, message):
    (folder / "text.wav").write_text("this is not audio")
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    soundfile.write(folder / "short.wav", tone(0.05), RATE)
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "link.wav").symlink_to("bell.wav")
    if isinstance(line, str) and "%s" in line:
        whole = json.dumps(captions())
        line = line % (whole[1:] if '"eng": "a", %s' in line else whole)
    path = write(folder, clip("bell.wav", id="one"), "", line)
    with pytest.raises(ManifestError, match=rf"manifest\.jsonl:3: .*{message}") as caught:
        load_manifest(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", IMAGE_FAULTS, ids=lambda fault: fault.name)
def test_a_wrong_line_of_a_picture_is_named_with_file_and_number(folder, fault):
    path = write(folder, clip() | fault.changes)
    with pytest.raises(ManifestError, match=rf"manifest\.jsonl:1: .*{fault.message}") as caught:
        load_manifest(path)
    assert "\n" not in str(caught.value)


def shown(image, split="train", **changes):
    return {"image": image, "split": split, "captions": captions(image)} | changes


def test_a_manifest_of_pictures_gives_them_as_pixels(folder):
    Image.new("RGB", (20, 10), "red").save(folder / "red.png")
    Image.new("RGB", (20, 10), "blue").save(folder / "blue.jpg")
    write(folder, shown("red.png"), shown("./blue.jpg", "test"))
    splits = load_manifest(folder)
    assert all(split.pictures for split in splits.values())
    assert splits["test"].ids == ("blue.jpg",)
    pixels = splits["train"].clip(0)
    assert pixels.shape == (224, 224, 3) and pixels.dtype == np.uint8
    assert pixels[112, 112].tolist() == [255, 0, 0]
    first = splits["train"].checksum
    Image.new("RGB", (20, 10), "green").save(folder / "red.png")
    assert load_manifest(folder)["train"].checksum != first


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [clip(), shown("a.png")],
            "2: 'a.png' of train and what is on line 1: keep sounds and pict",
        ),
        (
            [shown("a.png"), clip()],
            "2: 'dog.wav' of train and what is on line 1: keep sounds and pict",
        ),
        (
            [shown("a.png"), shown("b.png", "test")],
            "2: 'b.png' of test and what is on line 1: it is the same clip in two splits",
        ),
        (
            [shown("a.png"), shown("./a.png")],
            "2: './a.png' of train and what is on line 1: it is the same file; keep a clip's",
        ),
    ],
)
def test_lines_that_do_not_go_together_are_named(folder, lines, message):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9)).save(folder / name)
    with pytest.raises(ManifestError, match=rf"manifest\.jsonl:{message}") as caught:
        load_manifest(write(folder, *lines))
    assert "\n" not in str(caught.value)


def test_one_notice_tells_of_pictures_of_several_frames(folder, capsys):
    notice_once.cache_clear()
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    names = ["moving.gif", "moving.png", "moving.webp"]
    for name in names:
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], lossless=True)
    Image.new("RGB", (9, 9)).save(folder / "still.png")
    loaded = load_manifest(write(folder, *map(shown, [*names, "still.png"])))["train"]
    (said,) = capsys.readouterr().err.splitlines()
    assert "an image holds several frames; the first of each is taken" in said
    for i in range(len(names)):
        assert loaded.clip(i)[112, 112].tolist() == [255, 0, 0]


@pytest.mark.parametrize("good", [0, 1])
def test_several_wrong_lines_are_reported_at_once_but_not_more_than_ten(folder, good):
    path = write(folder, *[clip()] * good, *[clip(f"none-{i}.wav") for i in range(14)])
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    message = str(caught.value).splitlines()
    assert len(message) == 10
    assert message[0].startswith(f"{path}:{good + 1}:")


def test_a_line_that_is_no_json_hides_no_other_fault(folder):
    path = write(folder, clip("none.wav"), "{", clip(split="dev"), clip())
    with pytest.raises(ManifestError, match="none.wav.*\n.*:2: no JSON.*\n.*:3: split: .*'dev'$"):
        load_manifest(path)


def test_an_unknown_language_is_no_fault_of_the_lines(folder):
    with pytest.raises(UnknownLanguage, match="unknown language code 'fre'"):
        load_manifest(write(folder, clip()), ("eng", "fre"))


@pytest.mark.parametrize("splits, message", [
    ({"../up": made()}, r"unknown split '\.\./up': use train, val, test"),
    ({"train": made(pictures=True)}, "only sounds are written; save pictures as PNG yourself"),
])  # fmt: skip
def test_what_no_manifest_of_sounds_holds_is_refused_before_anything_is_made(
    tmp_path, splits, message
):
    with pytest.raises(ManifestError, match=message):
        write_manifest(splits, tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_a_line_that_is_not_utf8_and_a_manifest_without_lines_raise(folder):
    path = write(folder, clip())
    path.write_bytes(path.read_bytes() + b'{"audio": "\xff.wav"}\n')
    with pytest.raises(ManifestError, match=r"manifest\.jsonl:2: no JSON .*utf-8"):
        load_manifest(path)
    path.write_text("\n\n")
    with pytest.raises(ManifestError, match="empty; write one JSON object"):
        load_manifest(path)
    with pytest.raises(ManifestError, match="no such manifest"):
        load_manifest(folder / "none.jsonl")


@pytest.mark.parametrize("separator", ["\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\r"])
def test_a_line_ends_at_a_line_feed_and_nowhere_else(folder, separator):
    text = f"a dog{separator}barks"
    line = clip(captions=captions() | {"fra": text.replace("\r", " ")}, note=separator)
    raw = json.dumps(line, ensure_ascii=False).replace("\\f", "\\u000c")
    (folder / "manifest.jsonl").write_bytes(f"{raw}\r\n\r\n".encode())
    assert load_manifest(folder)["train"].sentences("fra") == [text.replace("\r", " ")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(clip()).encode("utf-16"), "utf-8"),
        (json.dumps([clip()]).encode(), "no JSON object"),
        (json.dumps(clip(), indent=2).encode(), "no JSON"),
        (b"audio,split,eng\ndog.wav,train,a dog\n", "no JSON"),
        (b"\x1f\x8b\x08\x00\n\xff\n", "no JSON"),
    ],
)
def test_a_file_that_is_no_manifest_is_told_in_one_line(folder, content, message):
    (folder / "manifest.jsonl").write_bytes(content)
    with pytest.raises(ManifestError, match=rf"manifest\.jsonl:1: .*{message}") as caught:
        load_manifest(folder)
    assert "\n" not in str(caught.value)


def test_manifests_put_together_keep_no_byte_order_marks(folder):
    raw = "".join("\ufeff" + json.dumps(clip(name)) + "\r\n" for name in ("dog.wav", "bell.wav"))
    (folder / "manifest.jsonl").write_text(raw, encoding="utf-8")
    assert len(load_manifest(folder)["train"]) == 2


def test_a_folder_whose_name_is_not_utf8_is_named(folder):
    odd = pathlib.Path(os.fsdecode(os.fsencode(folder) + b"/\xff"))
    odd.mkdir()
    (odd / "dog.wav").hardlink_to(folder / "dog.wav")
    write(odd, clip())
    said = load_manifest(odd)["train"].origin
    assert said.isprintable() and "\\udcff" in said


def test_fewer_languages_suffice_when_they_are_asked_for(folder, capsys):
    two = {"eng": ["a dog"], "zho": ["一只狗"]}
    path = write(
        folder, clip(captions=two), clip("bell.wav", "test", captions=two | {"fra": "une cloche"})
    )
    with pytest.raises(ManifestError, match=r":1: .*missing in fra, deu"):
        load_manifest(path)
    splits = load_manifest(path, ("eng", "zho"))
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith("languages that not every clip has, that are not used: fra")
    assert [split.languages for split in splits.values()] == [("eng", "zho")] * 2
    assert splits["test"].sentences("zho") == ["一只狗"] and list(splits["test"].captions[0]) == [
        "eng",
        "zho",
    ]
    with pytest.raises(ValueError, match=f"{folder.name} has no captions in fra, only in eng, zho"):
        splits["test"].sentences("fra")
    with pytest.raises(ManifestError, match="missing in zho"):
        load_manifest(
            write(folder, clip(captions={"eng": "a dog"}), clip("bell.wav")), ("eng", "zho")
        )


def test_what_is_asked_for_changes_neither_checksum_nor_languages_of_a_full_manifest(folder):
    path = write(folder, clip(), clip("bell.wav"))
    eight, two = load_manifest(path)["train"], load_manifest(path, ("eng", "zho"))["train"]
    assert (
        two.languages == CODES and two.checksum == eight.checksum and two.captions == eight.captions
    )


def test_fewer_captions_in_one_language_are_repeated_by_turns(folder, capsys):
    uneven = captions("horn", 5) | {"fra": "un cor", "jpn": ["い", "ろ"]}
    dataset = load_manifest(write(folder, clip("horn.wav", captions=uneven), clip("bell.wav")))[
        "train"
    ]
    assert dataset.sentences("fra") == ["un cor"] * 5 + ["bell.wav 0 fra"]
    assert dataset.sentences("jpn")[:5] == [
        "い",
        "ろ",
        "い",
        "ろ",
        "い",
    ] and dataset.owner.tolist() == [0] * 5 + [1]
    said = capsys.readouterr().err.splitlines()
    assert "1 of 2 clips have fewer captions in one language" in said[0]
    assert said[0].endswith("in another; these are repeated by turns")
    assert "fra: 0 captions have more than one right clip, 4 repeat" in said[1] and len(said) == 2


def test_fields_that_a_manifest_does_not_have_are_named_once(folder, capsys):
    write(
        folder,
        clip(Split="test", licence="CC0"),
        clip("bell.wav", licence="CC0", **{"a\x1b[31m": 1}),
    )
    assert len(load_manifest(folder)["train"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith("that are not used: Split, a\\x1b[31m, licence")


def test_the_same_id_may_occur_in_two_splits(folder):
    splits = load_manifest(write(folder, clip(id="Rain"), clip("bell.wav", "test", id="Rain")))
    assert splits["train"].ids == splits["test"].ids == ("Rain",)


def test_audio_is_mixed_to_mono_and_resampled(tmp_path):
    left = tone(1.0, rate=44_100)
    soundfile.write(tmp_path / "stereo.flac", np.stack([left, 0 * left], axis=1), 44_100)
    mono = read_audio(tmp_path / "stereo.flac")
    assert mono.shape == (RATE,) and mono.dtype == np.float32
    assert np.abs(mono - tone(1.0) / 2)[100:-100].max() < 0.01


@pytest.mark.parametrize(
    ("rate", "used"), [(44_101, 44_100), (22_254, 22_250), (16_000, 16_000), (3, 25)]
)
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
        dataset.clip(0)
    with pytest.raises(UnreadableSound, match="horn.wav: cannot be read as audio"):
        dataset.clip(1)
    assert dataset.clip(2).shape == (RATE // 2,)


def test_the_checksum_follows_captions_and_audio_not_the_place(folder, tmp_path_factory):
    first = load_manifest(write(folder, clip()))["train"].checksum
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    soundfile.write(elsewhere / "dog.wav", tone(hertz=300), RATE)
    assert load_manifest(write(elsewhere, clip()))["train"].checksum == first
    assert (
        load_manifest(write(elsewhere, clip(captions=captions("cat"))))["train"].checksum != first
    )
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
            assert np.array_equal(back[split].clip(i), dataset.clip(i))
    files = sorted(file.name for file in (tmp_path / "set/audio/test").iterdir())
    assert files == ["00000.flac", "00001.flac"]


def test_writing_replaces_nothing_and_leaves_nothing_half_done(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("keep")
    with pytest.raises(ManifestError, match="not an empty folder"):
        write_manifest({"train": made()}, tmp_path / "full")

    def interrupted(index):
        if index == 1:
            raise KeyboardInterrupt
        return made().clip(index)

    with pytest.raises(KeyboardInterrupt):
        write_manifest({"train": made(read=interrupted)}, tmp_path / "new")
    assert [p.name for p in tmp_path.rglob("*")] == ["full", "precious.txt"]
    (tmp_path / "new").mkdir()
    assert len(load_manifest(write_manifest({"train": made()}, tmp_path / "new"))["train"]) == 3


KILLED = """
import os, sys
sys.path[:0] = {folders!r}
from test_manifest import made, write_manifest
write_manifest({{"train": made(read=lambda index: os._exit(9))}}, {out!r})
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path):
    here = pathlib.Path(__file__).parent
    folders = [str(here), str(here.parent)]
    script = KILLED.format(folders=folders, out=str(tmp_path / "new"))
    assert subprocess.run([sys.executable, "-c", script]).returncode == 9
    (left,) = tmp_path.iterdir()
    (tmp_path / ".new.mine").mkdir()
    write_manifest({"train": made()}, tmp_path / "new")
    assert not left.exists() and len(load_manifest(tmp_path / "new")["train"]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new.mine", "new"]


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_made(tmp_path):
    (tmp_path / "file").write_text("keep")
    with pytest.raises(OSError, match="(Not a directory|File exists): .*file"):
        write_manifest(
            {"train": made(read=lambda index: pytest.fail("rendered"))},
            tmp_path / "file" / "a" / "out",
        )


@pytest.mark.parametrize("name", [".", "", "absent/.."])
def test_the_current_directory_is_not_replaced(tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(
        ManifestError,
        match="is not an empty folder, or one that can be replaced; remove it or choose",
    ):
        write_manifest({"train": made()}, name)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
    assert len(load_manifest(write_manifest({"train": made()}, "set"))["train"]) == 3
