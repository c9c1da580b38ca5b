"""Convolutions that pad as TensorFlow does ("same"), for networks that were trained there."""

from torch import nn


def same_padded(
    width_in: int,
    width_out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> list[nn.Module]:
    """A convolution, with what pads before it. Sizes are even: with stride 2 the smaller half of
    the padding comes first.
    """
    layers = []
    margin = kernel // 2
    if stride == 2:
        layers.append(nn.ZeroPad2d((margin - 1, margin, margin - 1, margin)))
        margin = 0
    layers.append(nn.Conv2d(width_in, width_out, kernel, stride, margin, groups=groups, bias=bias))
    return layers
