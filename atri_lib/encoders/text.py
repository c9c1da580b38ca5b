"""What the text encoders share: which sentences they take, and any number of them through one."""

import re
from collections.abc import Sequence

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor, nn

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
        for rows in progress(
            lengths.argsort(stable=True).split(batch_size), f"embedding {language}", unit="batch"
        ):
            longest = int(lengths[rows[-1]])
            batch = {name: value[rows, :longest].to(device) for name, value in tokens.items()}
            vectors[rows] = encoder(**batch).to(vectors.dtype)
    finally:
        encoder.train(training)
    return vectors


def padded(rows: list[list[int]], padding: int) -> dict[str, Tensor]:
    """Token lists as ids, int64 [N, longest], padded on the right, and mask, bool [N, longest],
    true at tokens.

    Raises ValueError naming the first sentence of more than 512 tokens.
    """
    lengths = torch.tensor([len(row) for row in rows])
    if lengths.max() > LONGEST:
        index = int((lengths > LONGEST).nonzero()[0])
        raise ValueError(
            f"sentence {index} has {lengths[index]:,} tokens, at most {LONGEST} can be read: shorten it"
        )
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, padding)
    ids[mask] = torch.tensor([token for row in rows for token in row])
    return {"ids": ids, "mask": mask}


def joined(batches: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tokens of several batches behind each other, padded to the longest with zeros, which the mask
    leaves out.
    """
    return {
        name: torch.cat(
            [nn.functional.pad(batch[name], (0, width - batch[name].shape[1])) for batch in batches]
        )
        for name, width in {
            name: max(batch[name].shape[1] for batch in batches) for name in batches[0]
        }.items()
    }


def checked(sentences: Sequence[str]) -> list[str]:
    """The sentences as a list. Raises TypeError for a bare string, ValueError naming one that says
    nothing.
    """
    if isinstance(sentences, str):
        raise TypeError(f"expected a list of sentences, not one string: [{sentences[:40]!r}]")
    for index, sentence in enumerate(sentences):
        if not any(character.isprintable() and not character.isspace() for character in sentence):
            fault = (
                "is empty"
                if not sentence.strip()
                else f"holds nothing that can be read: {sentence[:20]!r}"
            )
            raise ValueError(f"sentence {index} {fault}; write a caption or leave it out")
        if re.search("[\ud800-\udfff]", sentence):
            raise ValueError(
                f"sentence {index} holds half a surrogate pair, which is no character: {sentence[:40]!r}"
            )
    return list(sentences)


def unknown_pieces(vocabulary: SentencePieceProcessor, sentences: list[str]) -> list[list[str]]:
    """The pieces of each sentence that a vocabulary does not know; a sentence of no pieces is
    unknown as a whole.
    """
    numbers, pieces = vocabulary.encode(sentences), vocabulary.encode(sentences, out_type=str)
    unknown = vocabulary.unk_id()
    return [
        [piece for number, piece in zip(row, parts, strict=True) if number == unknown]
        if row
        else [sentence]
        for row, parts, sentence in zip(numbers, pieces, sentences, strict=True)
    ]
