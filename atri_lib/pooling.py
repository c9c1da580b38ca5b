"""From the patches of a tower to equal parts of a clip: once, and the same way for cached features
and open towers.
"""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def equal_parts(patches: Tensor, parts: int) -> Tensor:
    """Average patches within `parts` equal stretches of the clip: [N, P, F] -> [N, parts, F]; P =
    parts is kept.
    """
    return nn.functional.adaptive_avg_pool1d(patches.transpose(1, 2), parts).transpose(1, 2)


def encode_parts(tower: Callable[[Tensor], Tensor], clips: Sequence[Tensor], parts: int) -> Tensor:
    """Waveforms of any lengths, or pictures of any sizes, through a tower, its patches averaged in
    equal parts: [N, parts, F].

    Clips of one shape go together: none is padded, so its features do not depend on its batch.
    """
    shapes = [clip.shape for clip in clips]
    order = sorted(range(len(clips)), key=shapes.__getitem__)
    pooled = []
    for _, rows in itertools.groupby(order, key=shapes.__getitem__):
        together = torch.stack([clips[i] for i in rows])
        pooled.append(equal_parts(tower(together), parts))
    pooled = torch.cat(pooled)
    return pooled[torch.tensor(order).argsort().to(pooled.device)]


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
