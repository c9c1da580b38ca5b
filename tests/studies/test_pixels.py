"""The control of the studies of pictures."""

import torch

from studies.pixels import Pixels


def test_every_colour_stays_where_it_is():
    picture = torch.zeros(1, 48, 48, 3, dtype=torch.uint8)
    picture[0, 40, 4] = torch.tensor([255, 0, 0])  # in the left column, in the lower row
    cells = Pixels()(picture)[0]
    assert cells.shape == (6, Pixels.dim) and torch.count_nonzero(cells) == 1
    assert torch.count_nonzero(cells[1]) == 1
