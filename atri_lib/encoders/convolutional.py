"""What the two convolutional towers share."""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn

from atri_lib.encoders.weights import fingerprint


def same_padded(
    width_in: int, width_out: int, kernel: int = 1, stride: int = 1, **options: int
) -> list[nn.Module]:
    """A convolution, with what pads before it as TensorFlow does ("same"), where the weights come
    from. Sizes are even: with stride 2 the smaller half of the padding comes first. options: as
    nn.Conv2d has them.
    """
    layers = []
    margin = kernel // 2
    if stride == 2:
        layers.append(nn.ZeroPad2d((margin - 1, margin, margin - 1, margin)))
        margin = 0
    layers.append(nn.Conv2d(width_in, width_out, kernel, stride, margin, **options))
    return layers


class Tower(nn.Module):
    """Layers from input to output."""

    fingerprint = property(fingerprint)

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # 3x faster on a CPU

    @classmethod
    def filled(cls, published: Iterable[Tensor]) -> Self:
        """A tower in evaluation mode with the tensors of its layers, from input to output."""
        # The random start is overwritten: leave the caller's generator alone.
        with torch.random.fork_rng(devices=[]):
            tower = cls().eval()
        for place, values in zip(tower.layers.state_dict().values(), published, strict=True):
            place.copy_(values)
        return tower

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers that `unfreeze` counts, from input to output."""
        return list(self.layers)
