"""Tiny random checkpoints in the published file formats: what runs at paper scale can be tried on a
laptop first.
"""

import contextlib
import functools
import io
import json
import pathlib
from collections.abc import Iterator

import sentencepiece
import torch
from safetensors.torch import save_file
from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

from atri_lib.encoders.ced import CED
from atri_lib.encoders.sonar import SonarText

PIECES = 120
SENTENCES = [
    "a dog barks",
    "a dog barks, then a horn blows",
    "rain falls on a roof while a bird sings",
    "un chien aboie",
    "ein Hund bellt, dann ertönt eine Hupe",
    "un perro ladra",
    "een hond blaft",
    "un gos borda",
    "犬が吠える",
    "狗在叫",
]


def write_ced(folder: pathlib.Path, size: str = "tiny", seed: int = 0) -> None:
    """model.safetensors with the keys of the hub's CED checkpoints; weights are random."""
    folder.mkdir(parents=True, exist_ok=True)
    with _seeded(seed):
        state = CED(size).state_dict()
    tensors = {f"encoder.{key}": value.contiguous() for key, value in state.items()}
    save_file(tensors, folder / "model.safetensors")


def write_sonar(folder: pathlib.Path, seed: int = 0, **changes) -> None:
    """config.json, model.safetensors and tokenizer of a small random SONAR. changes: fields of
    M2M100Config.
    """
    sizes = {
        "d_model": 32,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "vocab_size": len(write_tokenizer(folder)),
    }
    with _seeded(seed):
        model = SonarText.from_config(**sizes | changes)
    model.encoder.save_pretrained(folder)


def write_translator(folder: pathlib.Path, seed: int = 0) -> None:
    """A random seq2seq model (configuration, weights, tokenizer) of the architecture of
    NLLB-200.
    """
    config = M2M100Config(
        vocab_size=len(write_tokenizer(folder)),
        d_model=16,
        max_position_embeddings=64,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
    )
    with _seeded(seed):
        model = M2M100ForConditionalGeneration(config)
    model.save_pretrained(folder)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@functools.cache
def sentencepiece_model() -> bytes:
    """A BPE model of 120 pieces, as trained by SentencePiece."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 3),
        model_writer=model,
        vocab_size=PIECES,
        model_type="bpe",
        character_coverage=1.0,
        minloglevel=2,
    )
    return model.getvalue()


def write_sentencepiece_tokenizer(folder: pathlib.Path) -> None:
    """sentencepiece.bpe.model and tokenizer_config.json with the table of added tokens, as NLLB
    publishes them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokens = dict(enumerate(["<s>", "<pad>", "</s>", "<unk>"]))
    # One more than the pieces: <pad> is none of SentencePiece's.
    tokens |= enumerate([*FAIRSEQ_LANGUAGE_CODES, "<mask>"], PIECES + 1)
    flags = {
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }
    added = {str(number): {"content": token} | flags for number, token in tokens.items()}
    config = {
        "tokenizer_class": "NllbTokenizer",
        "legacy_behaviour": False,
        "model_max_length": 1024,
        "added_tokens_decoder": added,
        "additional_special_tokens": FAIRSEQ_LANGUAGE_CODES,
    }
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_tokenizer(folder: pathlib.Path) -> NllbTokenizer:
    """tokenizer.json and tokenizer_config.json; returns the tokenizer."""
    write_sentencepiece_tokenizer(folder)
    tokenizer = NllbTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "sentencepiece.bpe.model").unlink()
    return tokenizer
