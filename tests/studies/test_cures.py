"""What the studies of cures train with: schemes of batches and of texts, two encoders at once,
captions without sound.
"""

import numpy as np
import pytest
import torch

from atri_lib.losses import ml_clap_loss, pair_losses
from atri_lib.schemes import SCHEMES, clip_order
from atri_lib.training import TrainConfig, build_model, loop
from studies import averaged_queries, parallel_text
from studies.all_texts import AllTexts, AllTextsBalanced
from studies.batches import Even, EvenKept, Kept
from studies.two_text_encoders import Both

CLIPS = 160
MlClap = SCHEMES["ml_clap"]


def heard(scheme, epochs):
    """Languages [epochs, clips]."""
    return np.stack([scheme.languages(epoch)[:, 0] for epoch in range(epochs)])


@pytest.mark.parametrize("kind, own", [(Even, {}), (EvenKept, {"m": 1})])
def test_an_even_batch_has_every_language_equally_often(kind, own):
    scheme = kind(CLIPS, 8, seed=3, **own)
    drawn = heard(scheme, 16)
    for epoch in range(16):
        order = clip_order(CLIPS, 3, scheme.ordered_as(epoch))
        batches = drawn[epoch, order].reshape(-1, 40)
        assert all((np.bincount(batch, minlength=8) == 5).all() for batch in batches)
        counts = np.bincount(drawn[epoch, order][:100], minlength=8)
        assert set(counts) <= {12, 13}  # a batch of the studies


@pytest.mark.parametrize("kind", [Kept, EvenKept])
def test_kept_batches_last_a_cycle_in_which_every_language_is_heard(kind):
    scheme = kind(CLIPS, 8, seed=3, m=1)
    assert [scheme.ordered_as(epoch) for epoch in (0, 7, 8, 15)] == [0, 0, 8, 8]
    drawn = heard(scheme, 16)
    for first in (0, 8):
        assert (np.sort(drawn[first : first + 8], axis=0).T == np.arange(8)).all()
    assert (drawn[:8] != drawn[8:]).any()


def test_kept_differs_from_balanced_in_its_batches_alone():
    kept, balanced = (kind(CLIPS, 8, seed=3, m=1) for kind in (Kept, SCHEMES["balanced"]))
    assert (heard(kept, 16) == heard(balanced, 16)).all()
    assert balanced.ordered_as(9) == 9


def test_training_takes_the_batches_of_a_scheme_that_keeps_them(toy, monkeypatch, tmp_path):
    taken = []
    real = loop.clip_order
    monkeypatch.setattr(loop, "clip_order", lambda *given: taken.append(given[2]) or real(*given))
    config = TrainConfig(scheme="studies.batches:Kept", m=1, epochs=9, batch_size=20, hidden=8)
    data = toy()
    loop.train(config, data, build_model(config, data), tmp_path / "no checkpoint")
    assert taken == [0] * 8 + [8]


def test_even_and_kept_is_for_one_language_an_epoch():
    with pytest.raises(ValueError, match="one language an epoch, got m=2"):
        EvenKept(CLIPS, 8, m=2)


@pytest.mark.parametrize("kind", [AllTexts, AllTextsBalanced])
def test_the_drawn_caption_meets_the_audio_and_all_its_translations(kind):
    scheme = kind(CLIPS, 8, seed=3, text_text=0.25)
    drawn = np.stack([scheme.languages(epoch) for epoch in range(8)])
    assert (np.sort(drawn, axis=2) == np.arange(8)).all()
    if kind is AllTextsBalanced:
        assert (np.sort(drawn[:, :, 0], axis=0).T == np.arange(8)).all()
    np.testing.assert_allclose(scheme.distribution(0).max(axis=1), 1 / CLIPS)
    of_one = SCHEMES["balanced"](CLIPS, 8, m=1) if kind is AllTextsBalanced else MlClap(CLIPS, 8)
    epochs = np.arange(10)
    same = scheme.covariance(epochs[:, None], epochs)
    np.testing.assert_allclose(same, of_one.covariance(epochs[:, None], epochs), atol=1e-12)
    clips, texts = torch.randn(6, 5), torch.randn(6, 8, 5)
    with_texts = pair_losses(texts[:, 0], texts[:, 1:], 0.1).mean()
    expected = 0.75 * ml_clap_loss(clips, texts[:, 0], 0.1) + 0.25 * with_texts
    assert scheme.loss(clips, texts, 0.1) == pytest.approx(expected.item())


def test_both_encoders_stand_side_by_side_at_length_one():
    both = Both()
    vectors = both.embed(["a dog", "a cat"], language="eng")
    assert vectors.shape == (2, both.dim) and len(both.readers) == 2
    first, second = vectors.split([reader.dim for reader in both.readers], dim=1)
    for part in (first, second):
        torch.testing.assert_close(part.norm(dim=1), torch.ones(2))
    assert both.fingerprint == Both().fingerprint


def test_parallel_text_has_only_sounds_of_the_test(recordings):
    from atri_lib.data.banks import default_bank
    from studies.unseen_sounds import UnseenSounds, some_sounds

    def names(split):
        return {sound.names["eng"] for sound in some_sounds(default_bank(), split, 1).items}

    templates = parallel_text.Templates("train", "1/400")
    said = [text.lower() for text in templates.sentences("eng")]
    assert len(said) == 400
    assert all(any(name in text for name in names("test")) for text in said)
    assert not any(name in text for name in names("train") for text in said)
    assert set(parallel_text.Names("train", "1").sentences("eng")) == names("test")
    test = UnseenSounds("test", "1")
    for code in ("eng", "jpn"):
        assert not set(templates.sentences(code)) & set(test.sentences(code))


def test_a_query_in_all_languages_is_the_same_in_each(toy, monkeypatch):
    texts = torch.nn.functional.normalize(torch.randn(5, 8, 4), dim=-1)
    asked = averaged_queries.queries(texts)
    for vectors in asked.values():
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(5, 8))
    torch.testing.assert_close(asked["one language"], texts)
    torch.testing.assert_close(asked["with English"][:, 0], texts[:, 0])
    same = asked["all languages"]
    assert torch.equal(same, same[:, :1].expand_as(same))
    monkeypatch.setattr(averaged_queries, "SEEDS", range(2))
    config = TrainConfig(epochs=1, batch_size=20, width=8, hidden=16)
    found = averaged_queries.measure(config, toy())["queries"]["balanced"]
    assert len(found["one language"]["recall"]) == 2
    assert found["all languages"]["own"] == found["all languages"]["stable"] == 0
