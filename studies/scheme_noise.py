"""What the mean-square law asks of a scheme: where chance decides, how much, and what it
remembers.
"""

import numpy as np

from atri_lib.schemes import Scheme


def biased(scheme: Scheme) -> bool:
    """Whether the mean of p' differs from the ideal distribution."""
    ratio = scheme.k * scheme.clips * scheme.mean_distribution()
    return not np.allclose(ratio, 1, rtol=1e-9)


def chance(scheme: Scheme) -> np.ndarray:
    """The languages among which chance decides, int64; empty where nothing is random."""
    variance = np.diag(scheme.covariance(0, 0))
    return np.flatnonzero(variance > 0)


def noise_share(scheme: Scheme) -> float:
    """Variance of a clip's gradient / population variance of its gradients over the languages in
    `chance`.
    """
    size = len(chance(scheme))
    if size == 0:
        return 0.0
    return float(np.trace(scheme.covariance(0, 0))) * size / (size - 1)


def remembers(scheme: Scheme, epoch: int) -> bool:
    """Whether an epoch's draw is correlated with any earlier one's."""
    with_earlier = np.abs(scheme.covariance(np.arange(epoch), epoch))
    return bool(with_earlier.max(initial=0) > 1e-12)
