"""Captions without clips: read, refused, and what an alignment makes of them."""

import json

import numpy as np
import pytest
import torch

from atri_lib.data.intake import ManifestError
from atri_lib.data.manifest import ParallelText, load_parallel_text
from atri_lib.encoders.alignment import Alignment
from atri_lib.languages import CODES
from atri_lib.training import Run, TrainConfig, load_data, load_or_train, score
from atri_lib.training.datasets import parallel_text
from tests.encoders.test_alignment import SMALL
from tests.manifest_faults import CAPTION_FAULTS, CAPTIONS


def written(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_captions_are_read_in_every_language_and_repeated_by_turns(tmp_path):
    two = CAPTIONS | {"eng": ["a tone", "a sound"]}
    path = written(
        tmp_path / "text.jsonl", {"captions": CAPTIONS, "source": "x"}, {"captions": two}
    )
    text = load_parallel_text(path)
    assert text.languages == CODES and len(text) == 2
    assert text.sentences("eng") == ["a tone, eng", "a tone", "a sound"]
    assert text.sentences("zho") == ["a tone, zho"] * 3
    other = written(tmp_path / "other.jsonl", {"captions": two})
    assert load_parallel_text(other).checksum != text.checksum
    with pytest.raises(IndexError, match="captions only"):
        text.clip(0)


@pytest.mark.parametrize("fault", CAPTION_FAULTS, ids=lambda fault: fault.name)
def test_what_is_wrong_with_a_caption_is_wrong_here_too(tmp_path, fault):
    path = written(
        tmp_path / "text.jsonl", {"captions": CAPTIONS}, {"captions": CAPTIONS} | fault.changes
    )
    with pytest.raises(ManifestError, match=f"text.jsonl:2: .*{fault.message}"):
        load_parallel_text(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "No such file.*text.jsonl"),
        ("folder", "text.jsonl: not a regular file"),
        ("", "empty; write one JSON object per line"),
        ("[1, 2]\n", "no JSON object"),
        ("{}\n", "captions: Field required"),
        ("no json\n", "no JSON .*; write one on each line"),
    ],
)
def test_a_file_that_holds_none_is_refused(tmp_path, content, message):
    path = tmp_path / "text.jsonl"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with pytest.raises((ManifestError, OSError), match=message):
        load_parallel_text(path)


def test_an_alignment_is_fitted_on_them_too_and_they_are_in_the_key(tmp_path, monkeypatch):
    config = TrainConfig(scheme="ml_clap", alignment="ridge", **SMALL)
    data = load_data(config)
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "text.jsonl", {"captions": CAPTIONS}, {"captions": CAPTIONS})
    with_text = config.replace(parallel_text="text.jsonl")
    more = load_data(with_text)
    trained = data.splits["train"].text
    assert torch.equal(data.parallel, trained)
    assert torch.equal(more.parallel[:, : trained.shape[1]], trained)
    assert more.parallel.shape[1] == trained.shape[1] + 2
    assert more.checksum != data.checksum
    run = load_or_train(with_text, more, folder=tmp_path / "run")
    expected = Alignment(len(CODES), trained.shape[-1])
    expected.fit("ridge", more.parallel)
    assert torch.equal(run.model(data).alignment.matrix, expected.matrix)
    expected.fit("ridge", trained)
    assert not torch.allclose(run.model(data).alignment.matrix, expected.matrix)
    assert Run.load(run.path).config.parallel_text == str(path)
    path.unlink()  # what was fitted is kept with the run
    test = load_data(run.config, splits=("test",)).splits["test"]
    np.testing.assert_array_equal(score(run.model(data), test).t2a, run.scores.t2a)


class NoChinese(ParallelText):
    def __init__(self, split):
        super().__init__([{"eng": ("a tone",)}], "English", ("eng",))


def test_a_class_of_ones_own_needs_the_languages_of_the_run():
    config = TrainConfig(alignment="ridge", parallel_text=f"{__name__}:NoChinese")
    with pytest.raises(ValueError, match="NoChinese has no captions in fra, deu"):
        parallel_text(config)


def test_without_an_alignment_they_are_refused():
    with pytest.raises(ValueError, match="parallel_text is what an alignment is fitted on"):
        TrainConfig(parallel_text="text.jsonl")
