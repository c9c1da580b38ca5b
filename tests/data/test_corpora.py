"""AudioCaps and Clotho in their published layouts, completed and converted; everything that can be
missing.
"""

import csv
import errno
import json
import pathlib
import shutil
import sys
import types

import numpy as np
import pandas as pd
import pytest
import soundfile

from atri_lib.data import corpora, manifest
from atri_lib.data.corpora import (
    Corpus,
    CorpusError,
    download,
    read_audiocaps,
    read_clotho,
    safe_name,
    with_human_japanese,
    with_translations,
    write_corpus,
)
from atri_lib.data.translation import CsvError, Translation
from atri_lib.languages import CODES


def write_audio(path, rate=44100, seconds=0.2, channels=1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.random.default_rng(seed).standard_normal((int(rate * seconds), channels))
    soundfile.write(path, samples.clip(-1, 1), rate)


def write_table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def make_clotho(root):
    """The layout of aac-datasets and of the published archives; "Rain.wav" is another sound in each
    split.
    """
    for number, subset in enumerate(("development", "validation", "evaluation")):
        files = ["Rain.wav", f"Bird, {subset}.wav"]
        rows = [
            [file, *(f"{file[:4]} in {subset}, number {n}" for n in range(1, 6))] for file in files
        ]
        header = ["file_name", *(f"caption_{n}" for n in range(1, 6))]
        write_table(
            root / "CLOTHO_v2.1/clotho_csv_files" / f"clotho_captions_{subset}.csv", header, rows
        )
        for seed, file in enumerate(files):
            write_audio(
                root / "CLOTHO_v2.1/clotho_audio_files" / subset / file, seed=2 * number + seed
            )
    return root


AUDIOCAPS = ["audiocap_id", "youtube_id", "start_time", "caption"]


def audiocaps_rows(split, videos, captions):
    number = {"train": 1000, "val": 2000, "test": 3000}[split]
    return [[number + 10 * v + c, video, 30, f"{video} sounds, take {c}"] for c in range(captions)
            for v, video in enumerate(videos)]  # fmt: skip


def make_audiocaps(root):
    """The layout of aac-datasets: rows of a clip are scattered over the table, as in the published
    one.
    """
    base = root / "AUDIOCAPS"
    for split, videos, captions in (("train", "ab", 1), ("val", "cd", 5), ("test", "ef", 5)):
        write_table(
            base / "csv_files_v1" / f"{split}.csv",
            AUDIOCAPS,
            audiocaps_rows(split, videos, captions),
        )
        for video in videos:
            write_audio(
                base / "audio_32000Hz" / split / f"{video}_30.flac",
                rate=32000,
                channels=2,
                seed=ord(video),
            )
    return root


def translated(corpus, codes=CODES[1:]):
    return {
        code: [Translation(s, code, f"{code}: {s}") for s in corpus.sentences] for code in codes
    }


def complete(corpus):
    return with_translations(corpus, translated(corpus))


def test_clotho_has_five_captions_a_clip_and_keeps_equal_names_apart(tmp_path):
    corpus = read_clotho(make_clotho(tmp_path))
    clips = [name for name, _ in corpus.clips]
    assert clips[:3] == [("train", "Rain"), ("train", "Bird, development"), ("val", "Rain")]
    assert corpus.missing == ()
    assert len(corpus.sentences) == 30
    for (split, _), captions in corpus.clips:
        assert len(captions) == 5
        subset = {"train": "development", "val": "validation", "test": "evaluation"}[split]
        assert {path.parent.name for path in captions["audio"]} == {subset}
        assert captions["eng"].str.contains(subset).all()


def test_audiocaps_gathers_five_captions_in_validation_and_test(tmp_path):
    corpus = read_audiocaps(make_audiocaps(tmp_path))
    assert [(*name, len(captions)) for name, captions in corpus.clips] == [
        ("train", "a_30", 1),
        ("train", "b_30", 1),
        ("val", "c_30", 5),
        ("val", "d_30", 5),
        ("test", "e_30", 5),
        ("test", "f_30", 5),
    ]
    d = corpus.clips.get_group(("val", "d_30"))
    assert d["eng"].tolist() == [f"d sounds, take {c}" for c in range(5)]
    assert d["number"].tolist() == ["2010", "2011", "2012", "2013", "2014"]
    assert {path.name for path in d["audio"]} == {"d_30.flac"}


@pytest.mark.parametrize("name", ["vfY_TJq7n_U_130.flac", "YvfY_TJq7n_U.wav", "vfY_TJq7n_U.ogg"])
def test_audiocaps_audio_is_found_under_every_downloaders_name(tmp_path, name):
    write_table(tmp_path / "train.csv", AUDIOCAPS, [[97151, "vfY_TJq7n_U", 130, "ducks quack"]])
    write_audio(tmp_path / "train" / name, rate=16000)
    assert read_audiocaps(tmp_path).captions["audio"].iloc[0].name == name


def test_an_audio_file_that_is_read_goes_before_one_that_is_not(tmp_path):
    write_table(tmp_path / "train.csv", AUDIOCAPS, [[97151, "vfY_TJq7n_U", 130, "ducks quack"]])
    write_audio(tmp_path / "train" / "vfY_TJq7n_U.wav", rate=16000)
    (tmp_path / "train" / "vfY_TJq7n_U_130.m4a").write_bytes(b"")
    assert read_audiocaps(tmp_path).captions["audio"].iloc[0].name == "vfY_TJq7n_U.wav"


def test_missing_clips_are_reported_and_left_out(tmp_path):
    make_audiocaps(tmp_path)
    (tmp_path / "AUDIOCAPS/audio_32000Hz/test/e_30.flac").unlink()
    corpus = read_audiocaps(tmp_path)
    assert corpus.missing == ("test/e_30",)
    assert "e_30" not in set(corpus.captions["id"])


def test_what_macos_leaves_beside_a_file_is_no_audio(tmp_path):
    make_audiocaps(tmp_path)
    flac = tmp_path / "AUDIOCAPS/audio_32000Hz/test/e_30.flac"
    flac.rename(flac.with_name("._e_30.flac"))
    flac.with_name(".e_30.flac").write_bytes(b"")
    assert read_audiocaps(tmp_path).missing == ("test/e_30",)


@pytest.mark.parametrize("columns, row, message", [
    (0, ["Rain.wav"], r"development\.csv: 0 columns are called 'caption_1'"),
    (5, ["Rain.wav", *"abc", " ", "e"], r"development\.csv: row 2: caption_4 is empty"),
    (5, ["Rain.wav", *"abc"], r"development\.csv: row 2: 4 fields, but the header has 6"),
])  # fmt: skip
def test_a_faulty_table_is_named_with_its_row(tmp_path, columns, row, message):
    make_clotho(tmp_path)
    header = ["file_name", *(f"caption_{n}" for n in range(1, columns + 1))]
    write_table(
        tmp_path / "CLOTHO_v2.1/clotho_csv_files/clotho_captions_development.csv", header, [row]
    )
    with pytest.raises(CsvError, match=message):
        read_clotho(tmp_path)


def test_a_folder_that_is_no_corpus_is_refused(tmp_path):
    for read in (read_audiocaps, read_clotho):
        with pytest.raises(CorpusError, match="it holds none of its caption tables"):
            read(tmp_path)
    write_table(tmp_path / "train.csv", AUDIOCAPS, [[1, "a", 30, "a dog"]])
    with pytest.raises(CorpusError, match="it holds its captions, but none of the audio"):
        read_audiocaps(tmp_path)
    write_table(tmp_path / "v2" / "train.csv", AUDIOCAPS, [[1, "a", 30, "a dog"]])
    with pytest.raises(CorpusError, match="train.csv 2 times"):
        read_audiocaps(tmp_path)


def test_the_manifest_holds_every_language_and_audio_at_16_khz(tmp_path):
    corpus = complete(read_audiocaps(make_audiocaps(tmp_path / "source")))
    manifest, left_out = write_corpus(corpus, tmp_path / "out")
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert left_out == []
    assert [line["id"] for line in lines] == ["e_30", "f_30", "c_30", "d_30", "a_30", "b_30"]
    for line in lines:
        assert set(line) == {"id", "audio", "split", "captions"}
        captions = corpus.clips.get_group((line["split"], line["id"]))
        assert tuple(line["captions"]) == CODES
        assert line["captions"]["cat"] == [f"cat: {caption}" for caption in captions["eng"]]
        samples, rate = soundfile.read(tmp_path / "out" / line["audio"])
        assert rate == 16000 and samples.shape == (3200,) and 0.01 < np.abs(samples).max() <= 1


def test_the_manifest_reads_back(tmp_path):
    corpus = complete(read_clotho(make_clotho(tmp_path / "source")))
    splits = manifest.load_manifest(write_corpus(corpus, tmp_path / "out")[0])
    assert {name: len(split) for name, split in splits.items()} == {"train": 2, "val": 2, "test": 2}
    assert splits["test"].sentences("jpn")[5] == "jpn: Bird in evaluation, number 1"
    assert splits["test"].owner.tolist() == [0] * 5 + [1] * 5 and splits["val"].clip(0).shape == (
        3200,
    )


def test_conversion_reports_unreadable_audio_and_resumes(tmp_path):
    make_clotho(tmp_path / "source")
    audio = tmp_path / "source/CLOTHO_v2.1/clotho_audio_files"
    (audio / "validation" / "Rain.wav").write_bytes(b"not audio")
    soundfile.write(audio / "evaluation" / "Rain.wav", np.zeros(0), 44100)
    (audio / "development" / "Rain.wav").unlink()
    corpus = complete(read_clotho(tmp_path / "source"))
    manifest, left_out = write_corpus(corpus, tmp_path / "out")
    reasons = dict(line.split(": ", 1) for line in left_out)
    assert list(reasons) == ["train/Rain", "test/Rain", "val/Rain"]
    assert reasons["train/Rain"] == "no audio file" and "0.000 s of audio" in reasons["test/Rain"]
    assert len(manifest.read_text().splitlines()) == 3
    kept = next((tmp_path / "out/audio/train").iterdir())
    before = kept.stat().st_mtime_ns
    write_audio(audio / "validation" / "Rain.wav")
    assert len(write_corpus(corpus, tmp_path / "out")[1]) == 2
    assert kept.stat().st_mtime_ns == before


def test_clips_that_a_manifest_may_not_hold_are_left_out_with_the_reason(tmp_path):
    make_clotho(tmp_path / "source")
    audio = tmp_path / "source/CLOTHO_v2.1/clotho_audio_files"
    write_audio(audio / "validation/Rain.wav", seconds=0.05)
    write_audio(
        audio / "evaluation/Rain.wav", rate=1013, seconds=102 / 1013
    )  # 0.1 s, rounded down in resampling
    soundfile.write(audio / "development/Rain.wav", np.full(9000, np.nan), 44100, subtype="FLOAT")
    write_audio(
        tmp_path / "out/audio/train/Bird, development.flac", rate=16000, seconds=0.05
    )  # converted before
    path, left_out = write_corpus(complete(read_clotho(tmp_path / "source")), tmp_path / "out")
    reasons = dict(line.split(": ", 1) for line in left_out)
    assert list(reasons) == ["test/Rain", "val/Rain", "train/Rain", "train/Bird, development"]
    assert "not finite" in reasons.pop("train/Rain") and all(
        "s of audio" in why for why in reasons.values()
    )
    assert {name: len(split) for name, split in manifest.load_manifest(path).items()} == {
        "val": 1,
        "test": 1,
    }


def test_of_a_recording_in_two_splits_the_one_in_test_stays(tmp_path):
    source = make_clotho(tmp_path / "source")
    audio = source / "CLOTHO_v2.1/clotho_audio_files"
    shutil.copy(
        audio / "validation/Rain.wav", audio / "development/Rain.wav"
    )  # as in the published corpus
    shutil.copy(
        audio / "evaluation/Bird, evaluation.wav", audio / "development/Bird, development.wav"
    )
    write_audio(audio / "development/Wind.wav", seed=99)
    with open(next(source.rglob("*_development.csv")), "a", encoding="utf-8") as table:
        table.write("Wind.wav,a,b,c,d,e\r\n")
    path, left_out = write_corpus(complete(read_clotho(source)), tmp_path / "out")
    reasons = dict(line.split(": ", 1) for line in left_out)
    assert list(reasons) == ["train/Rain", "train/Bird, development"]
    said = "and what is of {}: it is the same clip in two splits"
    assert said.format("val/Rain") in reasons["train/Rain"]
    assert said.format("test/Bird, evaluation") in reasons["train/Bird, development"]
    splits = manifest.load_manifest(path)
    assert {name: split.ids for name, split in splits.items()} == {
        "train": ("Wind",),
        "val": ("Rain", "Bird, validation"),
        "test": ("Rain", "Bird, evaluation"),
    }


@pytest.mark.parametrize(
    "video", ["../../../x", "{outside}/x", "..", "a/b", "a\\b", "x" * 300, "\x1b[31m", "-a"]
)
def test_no_name_of_a_corpus_leads_out_of_its_folder(tmp_path, video):
    names = (video.format(outside=tmp_path / "outside"), "a_b")
    rows = []
    for number, name in enumerate(names):
        audio = tmp_path / f"in/{number}.wav"
        write_audio(audio, seed=number)
        rows.append({"split": "train", "id": name, "audio": audio, "eng": f"dog {number}"})
    corpus = Corpus("made", pd.DataFrame(rows), ())
    path, left_out = write_corpus(complete(corpus), tmp_path / "out")
    assert left_out == [] and {entry.name for entry in tmp_path.iterdir()} == {"in", "out"}
    assert {file.parent for file in (tmp_path / "out").rglob("*.flac")} == {
        tmp_path / "out/audio/train"
    }
    train = manifest.load_manifest(path)["train"]
    assert train.ids == names
    assert not np.array_equal(train.clip(0), train.clip(1))


@pytest.mark.parametrize(
    "text, name",
    [
        ("Bird, development", "Bird, development"),
        ("vfY_TJq7n_U_130", "vfY_TJq7n_U_130"),
        ("また", "また"),
        ("a/b", "a_b-c14cddc0"),
        ("", "-e3b0c442"),
        (".a", "_a-"),
        ("\udcff", "_-"),
        ("ü" * 300, "üüü"),
        ("a\u202eb\u200b\xad\ue000", "a_b___-"),
    ],
)
def test_a_safe_name_is_the_text_or_a_name_of_its_own(text, name):
    assert safe_name(text).startswith(name) and len(safe_name(text).encode()) < 200
    assert (safe_name(text) == text) == (name == text)


@pytest.mark.parametrize(
    "read, make, kept", [(read_audiocaps, make_audiocaps, "e_30"), (read_clotho, make_clotho, "")]
)
def test_audio_in_a_format_that_is_not_read_is_named_with_a_count(
    tmp_path, capsys, read, make, kept
):
    make(tmp_path)
    (tmp_path / "about.txt").write_text("not audio")
    sounds = [*tmp_path.rglob("*.flac"), *tmp_path.rglob("*.wav")]
    for path in sounds[1:]:
        path.rename(path.with_suffix(".m4a"))
    corpus = read(tmp_path)
    assert len(corpus.clips) == 1
    assert len(corpus.missing) == 5
    (said,) = capsys.readouterr().err.splitlines()
    assert f"Notice: {corpus.name}: sounds skipped, whose format cannot be read: 5, such as" in said
    for path in sounds[1:]:
        path.with_suffix(".m4a").rename(path)
        path.with_suffix(".m4a").touch()
    assert not read(tmp_path).missing and not capsys.readouterr().err
    for path in sounds:
        path.rename(path.with_suffix(".m4a"))
    with pytest.raises(
        CorpusError,
        match=r"none of the audio\. sounds skipped, .*: 6, such as .*; convert it to WAV",
    ):
        read(tmp_path)


def test_a_corpus_in_fewer_languages_is_converted_when_they_are_named(tmp_path):
    corpus = read_clotho(make_clotho(tmp_path / "source"))
    corpus = with_translations(corpus, translated(corpus, ["zho"]))
    path, _ = write_corpus(corpus, tmp_path / "out", ("eng", "zho"))
    assert manifest.load_manifest(path, ("eng", "zho"))["test"].languages == ("eng", "zho")


def test_a_conversion_that_cannot_write_stops_and_leaves_no_clip_out(tmp_path, monkeypatch):
    corpus = complete(read_clotho(make_clotho(tmp_path / "source")))

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    full_disk = pytest.raises(OSError, match="cannot be written .No space left")
    with monkeypatch.context() as patch, full_disk:
        patch.setattr(pathlib.Path, "write_bytes", full)
        write_corpus(corpus, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert write_corpus(corpus, tmp_path / "out")[1] == []


def test_conversion_reads_audio_as_manifests_do(tmp_path, monkeypatch):
    corpus = complete(read_clotho(make_clotho(tmp_path / "source")))
    read = []
    loud = np.full(3300, 1.5, np.float32)
    monkeypatch.setattr(corpora, "read_audio", lambda path: read.append(path) or loud[len(read) :])
    path, _ = write_corpus(corpus, tmp_path / "out")
    assert sorted(read) == sorted(set(corpus.captions["audio"]))
    assert (
        manifest.load_manifest(path)["val"].clip(0).min() > 0.99
    )  # what exceeds 1 is clipped, not wrapped


def test_a_corpus_that_lacks_a_language_is_not_converted(tmp_path):
    corpus = read_clotho(make_clotho(tmp_path))
    with pytest.raises(KeyError, match="'fra', .* not in index"):
        write_corpus(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    tables = translated(corpus)
    del tables["zho"][7]
    said = "clotho: no zho translation of 'Bird in development, number 3'; add one first"
    with pytest.raises(CorpusError, match=said):
        with_translations(corpus, tables)
    tables["zho"].insert(7, Translation(corpus.sentences[7], "zho", " "))
    with pytest.raises(CorpusError, match=said):
        with_translations(corpus, tables)


@pytest.mark.parametrize("split, count", [("val", 4), ("test", 6)])
def test_a_clip_of_audiocaps_without_five_captions_is_refused(tmp_path, split, count):
    make_audiocaps(tmp_path)
    rows = audiocaps_rows(split, "c", count)
    write_table(tmp_path / f"AUDIOCAPS/csv_files_v1/{split}.csv", AUDIOCAPS, rows)
    with pytest.raises(CorpusError, match=rf"{split}\.csv has {count} captions of c_30, not 5"):
        read_audiocaps(tmp_path)


def test_japanese_by_a_model_is_not_mixed_with_peoples(tmp_path):
    corpus = complete(read_audiocaps(make_audiocaps(tmp_path / "source")))
    rows = audiocaps_rows("train", "ab", 1)
    write_table(tmp_path / "ja/train_auto.csv", AUDIOCAPS, rows)
    assert with_human_japanese(corpus, tmp_path / "ja")[1] == 20
    write_table(tmp_path / "ja/train.csv", AUDIOCAPS, rows[:1])
    assert with_human_japanese(corpus, tmp_path / "ja")[1] == 21
    write_table(tmp_path / "ja/train.csv", AUDIOCAPS, [])
    assert with_human_japanese(corpus, tmp_path / "ja")[1] == 20


def test_human_japanese_takes_the_place_of_translations_where_it_exists(tmp_path):
    corpus = complete(read_audiocaps(make_audiocaps(tmp_path / "source")))
    folder = tmp_path / "captions" / "ja"
    for split, videos, captions in (("train_auto", "ab", 1), ("val", "cd", 5), ("test", "ef", 5)):
        rows = [
            [*row[:3], f"人の{row[3]}"]
            for row in audiocaps_rows(split.split("_")[0], videos, captions)
        ]
        write_table(folder / f"{split}.csv", AUDIOCAPS, rows[1:] if split == "test" else rows[::-1])
    human, rest = with_human_japanese(corpus, folder)
    assert rest == 1
    for (_, name), captions in human.clips:
        expected = [f"人の{caption}" for caption in captions["eng"]]
        if name == "e_30":
            expected[0] = f"jpn: {captions['eng'].iloc[0]}"
        assert captions["jpn"].tolist() == expected
        assert captions["fra"].str.startswith("fra: ").all()
    english = read_audiocaps(tmp_path / "source")
    with pytest.raises(KeyError, match="jpn"):
        with_human_japanese(english, folder)
    with pytest.raises(CorpusError, match="no train.csv"):
        with_human_japanese(corpus, tmp_path / "nowhere")


def test_download_asks_aac_datasets_for_every_split(monkeypatch, tmp_path):
    calls = []
    functional = types.ModuleType("aac_datasets.datasets.functional")
    functional.download_clotho_dataset = lambda **options: calls.append(options)
    functional.download_audiocaps_dataset = lambda **options: calls.append(options)
    datasets = types.ModuleType("aac_datasets.datasets")
    datasets.functional = functional
    for module in (types.ModuleType("aac_datasets"), datasets, functional):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    assert download("clotho", tmp_path / "clotho").is_dir()
    assert [call["subset"] for call in calls] == ["dev", "val", "eval"]
    download("audiocaps", tmp_path / "audiocaps")
    assert [call["subset"] for call in calls[3:]] == ["train", "val", "test"]
