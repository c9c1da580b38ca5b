"""What batches are made of: cached and open towers say the same, nothing is loaded or listed
twice.
"""

import json
import pathlib

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from atri_lib.data.features import clip_features
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.encoders.dual import DualEncoder
from atri_lib.languages import CODES
from atri_lib.pooling import TimePooling, encode_parts, equal_parts
from atri_lib.search import Searcher
from atri_lib.training import (
    Source,
    TrainConfig,
    build_model,
    datasets,
    fair_table,
    load_data,
    load_or_train,
    score,
    sources,
)
from atri_lib.training.scoring import encode
from studies.random_checkpoints import write_ced, write_sonar

PATCHES = (9, 10, 20, 31, 62)


class Tower(nn.Module):
    """A patch is 100 samples through a random matrix: [N, S] -> [N, S // 100, 8]."""

    name, dim = "tower", 8

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(100, self.dim)])

    def forward(self, waveform):
        return self.blocks[0](waveform.unfold(1, 100, 100))


class Clips:
    """Noise of PATCHES patches, captions that name clip and language; counts what it is asked
    for.
    """

    checksum, owner = "sources", np.arange(len(PATCHES))

    def __init__(self):
        self.asked = []

    def __len__(self):
        return len(PATCHES)

    def clip(self, index):
        self.asked.append(index)
        return (
            np.random.default_rng(index)
            .normal(size=100 * PATCHES[index] + index)
            .astype(np.float32)
        )

    def sentences(self, code):
        self.asked.append(code)
        return [f"{code} {'very ' * i}loud" for i in range(len(self))]


class Letters:
    """Takes a caption for its letters; [N, longest] ids and mask."""

    def tokenize(self, sentences, language):
        assert all(sentence.startswith(language) for sentence in sentences)
        rows = [torch.tensor([ord(letter) for letter in sentence]) for sentence in sentences]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return {"ids": ids, "mask": ids > 0}


def open_source() -> Source:
    owner = torch.arange(len(PATCHES))
    return Source(Clips(), None, None, CODES, owner, Letters(), torch.device("cpu"))


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 9])
def test_cached_features_and_an_open_tower_give_the_projections_the_same(
    tmp_path, monkeypatch, parts
):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path))
    source, tower = open_source(), Tower()
    cached = torch.from_numpy(clip_features(source.dataset, tower, parts, "tower"))
    model = DualEncoder(tower.dim, 4, parts=parts, audio_tower=tower).eval()
    clips, index = source.clips(torch.arange(len(PATCHES))), torch.arange(len(PATCHES))
    opened = encode_parts(tower, clips, parts)
    torch.testing.assert_close(cached, opened, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(TimePooling(parts)(cached), opened.flatten(1), atol=1e-6, rtol=1e-5)
    by_hand = [tower(clip[None])[0] for clip in clips]
    for i, patches in enumerate(by_hand):  # a part is the mean of the patches that it overlaps
        edges = [
            (len(patches) * j // parts, -(-len(patches) * (j + 1) // parts)) for j in range(parts)
        ]
        expected = torch.stack([patches[start:end].mean(0) for start, end in edges])
        torch.testing.assert_close(opened[i], expected, atol=1e-6, rtol=1e-5)
    open_vectors = model.encode_clips(source.clips(index))
    model.audio_tower = None
    torch.testing.assert_close(model.encode_clips(cached), open_vectors, atol=1e-6, rtol=1e-5)
    if parts == 3:  # what was done before: in nine parts, then in three
        assert all((equal_parts(equal_parts(p[None], 9), 3)[0] - q).abs().max() > 0.05
                   for p, q in list(zip(by_hand, opened, strict=True))[1:])  # fmt: skip


def test_clips_come_in_the_order_asked_for():
    source = open_source()
    index = torch.tensor([3, 0, 3, 4])
    batches = source.clip_batches([index[:2], index[2:]])
    clips = [clip for batch in batches for clip in batch]
    expected = [torch.from_numpy(Clips().clip(i)) for i in index.tolist()]
    assert all(torch.equal(clip, other) for clip, other in zip(clips, expected, strict=True))
    assert source.dataset.asked == [3, 0, 3, 4]


def test_a_clip_that_cannot_be_read_is_an_error_where_it_is_needed():
    source = open_source()
    source.dataset.clip = lambda index: np.load("no such clip.npy")
    with pytest.raises(FileNotFoundError, match="no such clip"):
        source.clips(torch.tensor([0]))


def test_captions_in_mixed_languages_keep_their_order():
    source = open_source()
    index, language = torch.tensor([2, 0, 4, 1]), torch.tensor([7, 0, 1, 0])
    for _ in range(3):
        tokens = source.captions(index, language)
        texts = [
            "".join(map(chr, row[keep].tolist()))
            for row, keep in zip(*tokens.values(), strict=True)
        ]
        assert texts == [
            "zho very very loud",
            "eng loud",
            "fra very very very very loud",
            "eng very loud",
        ]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> pathlib.Path:
    """Tiny CED and SONAR as published; clips of 4 to 10 s, 25 to 62 patches."""
    folder = tmp_path_factory.mktemp("sources")
    write_ced(folder / "ced")
    write_sonar(folder / "sonar", dropout=0.0, attention_dropout=0.0, activation_dropout=0.0)
    (folder / "corpus").mkdir()
    lines, generator = [], np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for i in range(4):
            samples = generator.normal(size=64_000 + 32_000 * i) * np.linspace(
                0, 0.2, 64_000 + 32_000 * i
            )
            soundfile.write(folder / "corpus" / f"{split}{i}.wav", samples, 16_000)
            captions = {code: f"{code} noise {'very ' * i}long in {split}" for code in CODES}
            lines.append(
                json.dumps({"audio": f"{split}{i}.wav", "split": split, "captions": captions})
            )
    (folder / "corpus" / "manifest.jsonl").write_text("\n".join(lines))
    return folder


def settings(published: pathlib.Path, **changes) -> TrainConfig:
    values = {
        "clip_encoder": f"ced-tiny={published / 'ced'}",
        "text_encoder": f"sonar={published / 'sonar'}",
        "data": str(published / "corpus"),
        "epochs": 1,
        "batch_size": 4,
        "width": 8,
        "hidden": 16,
        "parts": 3,
    }
    return TrainConfig(**values | changes)


@pytest.mark.parametrize("unfreeze", [{"clips": "all", "text": "all"}, {"clips": 2}, {"text": 1}])
def test_a_run_trained_frozen_and_continued_with_open_towers_starts_where_it_ended(
    published, tmp_path, unfreeze
):
    frozen = settings(published)
    first = load_or_train(frozen, folder=tmp_path)
    further = settings(published, unfreeze=unfreeze, init=str(first.path), learning_rate=1e-12)
    opened = load_or_train(further, folder=tmp_path)  # its steps change nothing
    np.testing.assert_array_equal(opened.scores.t2a, first.scores.t2a)
    np.testing.assert_array_equal(opened.scores.a2t, first.scores.a2t)
    assert opened.metrics["test"] == pytest.approx(first.metrics["test"], rel=1e-4)


def test_a_search_uses_the_towers_that_a_run_has_trained(published, tmp_path):
    opened = {"clips": 2, "text": 1}
    config = settings(published, unfreeze=opened, learning_rate=0.01, epochs=2)
    run = load_or_train(config, folder=tmp_path)
    data = load_data(config)
    test = data.splits["test"]
    clips, captions = encode(run.model(data), test)
    searcher = Searcher(run)
    sentences = test.dataset.sentences("deu")
    np.testing.assert_allclose(searcher.embed_texts(sentences, "deu"), captions[:, 2], atol=1e-4)
    sound = test.dataset.clip(1)
    np.testing.assert_allclose(searcher.embed_clip(sound), clips[1], atol=1e-4)


def test_a_frozen_model_scores_alike_on_features_and_on_waveforms(published):
    frozen, opened = (
        settings(published),
        settings(published, unfreeze={"clips": "all", "text": "all"}),
    )
    on_features = load_data(frozen)
    on_waveforms = load_data(opened)
    results = [score(build_model(config, data), data.splits["test"])
               for config, data in ((frozen, on_features), (opened, on_waveforms))]  # fmt: skip
    np.testing.assert_array_equal(results[0].t2a, results[1].t2a)
    assert results[0].summary == pytest.approx(results[1].summary, rel=1e-4)
    assert on_waveforms.splits["test"].clip_features is None
    assert on_features.splits["test"].clip_features.shape == (4, 3, 192)


def with_lines(published, folder, change):
    """A copy of the manifest, each line changed."""
    folder.mkdir()
    for sound in (published / "corpus").glob("*.wav"):
        (folder / sound.name).hardlink_to(sound)
    lines = map(json.loads, (published / "corpus" / "manifest.jsonl").read_text().splitlines())
    changed = [json.dumps(line) for line in map(change, lines) if line]
    (folder / "manifest.jsonl").write_text("\n".join(changed))
    return str(folder)


def only(*codes):
    return lambda line: line | {"captions": {code: line["captions"][code] for code in codes}}


@pytest.mark.parametrize(("codes", "scheme"), [(("eng", "zho"), "kcl"), (("eng",), "english")])
def test_captions_of_the_runs_languages_suffice(published, tmp_path, codes, scheme):
    data = with_lines(published, tmp_path / "few", only(*codes))
    config = settings(published, data=data, languages=codes, scheme=scheme)
    source = load_data(config).splits["train"]
    full = load_data(config.replace(data=str(published / "corpus"))).splits["train"]
    assert (
        source.languages == codes
        and source.dataset.languages == codes
        and full.dataset.languages == CODES
    )
    torch.testing.assert_close(source.text, full.text, atol=1e-6, rtol=1e-5)
    opened = config.replace(unfreeze={"text": 1})
    for given in (config, opened):
        assert set(load_or_train(given, folder=tmp_path).scores.table.index) == {*codes, "mean"}
    with pytest.raises(ValueError, match="(?s)caption missing in .*--languages"):
        load_data(settings(published, data=data))


def test_what_the_text_encoder_does_not_know_is_reported_for_a_users_data(published, monkeypatch):
    told = []
    monkeypatch.setattr(sources, "report_unknown", lambda *given: told.append(given))
    data = load_data(settings(published))
    ((splits, encoder),) = told
    assert list(splits) == ["train", "val", "test"] and encoder is data.text_encoder
    monkeypatch.setattr(datasets, "default_bank", synthetic_sounds)
    load_data(settings(published, data=None, scenes=(4, 2, 2)))
    assert len(told) == 1


class Doubled(Clips):
    """Five clips: the first two share their English caption, the last two their sound."""

    recordings = ("a", "b", "c", "d", "d")

    def sentences(self, code):
        texts = super().sentences(code)
        return [texts[0], texts[0], *texts[2:]] if code == "eng" else texts


def test_evaluation_says_what_shared_captions_and_sounds_leave_to_be_reached():
    """A caption's embedding is its sound's, or between two that share it; only clip 2 is lost."""
    dataset = Doubled()
    audio, text = torch.eye(5)[[0, 1, 2, 3, 3]], torch.eye(5).repeat(2, 1, 1)
    text[:, 4] = text[:, 3]
    text[0, :2] = text[0, :2].mean(0)
    text[0, 1, 0] += 1e-6  # as another batch might round
    text[:, 2] *= -1
    model = DualEncoder(5, 5, parts=1)
    model.audio_projection = model.text_projection = nn.Identity()
    source = Source(
        dataset, audio[:, None], text, ("eng", "fra"), torch.arange(5), None, torch.device("cpu")
    )
    table = fair_table(model, source)
    assert list(table.index) == ["eng", "fra", "mean"]
    for direction in ("T2A", "A2T"):
        assert list(table[f"{direction} ambiguous"]) == [4, 2, 3]
        assert list(table[f"{direction} R@1 reachable"]) == pytest.approx([60, 80, 70])
        assert list(table[f"{direction} R@1 fair"]) == pytest.approx([40, 60, 50])
