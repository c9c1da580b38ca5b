"""Schedules that tell order, coverage and accumulated error apart: each clip hears its languages
a fixed number of times.

They are schemes of the studies, not of the library, and are named as any scheme from outside is:
`studies.fixed_counts:Few`.
"""

import numpy as np
from pydantic import PositiveInt

from atri_lib.schemes import SCHEMES, Scheme
from studies.schedules import covariances

MlClap = SCHEMES["ml_clap"]  # one language an epoch


class Few(MlClap):
    """Of each clip only `used` languages, drawn once, by turns, each for `row` epochs in a row.

    used=8, row=2 is AABBCC...HH; used=4, row=1 is ABCDABCD...; used=2, row=8 is eight As, eight Bs.
    """

    name = "few"
    used: PositiveInt = 8
    row: PositiveInt = 1

    def languages(self, epoch: int) -> np.ndarray:
        turn = epoch // self.row % self.used
        return self._orders(0)[:, turn, None]

    def _correlation(self, e: np.ndarray, f: np.ndarray) -> np.ndarray:
        same = e // self.row % self.used == f // self.row % self.used
        return np.where(same, 1.0, different(self.k))


class Favourite(MlClap):
    """One language of each clip `often` times and each of the others once, in a random order; then
    anew.
    """

    name = "favourite"
    often: PositiveInt = 9

    @property
    def cycle(self) -> int:
        """Epochs until all were heard."""
        return self.often + self.k - 1

    def languages(self, epoch: int) -> np.ndarray:
        number, position = divmod(epoch, self.cycle)
        favourite = self._orders(0)[:, :1]  # one for all cycles
        rest = self._orders(0)[:, 1:]
        often = np.repeat(favourite, self.often, axis=1)
        heard = np.concatenate([often, rest], axis=1)
        shuffled = self._generator(number + 1).permuted(heard, axis=1)
        return shuffled[:, position, None]

    def _correlation(self, e: np.ndarray, f: np.ndarray) -> np.ndarray:
        within = self._alike(self.often * (self.often - 1), self.cycle * (self.cycle - 1))
        across = self._alike(self.often**2 + self.k - 1, self.cycle**2)
        same_cycle = e // self.cycle == f // self.cycle
        of_two = np.where(same_cycle, within, across)
        return np.where(e == f, 1.0, of_two)

    def _alike(self, equal_pairs: int, pairs: int) -> float:
        """The correlation of two epochs of which a share of pairs has the same language."""
        share = equal_pairs / pairs
        return share + (1 - share) * different(self.k)


def different(k: int) -> float:
    """The correlation of two epochs in which a clip surely has two different languages."""
    return -1 / max(k - 1, 1)


def accumulated_error(scheme: Scheme, epochs: int, memory: float = 1) -> float:
    """Variance of the summed deviation of a clip's language shares from 1/K over all epochs, in
    units of one epoch's variance under ML-CLAP: V of the chapters.

    Independent draws have V = epochs; held ones `hold` times as much; balanced 0 at a full cycle.
    memory: deviations of two epochs add up only as far as the later one finds the earlier, pairs of
    epochs count memory^|e - f|.
    """
    numbers = np.arange(epochs)
    apart = np.abs(numbers[:, None] - numbers)
    traces = np.trace(covariances(scheme, epochs), axis1=-2, axis2=-1)
    remembered = traces * memory**apart
    variance = remembered.sum()
    return float(variance / (1 - 1 / scheme.k))


def coverage(scheme: Scheme, epochs: int) -> float:
    """The share of all (clip, language) pairs that were trained at least once."""
    seen = np.zeros((scheme.clips, scheme.k), dtype=bool)
    for epoch in range(epochs):
        np.put_along_axis(seen, scheme.languages(epoch), True, axis=1)
    return float(seen.mean())
