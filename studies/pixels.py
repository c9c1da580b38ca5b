"""The control of the studies of pictures: 24 x 24 pixels instead of an encoder."""

from torch import Tensor, nn

from atri_lib.encoders.efficientnet import EfficientNetLite0

SIDE = 24
ROWS, COLUMNS = 2, 3  # of the grid that features keep


class Pixels(nn.Module):
    """What can be told from colours and places alone: uint8 [N, height, width, 3] -> [N, 6, 288],
    from 0 to 1, cell by cell as EfficientNetLite0 orders them.
    """

    name, dim, fingerprint = "pixels", 3 * SIDE * SIDE // (ROWS * COLUMNS), "pixels-1"
    probes = staticmethod(EfficientNetLite0.probes)

    def forward(self, pictures: Tensor) -> Tensor:
        images = pictures.permute(0, 3, 1, 2).float() / 255
        small = nn.functional.adaptive_avg_pool2d(images, SIDE)  # [N, 3, 24, 24]
        cell = (SIDE // ROWS, SIDE // COLUMNS)
        cells = nn.functional.unfold(small, cell, stride=cell)  # [N, 288, 6], row by row
        by_columns = cells.unflatten(2, (ROWS, COLUMNS)).transpose(2, 3)
        return by_columns.flatten(2).transpose(1, 2)
