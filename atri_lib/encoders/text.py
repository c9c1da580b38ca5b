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


def padded(rows: list[list[int]], padding: int) -> dict[str, Tensor]:
    """Token lists as ids, int64 [N, longest], padded on the right, and mask, bool [N, longest],
    true at tokens.

    Raises ValueError naming the first sentence of more than 512 tokens.
    """
    lengths = torch.tensor([len(row) for row in rows])
    if lengths.max() > LONGEST:
        index = int((lengths > LONGEST).nonzero()[0])
        raise ValueError(
            f"sentence {index} has {lengths[index]:,} tokens, at most {LONGEST} can be read: "
            "shorten it"
        )
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, padding)
    ids[mask] = torch.tensor([token for row in rows for token in row])
    return {"ids": ids, "mask": mask}


def joined(batches: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tokens of several batches behind each other, padded to the longest with zeros, which the mask
    leaves out.
    """
    together = {}
    for name in batches[0]:
        longest = max(batch[name].shape[1] for batch in batches)
        padded_rows = []
        for batch in batches:
            missing = longest - batch[name].shape[1]
            padded_rows.append(nn.functional.pad(batch[name], (0, missing)))
        together[name] = torch.cat(padded_rows)
    return together


def checked(sentences: Sequence[str]) -> list[str]:
    """The sentences as a list. Raises TypeError for a bare string, ValueError naming one that says
    nothing.
    """
    if isinstance(sentences, str):
        raise TypeError(f"expected a list of sentences, not one string: [{sentences[:40]!r}]")
    for index, sentence in enumerate(sentences):
        if not any(character.isprintable() and not character.isspace() for character in sentence):
            fault = "is empty"
            if sentence.strip():
                fault = f"holds nothing that can be read: {sentence[:20]!r}"
            raise ValueError(f"sentence {index} {fault}; write a caption or leave it out")
        if re.search("[\ud800-\udfff]", sentence):
            raise ValueError(
                f"sentence {index} holds half a surrogate pair, which is no character: "
                f"{sentence[:40]!r}"
            )
    return list(sentences)


def unknown_pieces(vocabulary: SentencePieceProcessor, sentences: list[str]) -> list[list[str]]:
    """The pieces of each sentence that a vocabulary does not know; a sentence of no pieces is
    unknown as a whole.
    """
    unknown = vocabulary.unk_id()
    found = []
    for sentence in sentences:
        numbers = vocabulary.encode(sentence)
        pieces = vocabulary.encode(sentence, out_type=str)
        if numbers:
            pairs = zip(numbers, pieces, strict=True)
            found.append([piece for number, piece in pairs if number == unknown])
        else:
            found.append([sentence])
    return found
