"""Every bound is one affine recursion; here it is, over steps and draws.

Arrays are float64 with the steps on the last axis: [..., T]. What is not given per draw broadcasts.
"""

import numpy as np
from numpy.typing import ArrayLike


def unroll(factor: ArrayLike, forcing: ArrayLike) -> np.ndarray:
    """Solve x_t = factor_t x_(t-1) + forcing_t for t = 1 ... T from x_0 = 0, all steps at once.

    factor, forcing: [..., T], broadcast together. Returns x_1 ... x_T, float64 [..., T]. A bound
    that overflows is inf; a factor of 0 forgets even that (0 inf = 0).
    """
    factor, forcing = np.broadcast_arrays(factor, forcing)
    x = np.zeros(factor.shape[:-1])
    solved = np.empty(factor.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(factor.shape[-1]):
            grows = factor[..., t]
            gone = (grows == 0) | (x == 0)
            carried = np.where(gone, 0, grows * x)
            x = carried + forcing[..., t]
            solved[..., t] = x
    return solved


def published(
    lipschitz: ArrayLike, error: ArrayLike, gradient_max: ArrayLike, rate: float
) -> np.ndarray:
    """The published bound, step by step: x_t = (1 + eta lambda_t) x_(t-1) + eta D_t g_max(w_(t-1)).

    lipschitz: lambda_t = sum p' lambda_(a,t); error: D_t = sum |p - p'|; gradient_max: g_max at the
    ideal run's weights before step t; all [..., T]. rate: eta. Returns a bound on ||w_t - w'_t||,
    [..., T]. Source: eq-bound-one-step of the bound chapter; Yin et al. 2025, after Zhao et al.
    2018, arXiv 1806.00582.
    """
    factor = 1 + rate * np.asarray(lipschitz)
    fresh = rate * np.asarray(error)
    return unroll(factor, fresh * np.asarray(gradient_max))


def trajectory(rho: ArrayLike, forcing: ArrayLike) -> np.ndarray:
    """The trajectory bound x_t = rho_t x_(t-1) + forcing_t on the (joint) error of any scheme and
    optimiser.

    rho: what one ideal step does to the present error; forcing: how far apart one ideal and one
    scheme step land from the same state (SGD: eta xi_t); both [..., T]. It is the triangle
    inequality in every step. Returns [..., T].
    """
    return unroll(rho, forcing)


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
