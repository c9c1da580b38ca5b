"""The control of the studies of pictures."""

import torch

from studies.pixels import Pixels


def test_every_colour_stays_where_it_is():
    picture = torch.zeros(1, 48, 48, 3, dtype=torch.uint8)
    picture[0, 40, 4, 0] = 255  # red in the left column, in the lower row
    (cells,) = Pixels()(picture)
    assert cells.shape == (6, Pixels.dim)
    assert cells.count_nonzero() == 1
    assert cells[1].count_nonzero() == 1
