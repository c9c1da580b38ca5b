"""Every bound and law of the book is one affine recursion; here it is, vectorised over steps and draws.

Arrays are float64 with the steps on the last axis: [..., T]. What is not given per draw broadcasts.
"""

import numpy as np
from numpy.typing import ArrayLike


def unroll(factor: ArrayLike, forcing: ArrayLike, start: ArrayLike = 0.0) -> np.ndarray:
    """Solve x_t = factor_t x_(t-1) + forcing_t for t = 1 ... T, all steps at once.

    factor, forcing: [..., T], broadcast together; start: x_0, [...]. Returns x_1 ... x_T, float64 [..., T].
    Affine maps compose to affine maps, so a prefix scan needs log2(T) vectorised passes; it divides by nothing, so a
    factor may be 0, and a bound that overflows is inf. Raises ValueError if T is 0.
    """
    factor, forcing = (np.array(x, dtype=np.float64) for x in np.broadcast_arrays(factor, forcing))
    if factor.ndim == 0 or factor.shape[-1] == 0:
        raise ValueError(f"a recursion needs at least one step on the last axis, got shape {factor.shape}")
    start = np.asarray(start, dtype=np.float64)
    forcing[..., 0] += factor[..., 0] * start
    shift = 1
    with np.errstate(over="ignore"):
        while shift < factor.shape[-1]:
            # inf * 0 = nan would say that an overflowed bound forgets nothing; it only meets factors of 0.
            forcing[..., shift:] += np.where(factor[..., shift:] == 0, 0, factor[..., shift:] * forcing[..., :-shift])
            factor[..., shift:] *= factor[..., :-shift].copy()
            shift *= 2
    return forcing


def published(lipschitz: ArrayLike, error: ArrayLike, gradient_max: ArrayLike, rate: float) -> np.ndarray:
    """The published bound, step by step: x_t = (1 + eta lambda_t) x_(t-1) + eta D_t g_max(w_(t-1)).

    lipschitz: lambda_t = sum p' lambda_(a,t); error: D_t = sum |p - p'|; gradient_max: g_max at the ideal run's
    weights before step t; all [..., T]. rate: eta. Returns a bound on ||w_t - w'_t||, [..., T].
    Source: Eq. 3 of the bound chapter; Yin et al. 2025, after Zhao et al. 2018, arXiv 1806.00582.
    """
    return unroll(1 + rate * np.asarray(lipschitz), rate * np.asarray(error) * np.asarray(gradient_max))


def published_constant(
    lipschitz: float, error: float, gradient_max: float, rate: float, steps: ArrayLike
) -> np.ndarray:
    """The published bound for constant lambda, D and g: eta D g (a^T - 1) / (a - 1), with limit eta D g T at a = 1.

    steps: T, any shape. Returns float64 of that shape.
    """
    growth, steps = rate * lipschitz, np.asarray(steps, dtype=np.float64)
    # (a^T - 1) / (a - 1) loses every digit when a is near 1; expm1 and log1p keep them.
    total = steps if growth == 0 else np.expm1(steps * np.log1p(growth)) / growth
    return rate * error * gradient_max * total


def trajectory(rho: ArrayLike, forcing: ArrayLike) -> np.ndarray:
    """The trajectory bound x_t = rho_t x_(t-1) + forcing_t on the (joint) error of any scheme and optimiser.

    rho: what one ideal step does to the present error; forcing: how far apart one ideal and one scheme step land from
    the same state (SGD: eta xi_t); both [..., T]. It is the triangle inequality in every step. Returns [..., T].
    """
    return unroll(rho, forcing)


def mean_square(amplification: ArrayLike, variance: ArrayLike, correlation: ArrayLike | None = None) -> np.ndarray:
    """The mean-square law: RMS weight error from M_t = amplification_t M_(t-1) + variance_t.

    amplification: E[rho_t^2 ||delta||^2] / E||delta||^2; variance: E||noise of step t||^2 (SGD: eta^2 sigma_t^2); [T].
    correlation: [T, T] of the noise of step s with that of step t; None: independent draws, the identity. With it the
    noise of step s is carried to step t by the scalar product of sqrt(amplification): exact where that is a scalar,
    an approximation elsewhere. Returns sqrt(M_t), [T].
    """
    if correlation is None:
        return np.sqrt(unroll(amplification, variance))
    amplification, variance = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (amplification, variance)))
    carried, result = np.zeros(len(variance)), np.zeros(len(variance))
    for step, (factor, noise) in enumerate(zip(amplification, variance, strict=True)):
        carried *= np.sqrt(factor)
        carried[step] = np.sqrt(noise)
        result[step] = carried @ np.asarray(correlation) @ carried
    return np.sqrt(result.clip(0))


def sampling_factor(languages: int, m: int) -> float:
    """(K - m) / (m (K - 1)): variance of the mean of m of K values without replacement, in units of their variance.

    The variance is the population variance over the K values. m = 1 gives 1, m = K gives 0 (K = 1 too).
    Raises ValueError unless 1 <= m <= K.
    """
    if not 1 <= m <= languages:
        raise ValueError(f"m of K languages needs 1 <= m <= K, got m={m}, K={languages}")
    return 0.0 if m == languages else (languages - m) / (m * (languages - 1))


def latin_correlation(batches: list[np.ndarray], epochs: ArrayLike, languages: int) -> np.ndarray:
    """How the Latin schedule's noise in step s correlates with that in step t, float64 [T, T].

    batches: the clips of each step; epochs: the epoch of each step, [T]; languages: K. A clip's language is unrelated
    to another clip's; its own in epochs e and f are equal if e = f mod K, else two different ones out of K, whose
    deviations from their mean correlate by -1 / (K - 1) (languages taken as exchangeable). So the correlation is
    that number times the share of clips two steps have in common.
    """
    if languages == 1:
        return np.eye(len(batches))
    member = np.zeros((len(batches), 1 + max(int(np.max(clips)) for clips in batches)))  # [T, N]
    for step, clips in enumerate(batches):
        member[step, clips] = 1 / np.sqrt(len(clips))
    same = np.subtract.outer(np.asarray(epochs), np.asarray(epochs)) % languages == 0
    return member @ member.T * np.where(same, 1, -1 / (languages - 1))


def share_held(bound: ArrayLike, measured: ArrayLike, slack: float = 1e-9) -> float:
    """The share of entries with measured <= bound (1 + slack); a bound worth the name gives 1.0.

    slack: relative, for the rounding of two float64 runs. nan in either counts as not held.
    """
    return float(np.mean(np.asarray(measured) <= np.asarray(bound) * (1 + slack)))


def tightness(bound: ArrayLike, measured: ArrayLike) -> np.ndarray:
    """bound / measured, elementwise; 1 where both are 0 (nothing to bound), inf where only the measured is."""
    bound, measured = np.broadcast_arrays(np.asarray(bound, np.float64), np.asarray(measured, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((bound == 0) & (measured == 0), 1.0, bound / measured)
