"""What the two convolutional towers share."""

import pathlib
from collections.abc import Callable, Iterable
from typing import Self

import torch
from torch import Tensor, nn

from atri_lib import storage
from atri_lib.encoders.weights import fingerprint

# name of a tower -> its blocks from input to output: channels out, stride and so on
TABLES = pathlib.Path(__file__).with_name("layers.json")


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
    """Layers from input to output: a convolution to 32 channels, then the blocks that TABLES lists
    under the tower's name.

    channels: of the input. convolution and block: what makes the modules of a layer, from widths in
    and out and what else it is made of.
    """

    fingerprint = property(fingerprint)

    def __init__(
        self,
        channels: int,
        convolution: Callable[..., list[nn.Module]],
        block: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        width = 32
        layers = [nn.Sequential(*convolution(channels, width, 3, stride=2))]
        for row in storage.read_json(TABLES)[self.name]:
            layers.append(block(width, **row))
            width = row["width_out"]
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
