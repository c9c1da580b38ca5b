"""Whether the channels of a sound cancel each other out in their mean."""

import numpy as np

_SILENT = 1e-4  # the mean's share of its channels' power from which on it counts as silent: -40 dB


class ChannelPower:
    """The power of the channels and of their mean over a whole sound, without what is constant."""

    def __init__(self, channels: int) -> None:
        self.frames = 0
        self.sums = np.zeros(channels + 1)
        self.squares = np.zeros(channels + 1)

    def add(self, block: np.ndarray, mean: np.ndarray) -> None:
        """Go on by a block [frames, channels] and its mean [frames]."""
        with np.errstate(over="ignore", invalid="ignore"):  # refused later, with a message
            for i, values in enumerate((*block.T, mean)):
                self.sums[i] += values.sum()
                self.squares[i] += np.dot(values, values)
        self.frames += len(mean)

    def instead_of_mean(self) -> int | None:
        """The first channel of at least half the loudest one's power if the mean is nearly silent
        beside them.
        """
        if not self.frames or not np.isfinite(self.squares).all():
            return None
        *channels, mean = self.squares / self.frames - np.square(self.sums / self.frames)
        loudest = max(channels)
        if not mean < _SILENT * loudest or loudest < 1e-12:
            return None
        return next(i for i, channel in enumerate(channels) if channel >= 0.5 * loudest)
