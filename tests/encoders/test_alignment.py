"""Alignments: what each does to translations, how a run keeps it, what is refused."""

import numpy as np
import pytest
import torch

from atri_lib.encoders.alignment import KINDS, RIDGE, Alignment
from atri_lib.search import Searcher, SearchError
from atri_lib.training import Run, TrainConfig, load_data, load_or_train
from atri_lib.training.scoring import encode, score

SMALL = {"scenes": (24, 6, 8), "epochs": 2, "batch_size": 12, "width": 16, "hidden": 16}


def texts(languages: int = 3, captions: int = 400, width: int = 6) -> torch.Tensor:
    """One meaning per caption; each language turns it, shifts it and adds noise: [K, M, D]."""
    generator = torch.Generator().manual_seed(0)
    meaning = torch.randn(captions, width, generator=generator)
    turns = torch.linalg.qr(torch.randn(languages, width, width, generator=generator))[0]
    shift = torch.randn(languages, 1, width, generator=generator)
    noise = 0.1 * torch.randn(languages, captions, width, generator=generator)
    return meaning @ turns + shift + noise


def fitted(kind: str, features: torch.Tensor) -> torch.Tensor:
    alignment = Alignment(len(features), features.shape[-1])
    alignment.fit(kind, features)
    return torch.stack([alignment(rows, k) for k, rows in enumerate(features)])


def disagreement(features: torch.Tensor) -> float:
    """Variance over languages / variance over captions."""
    within = features.var(dim=0, correction=0).sum(-1).mean()
    return float(within / features.mean(dim=0).var(dim=0).sum())


def test_an_alignment_that_was_not_fitted_changes_nothing():
    features = texts()
    assert torch.equal(Alignment(3, 6)(features[1], 1), features[1])


@pytest.mark.parametrize("kind", ["ridge", "english"])
def test_ridge_maps_bring_turned_languages_together(kind):
    features = texts()
    assert disagreement(fitted(kind, features)) < 0.2 * disagreement(features)


def test_the_ridge_map_is_the_minimum_that_it_says():
    features = texts().double()
    alignment = Alignment(3, 6).double()
    alignment.fit("ridge", features)
    rows = features[1] - features[1].mean(dim=0)
    target = features.mean(dim=0)
    target = target - target.mean(dim=0)
    weight = alignment.matrix[1].clone().requires_grad_()
    penalty = RIDGE * (rows.mT @ rows).diagonal().mean()
    loss = (rows @ weight - target).square().sum() + penalty * weight.square().sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient.abs().max() < 1e-8 * loss.item()


def test_centring_makes_the_means_equal_and_nothing_else():
    features = texts()
    centred = fitted("centred", features)
    means = centred.mean(dim=1)
    assert torch.allclose(means, means[:1].expand_as(means), atol=1e-5)
    differences = centred[:, 1:] - centred[:, :-1]
    assert torch.allclose(differences, features[:, 1:] - features[:, :-1], atol=1e-5)


def test_whitening_is_one_map_that_makes_what_differs_within_captions_round():
    features = texts(languages=4)
    alignment = Alignment(4, 6)
    alignment.fit("whitening", features)
    assert torch.equal(alignment.matrix[0], alignment.matrix[3])
    white = torch.stack([alignment(rows, k) for k, rows in enumerate(features)])
    values = [torch.linalg.eigvalsh(_within(each)) for each in (features, white)]
    assert values[1][-1] / values[1][0] < values[0][-1] / values[0][0]


def _within(features: torch.Tensor) -> torch.Tensor:
    rows = (features - features.mean(dim=0)).flatten(0, 1)
    return rows.mT @ rows / len(rows)


def test_a_run_keeps_its_alignment_and_search_uses_it(tmp_path):
    config = TrainConfig(scheme="ml_clap", alignment="ridge", **SMALL)
    data = load_data(config)
    run = Run.load(load_or_train(config, data, folder=tmp_path).path)
    model = run.model(data)
    assert (model.alignment.matrix[2] - torch.eye(data.text_encoder.dim)).abs().max() > 0.01
    again = score(model, data.splits["test"])
    np.testing.assert_array_equal(again.t2a, run.scores.t2a)
    # The same vectors, from sentences.
    searcher = Searcher(run)
    expected = encode(model, data.splits["test"])[1][:, 2]
    sentences = data.splits["test"].dataset.sentences("deu")
    np.testing.assert_allclose(searcher.embed_texts(sentences, "deu"), expected, atol=1e-4)
    assert searcher.reads_language


def test_a_run_without_it_has_another_key_and_no_map(tmp_path):
    plain = TrainConfig(scheme="ml_clap", **SMALL)
    aligned = plain.replace(alignment="centred")
    data = load_data(plain)
    first = load_or_train(plain, data, folder=tmp_path)
    second = load_or_train(aligned, data, folder=tmp_path)
    assert first.path != second.path
    assert first.model(data).alignment is None
    # A second stage fits its own.
    third = load_or_train(
        aligned.replace(init=str(first.path), learning_rate=1e-4), data, folder=tmp_path
    )
    assert third.model(data).alignment is not None


def test_a_language_that_the_run_did_not_align_is_refused(tmp_path):
    config = TrainConfig(scheme="kcl", alignment="ridge", languages=("eng", "zho"), **SMALL)
    searcher = Searcher(load_or_train(config, folder=tmp_path))
    with pytest.raises(SearchError, match="deu is none of them"):
        searcher.embed_texts(["ein Hund"], "deu")


def test_what_cannot_be_aligned_is_refused():
    with pytest.raises(ValueError, match="frozen text tower"):
        TrainConfig(alignment="ridge", unfreeze={"text": 1})
    with pytest.raises(ValueError, match="alignment"):
        TrainConfig(alignment="procrustes")


def test_every_kind_is_a_setting_and_finite():
    for kind in KINDS:
        assert TrainConfig(alignment=kind).as_dict()["alignment"] == kind
        assert fitted(kind, texts(captions=3)).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e6])
def test_a_language_whose_captions_are_all_alike_is_aligned_without_an_error(kind, scale):
    texts = scale * torch.randn(3, 40, 16, generator=torch.Generator().manual_seed(0))
    texts[1] = texts[1, :1]
    alignment = Alignment(3, 16)
    alignment.fit(kind, texts)
    assert alignment(texts[1], 1).isfinite().all()
    assert alignment(texts[1], 1).std(dim=0).max() < 1e-6 * max(scale, 1.0)
