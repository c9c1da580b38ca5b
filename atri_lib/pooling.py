"""From the patches of a tower to equal parts of a clip: once, and the same way for cached features
and open towers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def equal_parts(patches: Tensor, parts: int) -> Tensor:
    """Average patches within `parts` equal stretches of the clip: [N, P, F] -> [N, parts, F]; P =
    parts is kept.
    """
    if patches.shape[1] == parts:
        return patches
    averaged = nn.functional.adaptive_avg_pool1d(patches.mT, parts)
    return averaged.mT


def encode_parts(tower: nn.Module, clips: Sequence[Tensor], parts: int) -> Tensor:
    """Waveforms of any lengths, or pictures of any sizes, through a tower, its patches averaged in
    equal parts: [N, parts, F].

    Clips of one shape go together: none is padded, so its features do not depend on its batch.
    """
    pooled = {}
    for shape in sorted({clip.shape for clip in clips}):
        rows = [i for i, clip in enumerate(clips) if clip.shape == shape]
        patches = tower(torch.stack([clips[i] for i in rows]))
        pooled |= zip(rows, equal_parts(patches, parts), strict=True)
    return torch.stack([pooled[i] for i in range(len(clips))])


class TimePooling(nn.Module):
    """Average patch embeddings within equal parts of the clip and join the parts, so that order
    survives.

    in: [N, P, F]; out: [N, parts * F]. A plain mean (parts = 1) cannot tell "a dog, then a horn"
    from the reverse.
    """

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, patches: Tensor) -> Tensor:
        return equal_parts(patches, self.parts).flatten(1)
