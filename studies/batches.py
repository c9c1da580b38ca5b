"""Schemes that decide which languages share a batch.

They are schemes of the studies, not of the library, and are named as any scheme from outside is:
`studies.batches:Even`.
"""

import math
from typing import Literal

import numpy as np

from atri_lib.schemes import SCHEMES, Scheme, clip_order

MlClap = SCHEMES["ml_clap"]  # one language an epoch
Balanced = SCHEMES["balanced"]


class Even(MlClap):
    """ML-CLAP in which neighbours in the epoch's order, as many as there are languages, have
    different ones: a batch has every language about equally often.
    """

    name = "even"
    independent_clips = False

    def languages(self, epoch: int) -> np.ndarray:
        places = clip_order(self.clips, self.seed, epoch).argsort()
        return _groups(self, epoch)[places, None]


class Kept(Balanced):
    """Balanced, with the same batches in all epochs of a cycle. Draws of clips are independent, the
    noise of batches in different epochs is not.
    """

    name = "kept"

    def ordered_as(self, epoch: int) -> int:
        return epoch - epoch % self.cycle


class EvenKept(Kept):
    """`Kept` in which neighbours have different languages in every epoch of a cycle: a batch has
    every language about equally often, and a clip meets each once a cycle.

    Raises ValueError for more than one language an epoch.
    """

    name = "even_kept"
    independent_clips = False
    m: Literal[1]

    def languages(self, epoch: int) -> np.ndarray:
        first = self.ordered_as(epoch)
        places = clip_order(self.clips, self.seed, first).argsort()
        group, place = np.divmod(places, self.k)
        orders = _groups(self, first).reshape(-1, self.k)
        turn = (place + epoch - first) % self.k
        return orders[group, turn][:, None]


def _groups(scheme: Scheme, number: int) -> np.ndarray:
    """Random orders of all languages, one after the other, enough for all clips: int64 [n >= N]."""
    count = math.ceil(scheme.clips / scheme.k)
    rows = np.tile(np.arange(scheme.k), (count, 1))
    return scheme._generator(number).permuted(rows, axis=1).ravel()
