"""The mean-square law: how large weight error is on average where draws are unbiased, with plain
SGD.
"""

import sympy as sp

from atri_lib.theory.symbolic import distribution
from atri_lib.theory.symbolic.bound import T, closed_form, eta
from atri_lib.theory.symbolic.distribution import IDEAL, K, N, m

rho, sigma = sp.symbols("rho sigma", positive=True)
draw, draws = sp.symbols("r R", integer=True, positive=True)


def square_expanded() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """E (u - eta n)^2 over draws r = 1 ... R with chance pi_r and noise n_r, by powers of the
    noise: three terms.

    One coordinate; squared norms add over coordinates. u is what is known before the draw.
    """
    known = sp.Symbol("u")
    chance = sp.IndexedBase("pi")[draw]
    noise = sp.IndexedBase("n")[draw]
    square = sp.Poly((known - eta * noise) ** 2, noise)

    def term(power: int) -> sp.Expr:
        moment = sp.Sum(chance * noise**power, (draw, 1, draws))
        return square.nth(power) * moment

    return term(0), term(1), term(2)


def sampling_variance(chosen: sp.Expr | int = m, languages: sp.Expr = K) -> sp.Expr:
    """Mean of `chosen` of `languages` values drawn without replacement: its variance / the values'
    population variance.

    Var sum_k z_k x_k / m with indicators z_k and, without loss of generality, sum_k x_k = 0, so
    that sum_{k != l} x_k x_l = -sum_k x_k^2 and the variance is (Var z - Cov z) sum_k x_k^2 / m^2.
    """
    one = distribution.inclusion_probability(chosen, languages)
    both = distribution.inclusion_probability(chosen, languages, named=2)
    variance = one - one**2
    covariance = both - one**2
    factor = (variance - covariance) * languages / chosen**2
    return sp.simplify(factor)


def noise_share(scheme: str) -> sp.Expr:
    """Variance of a scheme's gradient of one clip / population variance over the pool that it draws
    from.
    """
    total = sp.S.Zero
    for size, drawn, weight in distribution.pools(scheme):
        if drawn not in (0, size):
            of_mean = sampling_variance(drawn, size)
            total += (drawn * weight) ** 2 * of_mean
    return sp.simplify(total)


def english_bias(scheme: str) -> sp.Expr:
    """B in E[grad] - grad L_p = B (g_English - mean of the other g), per clip: how far English is
    over-weighted.

    For schemes with English in a pool of its own.
    """
    (_, english), (others, other) = distribution.expected_row(scheme)
    surplus = sp.simplify(N * (english - IDEAL))
    # The other languages lose what English gains.
    missing = sp.simplify(N * others * (other - IDEAL))
    half = (surplus - missing) / 2
    return sp.simplify(half)


def latin_growth(epochs: sp.Expr = m) -> sp.Expr:
    """E ||noise summed over `epochs` <= K epochs||^2 / population variance; gradients fixed,
    languages in random order.

    Latin shows `epochs` distinct languages: their sum is `epochs` times a mean drawn without
    replacement.
    """
    of_mean = sampling_variance(epochs, K)
    return epochs**2 * of_mean


def mean_square(steps: sp.Expr = T) -> sp.Expr:
    """E ||delta_T||^2 for constant rho != 1 and sigma from equal starts: x_T = rho^2 x_{T-1} +
    eta^2 sigma^2.
    """
    noise = eta**2 * sigma**2
    return closed_form(rho**2, noise, steps, start=0)
