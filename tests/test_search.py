"""Search: the nearest entries by cosine, and an index that is read as it was written."""

import io
import itertools
import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile
import torch

from atri_lib.__main__ import main
from atri_lib.languages import UnknownLanguage
from atri_lib.search import Index, Searcher, SearchError, index_folder
from atri_lib.training import Run, TrainConfig, load_or_train
from conftest import toy_data

INDEX = Index(
    ("a", "b", "c", "d"), np.array([[0, 1], [1, 0], [0.6, 0.8], [1, 0]], np.float32), "weights"
)


def test_the_nearest_come_first_and_equal_ones_keep_their_order():
    found = INDEX.nearest(np.array([1, 0], np.float32), 3)
    assert found == [("b", 1.0), ("d", 1.0), ("c", pytest.approx(0.6))]
    assert [name for name, _ in INDEX.nearest(np.array([0, 1], np.float32), 9)] == [
        "a",
        "c",
        "b",
        "d",
    ]


def test_an_index_is_read_as_it_was_written(tmp_path):
    INDEX.save(tmp_path / "index")
    read = Index.load(tmp_path / "index")
    assert (tuple(read.names), read.weights) == (INDEX.names, INDEX.weights)
    assert np.array_equal(read.embeddings, INDEX.embeddings)
    odd = os.fsdecode(b"K\xfcche.wav")  # a file name that is not UTF-8
    Index((odd,), np.ones((1, 2), np.float32), "weights").save(tmp_path / "odd")
    assert list(Index.load(tmp_path / "odd").names) == [odd]
    (tmp_path / "other").write_bytes(b"no index")
    with pytest.raises(SearchError, match="not an index"):
        Index.load(tmp_path / "other")


def test_every_byte_of_an_index_is_noticed(tmp_path):
    INDEX.save(tmp_path / "index")
    content = (tmp_path / "index").read_bytes()
    for place in range(len(content)):
        for bit in (0, 3, 6):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            (tmp_path / "index").write_bytes(changed)
            with pytest.raises(SearchError, match="index: not an index .*build it with `search"):
                Index.load(tmp_path / "index")


@pytest.mark.parametrize(
    ("names", "vectors"),
    [
        (("a",), np.ones((2, 3), np.float32)),
        (("a", "b"), np.ones(2, np.float32)),
        ((1, 2), np.ones((2, 3), np.float32)),
        (("a", "b"), np.full((2, 3), np.nan, np.float32)),
        (("a", "b"), np.ones((2, 3))),
    ],
)
def test_parts_that_do_not_fit_make_no_index(names, vectors):
    with pytest.raises(SearchError, match="N names and vectors"):
        Index(names, vectors, "weights")


def test_an_index_replaces_an_index_and_nothing_else(tmp_path):
    INDEX.save(tmp_path / "index")
    Index(("e",), np.ones((1, 2), np.float32), "other").save(tmp_path / "index")
    assert list(Index.load(tmp_path / "index").names) == ["e"]
    soundfile.write(tmp_path / "clip.flac", np.zeros(2000), 16000)
    before = (tmp_path / "clip.flac").read_bytes()
    with pytest.raises(SearchError, match="clip.flac: not an index .*; name another file"):
        INDEX.save(tmp_path / "clip.flac")
    assert (tmp_path / "clip.flac").read_bytes() == before


class Ear(torch.nn.Module):
    """Patches of 1,000 samples: 12 numbers each."""

    dim = 12

    def forward(self, clips):
        patches = clips[:, : clips.shape[1] // 1000 * 1000].reshape(len(clips), -1, 1000)
        return patches.unflatten(-1, (10, 100)).std(-1).repeat(1, 1, 2)[..., :12]


class Reader(torch.nn.Module):
    """How often each of ten letters occurs."""

    dim = 10

    def embed(self, sentences, language):
        return torch.tensor(
            [[sentence.count(letter) for letter in "abcdefghio"] for sentence in sentences]
        ).float()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    config = TrainConfig(epochs=2, batch_size=20, width=8, hidden=8)
    return load_or_train(config, toy_data(), folder=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def searcher(run, monkeypatch):
    monkeypatch.setattr("atri_lib.search.build_encoders", lambda *names: (Ear(), Reader()))
    return Searcher(run)


@pytest.fixture
def sounds(tmp_path):
    """Three sounds of different length and loudness, one in a folder of its own, and what macOS
    leaves beside them.
    """
    (tmp_path / "more").mkdir()
    noise = np.random.default_rng(0).normal(size=16000)
    for i, name in enumerate(("b.wav", "a.flac", "more/c.WAV")):
        samples = 0.1 * (i + 1) * noise[: 4000 * (i + 1)] / 4
        soundfile.write(tmp_path / name, samples, 16000, format=name[-4:].strip("."))
    (tmp_path / "more" / "._c.wav").write_bytes(b"macOS")
    return tmp_path


def test_sounds_and_sentences_become_unit_vectors_of_the_runs_space(searcher, run):
    assert searcher.weights == run.metrics["sha256"]["weights.safetensors"]
    assert not searcher.model.training
    audio = searcher.embed_clip(np.random.default_rng(1).normal(size=5000).astype(np.float32))
    texts = searcher.embed_texts(["a dog", "a bird", "a cat"], "eng")
    assert audio.shape == (8,) and texts.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm([audio, *texts], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(texts[1], searcher.embed_texts(["a bird"], "eng")[0], rtol=1e-5)


def test_a_folder_is_searched_by_the_same_numbers_as_each_sound(searcher, sounds):
    index, broken = index_folder(searcher, sounds)
    assert (
        broken == []
        and index.names == ("a.flac", "b.wav", "more/c.WAV")
        and index.weights == searcher.weights
    )
    query = searcher.embed_texts(["a big dog"], "eng")[0]
    found = dict(index.nearest(query, 9))
    for name in index.names:
        wave, _ = soundfile.read(sounds / name, dtype="float32")
        assert found[name] == pytest.approx(float(searcher.embed_clip(wave) @ query), abs=1e-5)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_every_format_that_can_be_read_is_indexed_and_what_was_skipped_is_named(
    searcher, sounds, capsys
):
    noise = np.random.default_rng(0).normal(size=24000) / 10
    for name, options in {
        "d.aiff": {},
        "e.opus": {"format": "OGG", "subtype": "OPUS"},
        "f.oga": {"format": "OGG"},
        "g.mp3": {},
        "h.au": {},
        "i.caf": {},
    }.items():
        soundfile.write(sounds / name, noise, 24000, **options)
    for name in (*(f"{n}.m4a" for n in range(6)), "notes.txt", ".hidden.m4a"):
        (sounds / name).write_bytes(b"....ftypM4A ")
    (sounds / "folder.wav").mkdir()
    (sounds / ".trash").mkdir()
    shutil.copy(sounds / "b.wav", sounds / ".trash")
    index, broken = index_folder(searcher, sounds)
    read = ("a.flac", "b.wav", "d.aiff", "e.opus", "f.oga", "g.mp3", "h.au", "i.caf", "more/c.WAV")
    assert index.names == read and not broken
    assert "sounds skipped, whose format cannot be read: 6, such as 0.m4a, 1.m4a" in (
        err := capsys.readouterr().err
    )
    assert "4.m4a; convert it to WAV" in err and "notes" not in err
    (sounds / "m4a").mkdir()
    (sounds / "0.m4a").rename(sounds / "m4a" / "0.m4a")
    with pytest.raises(SearchError, match="m4a: holds no files to search"):
        index_folder(searcher, sounds / "m4a")
    assert "format cannot be read: 1, such as 0.m4a; convert it" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["1", "0"])
def test_a_search_in_a_folder_counts_the_sounds_on_stderr(
    run, searcher, sounds, monkeypatch, capsys, given
):
    """On a clock that goes two seconds at every look: bars are silent for three."""
    ticks = itertools.count(step=2.0)
    monkeypatch.setattr("tqdm.std.time", lambda: next(ticks))
    monkeypatch.setenv("ATRI_PROGRESS", given)
    assert main(["search", "a dog", "--run", str(run.path), "--folder", str(sounds)]) == 0
    out, err = capsys.readouterr()
    counted = [int(done) for done in re.findall(r"embedding files:[^\r]* (\d)/3 \[", err)]
    assert counted == ([2, 3] if given == "1" else [])
    assert out.count("wav") == 1 and "embedding files" not in out


def test_captions_are_found_by_a_sound_and_kept_in_an_index(
    run, searcher, sounds, tmp_path_factory, capsys
):
    folder = tmp_path_factory.mktemp("captions")
    (folder / "captions.txt").write_text("a dog\n \na bird \n")
    asked = ["search", "--run", str(run.path), "--audio", str(sounds / "b.wav"), "--json"]
    index = ["--index", str(folder / "index")]
    assert main([*asked, "--captions", str(folder / "captions.txt"), *index]) == 0
    found = capsys.readouterr().out
    sound = searcher.embed_clip(searcher.read(sounds / "b.wav"))
    expected = {
        text: searcher.embed_texts([text], "eng")[0] @ sound for text in ("a dog", "a bird")
    }
    results = {one["name"]: one["similarity"] for one in json.loads(found)["results"]}
    assert results == pytest.approx(expected, abs=1e-4)
    assert main([*asked, *index]) == 0
    assert capsys.readouterr().out == found


@pytest.mark.parametrize("text", ["", " \t", "\u200b", "\0", "half \ud83d"])
def test_what_is_no_text_is_refused(searcher, text):
    with pytest.raises(SearchError, match="describe a sound|half of a character"):
        searcher.embed_texts(["a dog", text], "eng")
    with pytest.raises(UnknownLanguage):
        searcher.embed_texts(["a dog"], "xx")


def test_the_broken_sounds_of_a_folder_are_listed_and_the_others_indexed(searcher, sounds):
    (sounds / "d.wav").write_text("text")
    (sounds / "e.mp3").write_bytes(b"")
    odd = os.fsdecode(os.fsencode(sounds) + b"/f\xff.wav")
    shutil.copy(sounds / "b.wav", odd)
    index, broken = index_folder(searcher, sounds)
    assert index.names == ("a.flac", "b.wav", "f\udcff.wav", "more/c.WAV")
    assert len(index.embeddings) == 4
    index.save(sounds / "index")
    assert tuple(Index.load(sounds / "index").names) == index.names
    assert [line.partition(": ")[0] for line in broken] == [f"{sounds}/d.wav", f"{sounds}/e.mp3"]
    assert all(line.count("wav: ") + line.count("mp3: ") == 1 for line in broken)
    with pytest.raises(
        SearchError,
        match=r"^2 of 6 files cannot be read: .*d\.wav: .*e\.mp3: ",
    ) as caught:
        index_folder(searcher, sounds, strict=True)
    assert "\n" not in str(caught.value)
    (sounds / "empty").mkdir()
    faults = {"b.wav": "is a file", "nowhere": "no such folder", "empty": "holds no files"}
    for name, fault in faults.items():
        with pytest.raises(SearchError, match=f"{name}: {fault}"):
            index_folder(searcher, sounds / name)


QUESTIONS = {
    "typed": ["--queries", "-"],
    "file": ["--queries", "queries.txt"],
    "text": ["a dog"],
    "sound": ["--audio", "b.wav"],
}
TEXTS = ("typed", "file", "text")  # what has a language


class Translator(Reader):
    """A reader whose vector depends on the language too, as SONAR's does."""

    def embed(self, sentences, language):
        return super().embed(sentences, language) + (language == "fra") * torch.arange(10)


@pytest.mark.parametrize("encoder", [Reader, Translator])
@pytest.mark.parametrize(
    ("asked", "language"),
    [*((asked, []) for asked in QUESTIONS), *((asked, ["--language", "fra"]) for asked in TEXTS)],
)
def test_an_assumed_language_is_said_once_where_it_matters(
    run, sounds, monkeypatch, capsys, encoder, asked, language
):
    monkeypatch.setattr("atri_lib.search.build_encoders", lambda *names: (Ear(), encoder()))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a dog\na bird\n")))
    monkeypatch.chdir(sounds)
    (sounds / "queries.txt").write_text("a dog\na bird\n")
    command = ["search", "--run", str(run.path), "--folder", ".", *QUESTIONS[asked], *language]
    assert main(command) == 0
    out, err = capsys.readouterr()
    said = encoder is Translator and not language and asked != "sound"
    assert err.count("texts are read as eng; --language CODE names another") == said
    assert out.count("a.flac") == (2 if asked in ("typed", "file") else 1)


def test_a_line_without_end_is_refused(run, sounds, monkeypatch, capsys):
    monkeypatch.setattr("atri_lib.search.build_encoders", lambda *names: (Ear(), Reader()))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a" * 10**6)))
    command = ["search", "--run", str(run.path), "--folder", str(sounds), "--queries", "-"]
    assert main(command) == 1
    assert "a query of 65536 characters or more: shorten it" in capsys.readouterr().err


def test_a_wrong_query_is_refused_before_a_model_is_loaded(run, sounds, monkeypatch, capsys):
    monkeypatch.delattr("atri_lib.search.build_encoders")
    monkeypatch.chdir(sounds)
    (sounds / "queries.txt").write_bytes(b"a dog\nK\xfcche\n")
    for asked, said in (["\u200b"], "is empty"), (["--queries", "queries.txt"], "queries.txt:2: "):
        assert main(["search", "--run", str(run.path), "--folder", ".", *asked]) == 1
        assert said in capsys.readouterr().err
