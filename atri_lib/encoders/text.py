"""Sentences of any number and length through a text encoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atri_lib.progress import progress


@torch.no_grad()
def embed_sentences(encoder: nn.Module, sentences: Sequence[str], language: str, batch_size: int) -> Tensor:
    """Vectors [N, dim] in the order given, on the encoder's device, without dropout.

    The encoder offers tokenize, forward(ids, mask) and dim. Batches hold sentences of similar length, so that little
    padding is computed. Raises what tokenize raises.
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
        for rows in progress(lengths.argsort(stable=True).split(batch_size), f"embedding {language}", unit="batch"):
            longest = int(lengths[rows[-1]])
            batch = {name: value[rows, :longest].to(device) for name, value in tokens.items()}
            vectors[rows] = encoder(**batch).to(vectors.dtype)
    finally:
        encoder.train(training)
    return vectors


def padded(rows: list[list[int]], padding: int) -> dict[str, Tensor]:
    """Token lists as ids, int64 [N, longest], padded on the right, and mask, bool [N, longest], true at tokens."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, padding)
    ids[mask] = torch.tensor([token for row in rows for token in row])
    return {"ids": ids, "mask": mask}


def checked(sentences: Sequence[str]) -> list[str]:
    """The sentences as a list. Raises TypeError for a bare string, ValueError naming one that is empty."""
    if isinstance(sentences, str):
        raise TypeError(f"expected a list of sentences, not one string: [{sentences[:40]!r}]")
    for index, sentence in enumerate(sentences):
        if not sentence.strip():
            raise ValueError(f"sentence {index} is empty")
    return list(sentences)
