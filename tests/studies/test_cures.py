"""What the studies of cures train with: schemes of batches and of texts, two encoders at once,
captions without sound.
"""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from atri_lib.data.banks import default_bank
from atri_lib.losses import ml_clap_loss, pair_losses
from atri_lib.schemes import SCHEMES, clip_order
from atri_lib.training import TrainConfig, build_model, loop
from studies import averaged_queries, parallel_text
from studies.all_texts import AllTexts, AllTextsBalanced
from studies.batches import Even, EvenKept, Kept
from studies.two_text_encoders import Both
from studies.unseen_sounds import UnseenSounds, some_sounds

CLIPS = 160
MlClap = SCHEMES["ml_clap"]
Balanced = SCHEMES["balanced"]


def heard(scheme, epochs=16):
    """Languages [epochs, clips]."""
    columns = [scheme.languages(epoch)[:, 0] for epoch in range(epochs)]
    return np.stack(columns)


def in_all_languages(drawn):
    """Does every clip meet each of the eight languages once, along the first axis?"""
    return (np.sort(drawn, axis=0).T == np.arange(8)).all()


@pytest.mark.parametrize("kind, own", [(Even, {}), (EvenKept, {"m": 1})])
def test_an_even_batch_has_every_language_equally_often(kind, own):
    scheme = kind(clips=CLIPS, languages=8, seed=3, **own)
    for epoch, drawn in enumerate(heard(scheme)):
        order = clip_order(CLIPS, 3, scheme.ordered_as(epoch))
        in_order = drawn[order]
        for batch in in_order.reshape(-1, 40):
            assert set(np.bincount(batch, minlength=8)) == {5}
        of_the_studies = in_order[:100]
        assert set(np.bincount(of_the_studies, minlength=8)) <= {12, 13}


@pytest.mark.parametrize("kind", [Kept, EvenKept])
def test_kept_batches_last_a_cycle_in_which_every_language_is_heard(kind):
    scheme = kind(clips=CLIPS, languages=8, seed=3, m=1)
    assert [scheme.ordered_as(epoch) for epoch in (0, 7, 8, 15)] == [0, 0, 8, 8]
    first, second = heard(scheme).reshape(2, 8, CLIPS)
    assert in_all_languages(first)
    assert in_all_languages(second)
    assert (first != second).any()


def test_kept_differs_from_balanced_in_its_batches_alone():
    kept = Kept(clips=CLIPS, languages=8, seed=3, m=1)
    balanced = Balanced(clips=CLIPS, languages=8, seed=3, m=1)
    assert (heard(kept) == heard(balanced)).all()
    assert balanced.ordered_as(9) == 9


def test_training_takes_the_batches_of_a_scheme_that_keeps_them(toy, monkeypatch, tmp_path):
    taken = []
    real = loop.clip_order
    monkeypatch.setattr(loop, "clip_order", lambda *given: taken.append(given[2]) or real(*given))
    config = TrainConfig(scheme="studies.batches:Kept", m=1, epochs=9, batch_size=20, hidden=8)
    data = toy()
    model = build_model(config, data)
    loop.train(config, data, model, tmp_path / "no checkpoint")
    assert taken == [0] * 8 + [8]


def test_even_and_kept_is_for_one_language_an_epoch():
    with pytest.raises(ValueError, match="even_kept: m=.*: Input should be 1"):
        EvenKept(clips=CLIPS, languages=8, m=2)


@pytest.mark.parametrize(
    "kind, plain",
    [
        (AllTexts, MlClap(clips=CLIPS, languages=8)),
        (AllTextsBalanced, Balanced(clips=CLIPS, languages=8, m=1)),
    ],
)
def test_all_texts_are_drawn_as_its_plain_scheme_draws_one(kind, plain):
    scheme = kind(clips=CLIPS, languages=8, seed=3)
    for epoch in range(8):
        assert in_all_languages(scheme.languages(epoch).T)
    assert in_all_languages(heard(scheme, 8)) == (kind is AllTextsBalanced)
    np.testing.assert_allclose(scheme.distribution(0).max(axis=1), 1 / CLIPS)
    epochs = np.arange(10)
    found = scheme.covariance(epochs[:, None], epochs)
    expected = plain.covariance(epochs[:, None], epochs)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_drawn_caption_meets_the_audio_and_all_its_translations():
    scheme = AllTexts(clips=CLIPS, languages=8, seed=3, text_text=0.25)
    clips = torch.randn(6, 5)
    texts = torch.randn(6, 8, 5)
    drawn = texts[:, 0]
    with_texts = pair_losses(drawn, texts[:, 1:], 0.1).mean()
    expected = 0.75 * ml_clap_loss(clips, drawn, 0.1) + 0.25 * with_texts
    assert scheme.loss(clips, texts, 0.1) == pytest.approx(expected.item())


def test_both_encoders_stand_side_by_side_at_length_one():
    both = Both()
    vectors = both.embed(["a dog", "a cat"], language="eng")
    assert vectors.shape == (2, both.dim)
    sizes = [reader.dim for reader in both.readers]
    assert len(sizes) == 2
    for part in vectors.split(sizes, dim=1):
        assert_close(part.norm(dim=1), torch.ones(2))
    assert both.fingerprint == Both().fingerprint


def test_parallel_text_has_only_sounds_of_the_test(recordings):
    def names(split):
        return {sound.names["eng"] for sound in some_sounds(default_bank(), split, 1).items}

    of_test = names("test")
    of_training = names("train")
    templates = parallel_text.Templates("train", "1/400")
    said = templates.sentences("eng")
    assert len(said) == 400
    for text in map(str.lower, said):
        assert any(name in text for name in of_test)
        assert not any(name in text for name in of_training)
    bare = parallel_text.Names("train", "1")
    assert set(bare.sentences("eng")) == of_test
    test = UnseenSounds("test", "1")
    for code in ("eng", "jpn"):
        assert not set(templates.sentences(code)) & set(test.sentences(code))


def test_a_query_in_all_languages_is_the_same_in_each(toy, monkeypatch):
    texts = normalize(torch.randn(5, 8, 4), dim=-1)
    asked = averaged_queries.queries(texts)
    for vectors in asked.values():
        assert_close(vectors.norm(dim=-1), torch.ones(5, 8))
    assert_close(asked["one language"], texts)
    assert_close(asked["with English"][:, 0], texts[:, 0])
    same = asked["all languages"]
    assert torch.equal(same, same[:, :1].expand_as(same))
    monkeypatch.setattr(averaged_queries, "SEEDS", range(2))
    config = TrainConfig(epochs=1, batch_size=20, width=8, hidden=16)
    found = averaged_queries.measure(config, toy())["queries"]["balanced"]
    assert len(found["one language"]["recall"]) == 2
    together = found["all languages"]
    assert together["own"] == together["stable"] == 0
