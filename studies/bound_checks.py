"""What chapters ask of a bound that is plotted beside what was measured."""

import numpy as np
from numpy.typing import ArrayLike


def share_held(bound: ArrayLike, measured: ArrayLike, slack: float = 1e-9) -> float:
    """The share of entries with measured <= bound (1 + slack); a bound worth the name gives 1.0.

    slack: relative, for the rounding of two float64 runs. nan in either counts as not held.
    """
    limit = np.asarray(bound) * (1 + slack)
    held = np.asarray(measured) <= limit
    return float(held.mean())


def overtaken(bound: ArrayLike, other: ArrayLike) -> np.ndarray:
    """The first step, from 1, at which a bound exceeds another one; nan if it never does. [..., T]
    to [...].

    other: as a rule the trivial bound, the two distances travelled: from there on a bound says less
    than nothing.
    """
    above = np.asarray(bound) > np.asarray(other)
    first = above.argmax(-1) + 1.0
    return np.where(above.any(-1), first, np.nan)


def tightness(bound: ArrayLike, measured: ArrayLike) -> np.ndarray:
    """bound / measured, elementwise; 1 where both are 0 (nothing to bound), inf where only the
    measured is.
    """
    bound, measured = np.broadcast_arrays(bound, measured)
    nothing = (bound == 0) & (measured == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = bound / measured
    return np.where(nothing, 1.0, ratio)
