"""What the text encoders share: which sentences they take, and any number of them through one."""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from atri_lib.data.dataset import text_fault
from atri_lib.encoders.weights import fingerprint
from atri_lib.languages import language as find_language
from atri_lib.progress import progress

# tokens of a sentence: what E5 and SONAR were trained on, and what keeps the memory of all three
# small
LONGEST = 512


@torch.no_grad()
def embed(
    encoder: nn.Module, sentences: Sequence[str], language: str = "eng", batch_size: int = 64
) -> Tensor:
    """Vectors [N, dim] of any number of sentences, in the order given, without gradient or dropout.

    Batches hold sentences of similar length, so that little padding is computed. Raises what
    tokenize raises.
    """
    device = next(encoder.parameters()).device
    vectors = torch.empty(len(sentences), encoder.dim, device=device)
    if not len(sentences):
        return vectors
    tokens = encoder.tokenize(sentences, language)
    lengths = tokens["mask"].sum(1)
    training = encoder.training
    encoder.eval()
    try:
        batches = lengths.argsort(stable=True).split(batch_size)
        for rows in progress(batches, f"embedding {language}", unit="batch"):
            longest = int(lengths[rows[-1]])
            batch = {name: value[rows, :longest].to(device) for name, value in tokens.items()}
            vectors[rows] = encoder(**batch).to(vectors.dtype)
    finally:
        encoder.train(training)
    return vectors


def mean_of_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """Token states [N, L, dim], averaged where the mask [N, L] is true: [N, dim]."""
    keep = mask[..., None].to(states.dtype)
    return (states * keep).sum(1) / keep.sum(1)


def padded(rows: list[list[int]]) -> dict[str, Tensor]:
    """Token lists as ids, int64 [N, longest], padded on the right with zeros, and mask, bool [N,
    longest], true at tokens.

    Raises ValueError naming the first sentence of more than 512 tokens.
    """
    for index, row in enumerate(rows):
        if len(row) > LONGEST:
            said = f"has {len(row):,} tokens, at most {LONGEST} can be read: shorten it"
            raise ValueError(f"sentence {index} {said}")
    ids = [torch.tensor(row) for row in rows]
    mask = [torch.ones(len(row), dtype=torch.bool) for row in rows]
    return joined([{"ids": ids, "mask": mask}])


def joined(batches: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tokens of several batches behind each other, padded to the longest with zeros, which the mask
    leaves out.
    """
    together = {}
    for name in batches[0]:
        rows = [row for batch in batches for row in batch[name]]
        together[name] = pad_sequence(rows, batch_first=True)
    return together


def checked(sentences: Sequence[str]) -> list[str]:
    """The sentences as a list. Raises TypeError for a bare string, ValueError naming one that is
    empty, too long or no text (`text_fault`).
    """
    if isinstance(sentences, str):
        raise TypeError(f"expected a list of sentences, not one string: [{sentences[:40]!r}]")
    for index, sentence in enumerate(sentences):
        if fault := text_fault(sentence):
            raise ValueError(f"sentence {index} {fault}: {sentence[:40]!r}")
    return list(sentences)


class TextEncoder(nn.Module):
    """What the text encoders share. A subclass has `pieces(sentences, language)`: the number and
    the text of each token of each sentence, with tags, begin and end. It raises UnknownLanguage for
    a code that is none of the eight. Sentences are `checked` before.
    """

    fingerprint = property(fingerprint)
    embed = embed
    unknown: int  # the number of every piece that the vocabulary does not know
    prefix = ""  # what is said before every sentence

    def tokenize(self, sentences: Sequence[str], language: str = "eng") -> dict[str, Tensor]:
        """Sentences of one language -> ids int64 and mask bool, [N, longest].

        Raises ValueError for a sentence of more than 512 tokens, and what `checked` and `pieces`
        raise.
        """
        rows = self.pieces([self.prefix + text for text in checked(sentences)], language)
        return padded([[number for number, _ in row] for row in rows])

    def unknown_pieces(self, sentences: Sequence[str], language: str = "eng") -> list[list[str]]:
        """The pieces of each sentence that the vocabulary does not know: they all become one and
        the same token.
        """
        rows = self.pieces(checked(sentences), language)
        return [[text for number, text in row if number == self.unknown] for row in rows]


class SentencePieceEncoder(TextEncoder):
    """A text encoder that reads the pieces of a SentencePiece vocabulary: [begin] + pieces + [end].

    The language changes nothing. A run of unknown characters is one piece; a sentence of no pieces
    is unknown as a whole.
    """

    replacements: Mapping[int, str] = {}  # of characters, before a sentence is read

    def __init__(self, tokenizer: SentencePieceProcessor | None = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    @classmethod
    def filled(cls, state: dict[str, Tensor], *arguments) -> Self:
        """cls(*arguments) in evaluation mode with these weights, which may be flat."""
        with torch.device("meta"):  # shapes only
            encoder = cls(*arguments)
        for name, place in encoder.state_dict().items():
            state[name] = state[name].view(place.shape)
        encoder.load_state_dict(state, assign=True)
        return encoder.eval()

    def pieces(self, sentences: Sequence[str], language: str) -> list[list[tuple[int, str]]]:
        """Number and text of each token of each sentence; texts only where one is unknown."""
        find_language(language)
        read = [text.translate(self.replacements) for text in sentences]
        numbers = self.tokenizer.encode(read)
        begin = (self.tokenizer.bos_id(), "")
        end = (self.tokenizer.eos_id(), "")
        rows = []
        for sentence, text, row in zip(sentences, read, numbers, strict=True):
            texts = [""] * len(row)
            if self.unknown in row:  # only then they are looked at
                texts = self.tokenizer.encode(text, out_type=str)
            pieces = list(zip(row, texts, strict=True)) or [(self.unknown, sentence)]
            rows.append([begin, *pieces, end])
        return rows
