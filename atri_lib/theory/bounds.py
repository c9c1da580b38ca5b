"""Every bound is one affine recursion; here it is, over steps and draws.

The trajectory bound x_t = rho_t x_(t-1) + forcing_t, on the (joint) error of any scheme and
optimiser, is `unroll(rho, forcing)`. rho: what one ideal step does to the present error; forcing:
how far apart one ideal and one scheme step land from the same state (SGD: eta xi_t). It is the
triangle inequality in every step.

Arrays are float64 with the steps on the last axis: [..., T]. What is not given per draw broadcasts.
"""

import numpy as np
from numpy.typing import ArrayLike


def unroll(factor: ArrayLike, forcing: ArrayLike) -> np.ndarray:
    """Solve x_t = factor_t x_(t-1) + forcing_t for t = 1 ... T from x_0 = 0, all steps at once.

    factor, forcing: [..., T], broadcast together. Returns x_1 ... x_T, float64 [..., T]; inf where
    it overflows; a factor of 0 forgets even that (0 inf = 0).
    """
    factor, forcing = np.broadcast_arrays(factor, forcing)
    x = 0.0
    solved = []
    with np.errstate(over="ignore", invalid="ignore"):
        for grows, added in zip(factor.T, forcing.T, strict=True):
            gone = (grows == 0) | (x == 0)
            x = np.where(gone, 0, grows * x) + added
            solved.append(x)
    return np.transpose(solved).reshape(factor.shape)


def published(
    lipschitz: np.ndarray, error: np.ndarray | float, gradient_max: np.ndarray | float, rate: float
) -> np.ndarray:
    """The published bound, step by step: x_t = (1 + eta lambda_t) x_(t-1) + eta D_t g_max(w_(t-1)).

    lipschitz: lambda_t = sum p' lambda_(a,t); error: D_t = sum |p - p'|; gradient_max: g_max at the
    ideal run's weights before step t; all [..., T]. rate: eta. Returns a bound on ||w_t - w'_t||,
    [..., T]. Source: eq-bound-one-step of the bound chapter; Yin et al. 2025, after Zhao et al.
    2018, arXiv 1806.00582.
    """
    return unroll(1 + rate * lipschitz, rate * error * gradient_max)
