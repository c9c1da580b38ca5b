"""SONAR: the published keys, the tokenizer's format, mean pooling, errors."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tiny_nllb import SENTENCES, write_sentencepiece_tokenizer, write_tokenizer
from transformers import M2M100Config

from atri_lib.encoders.sonar import ARCHITECTURE, SonarText, nllb_tokenizer
from atri_lib.hub import CheckpointError, ModelUnavailable
from atri_lib.languages import CODES, LANGUAGES, UnknownLanguage

SMALL = {
    "vocab_size": 326,
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model in the published layout: config.json, model.safetensors, tokenizer files."""
    path = tmp_path_factory.mktemp("sonar")
    tokenizer = write_tokenizer(path)
    torch.manual_seed(0)
    SonarText.from_config(tokenizer, **SMALL).encoder.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def sonar(folder) -> SonarText:
    return SonarText.pretrained(folder)


def published_shapes(
    layers: int = 24, width: int = 1024, ffn: int = 8192, vocabulary: int = 256206
) -> dict:
    """Keys and shapes of the port to transformers."""
    shapes = {
        "embed_tokens.weight": (vocabulary, width),
        "layer_norm.weight": (width,),
        "layer_norm.bias": (width,),
    }
    for layer in range(layers):
        square = [f"self_attn.{name}_proj" for name in "kvq"] + ["self_attn.out_proj"]
        linear = {name: (width, width) for name in square} | {
            "fc1": (ffn, width),
            "fc2": (width, ffn),
        }
        for name, shape in linear.items():
            shapes |= {
                f"layers.{layer}.{name}.weight": shape,
                f"layers.{layer}.{name}.bias": shape[:1],
            }
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"layers.{layer}.{name}.{part}": (width,) for part in ("weight", "bias")}
    return shapes


def test_the_published_architecture_is_built_without_a_download():
    with torch.device("meta"):  # shapes without memory
        encoder = SonarText.from_config()
    shapes = {key: tuple(value.shape) for key, value in encoder.encoder.state_dict().items()}
    assert shapes == published_shapes()
    assert (encoder.dim, len(encoder.blocks)) == (1024, 24)
    assert sum(math.prod(shape) for shape in shapes.values()) == 766_091_264


def test_a_published_folder_holds_the_published_keys_and_a_constant_more_is_left_out(folder, sonar):
    state = load_file(folder / "model.safetensors")
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes == published_shapes(2, 16, 32, 326)
    state["embed_positions.weights"] = torch.zeros(3, 16)
    again = SonarText.from_config(**SMALL).load_published(state)
    assert again.fingerprint == sonar.fingerprint


def test_missing_and_unexpected_keys_are_listed(folder):
    state = load_file(folder / "model.safetensors")
    del state["layers.1.fc2.bias"]
    state["decoder.layer_norm.weight"] = torch.zeros(16)
    expected = (
        r"missing: \['layers\.1\.fc2\.bias .*'\], unexpected: \['decoder\.layer_norm\.weight .*'\]"
    )
    with pytest.raises(CheckpointError, match=expected):
        SonarText.from_config(**SMALL).load_published(state)


@pytest.mark.parametrize("entry", LANGUAGES, ids=CODES)
def test_a_sentence_is_tag_pieces_end(sonar, entry):
    tokens = sonar.tokenize(["a dog barks"], entry.code)
    row = sonar.tokenizer.convert_ids_to_tokens(tokens["ids"][0])
    assert row == [entry.nllb, "▁a", "▁dog", "▁barks", "</s>"]
    assert tokens["ids"][0, -1] == 2 and tokens["ids"].dtype == torch.int64


def test_both_tokenizer_files_give_the_published_numbers(folder, tmp_path):
    write_sentencepiece_tokenizer(tmp_path / "published")
    for tokenizer in (nllb_tokenizer(folder), nllb_tokenizer(tmp_path / "published")):
        # 120 pieces and <pad>, then 202 tags in NLLB's order, then <mask>: English is number 46 of
        # the tags
        numbers = tokenizer.convert_tokens_to_ids(
            ["<s>", "<pad>", "</s>", "<unk>", "ace_Arab", "eng_Latn", "<mask>"]
        )
        assert numbers == [0, 1, 2, 3, 121, 121 + 46, 121 + 202]


def test_a_tokenizer_without_language_tags_is_refused(tmp_path):
    write_sentencepiece_tokenizer(tmp_path / "bare")
    (tmp_path / "bare" / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "NllbTokenizer",
                "legacy_behaviour": False,
                "model_max_length": 1024,
            }
        )
    )
    for wrong in (tmp_path / "bare", tmp_path):  # and no tokenizer at all
        with pytest.raises(CheckpointError, match="no tokenizer with language tags before <mask>"):
            nllb_tokenizer(wrong)


def test_language_changes_the_vector_and_unknown_languages_are_refused(sonar):
    english, french = sonar.embed(["a dog barks"], "eng"), sonar.embed(["a dog barks"], "fra")
    assert (english - french).abs().max() > 1e-3
    with pytest.raises(UnknownLanguage, match="jpn"):
        sonar.tokenize(["a dog barks"], "jp")


def test_the_vector_is_the_mean_of_the_token_states(sonar):
    tokens = sonar.tokenize(SENTENCES[:3])
    states = sonar.encoder(input_ids=tokens["ids"], attention_mask=tokens["mask"]).last_hidden_state
    lengths = tokens["mask"].sum(1).tolist()
    expected = torch.stack([states[i, :length].mean(0) for i, length in enumerate(lengths)])
    assert len(set(lengths)) > 1
    torch.testing.assert_close(sonar(**tokens), expected)


def test_padding_and_batches_do_not_change_a_sentence(sonar):
    tokens = sonar.tokenize(SENTENCES)
    padded = {
        name: torch.nn.functional.pad(value, (0, 3)) for name, value in tokens.items()
    }  # with <s>, masked
    torch.testing.assert_close(sonar(**padded), sonar(**tokens))
    torch.testing.assert_close(sonar.embed(SENTENCES, batch_size=3), sonar(**tokens).detach())
    alone = torch.cat([sonar.embed([sentence]) for sentence in SENTENCES])
    torch.testing.assert_close(sonar.embed(SENTENCES, batch_size=4), alone)
    assert sonar.embed([]).shape == (0, 16)


def test_embed_has_no_dropout_and_leaves_training_on(folder):
    encoder = SonarText.pretrained(folder).train()
    assert torch.equal(encoder.embed(SENTENCES), encoder.embed(SENTENCES)) and encoder.training
    tokens = encoder.tokenize(SENTENCES)
    assert not torch.equal(encoder(**tokens), encoder(**tokens))


def test_every_parameter_trains(folder):
    encoder = SonarText.pretrained(folder)
    encoder(**encoder.tokenize(SENTENCES)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_without_a_model_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"cointegrated/SONAR_200_text_encoder.*HF_HOME"):
        SonarText.pretrained()
    with pytest.raises(OSError, match=r"config\.json"):
        SonarText.pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no tokenizer with"):
        M2M100Config(**ARCHITECTURE | SMALL).save_pretrained(tmp_path)
        SonarText.pretrained(tmp_path)


def test_a_caption_of_more_than_512_tokens_is_refused(sonar):
    assert sonar.tokenize([("a " * 510).strip()])["ids"].shape == (1, 512)
    with pytest.raises(
        ValueError, match="sentence 1 has 513 tokens, at most 512 can be read: shorten it"
    ):
        sonar.embed(["a dog barks", ("a " * 511).strip()])


def test_unknown_characters_are_those_that_become_the_unknown_token(sonar):
    sentences = ["a dog barks", "a ☃ barks ☃☃", "狗在叫 兀"]
    assert sonar.unknown_pieces(sentences, "zho") == [[], ["☃", "☃☃"], ["兀"]]
    ids = sonar.tokenize(sentences, "zho")["ids"]
    assert (ids == sonar.tokenizer.unk_token_id).sum(1).tolist() == [0, 2, 1]
    with pytest.raises(UnknownLanguage, match="jpn"):
        sonar.unknown_pieces(["a dog barks"], "jp")
