"""Where SGD's mean over draws of languages goes, at second order in the step size, and how the
clips of a batch covary.
"""

import itertools

import sympy as sp

from atri_lib.theory.symbolic.bound import eta
from atri_lib.theory.symbolic.distribution import K, N
from studies.symbolic.schedule import E

V = sp.Symbol("V", positive=True)
A = sp.Symbol("A", positive=True)
weight = sp.Symbol("w")


def mean_displacement(languages: int, epochs: int) -> tuple[sp.Expr, sp.Expr]:
    """(E w'_T - w_T up to eta^2, the formula) for one clip that every epoch visits once; both from
    0.

    Gradient of language k: g_k + h_k w + kappa_k w^2 / 2. In epoch e the clip's languages weigh
    1/K + nu_ek; of nu only E nu = 0 and E nu_ek nu_fl = C^ef_kl are used. The formula is eta^2
    sum_(e<f) sum_kl C^ef_kl h_l g_k.
    """
    g, h, kappa, nu, covariance = map(sp.IndexedBase, ("g", "h", "kappa", "nu", "C"))
    every = range(1, languages + 1)

    def gradient(k: int, at: sp.Expr) -> sp.Expr:
        return g[k] + h[k] * at + kappa[k] * at**2 / 2

    def after(shares: list[list[sp.Expr]]) -> sp.Expr:
        at = sp.S.Zero
        for row in shares:
            slope = sum(share * gradient(k, at) for k, share in zip(every, row, strict=True))
            at = _up_to_second_order(at - eta * slope)
        return at

    numbers = range(1, epochs + 1)
    even = sp.Rational(1, languages)
    drawn = [[even + nu[e, k] for k in every] for e in numbers]
    ideal = [[even] * languages] * epochs
    apart = sp.expand(after(drawn) - after(ideal))
    mean = _expectation(apart, nu, covariance)
    formula = sp.S.Zero
    for e, f in itertools.combinations(numbers, 2):
        for k, el in itertools.product(every, every):
            formula += covariance[e, f, k, el] * h[el] * g[k]
    return mean, eta**2 * formula


def _up_to_second_order(expression: sp.Expr) -> sp.Expr:
    expanded = sp.expand(expression)
    kept = [expanded.coeff(eta, power) * eta**power for power in range(3)]
    return sum(kept)


def _expectation(expression: sp.Expr, nu: sp.IndexedBase, covariance: sp.IndexedBase) -> sp.Expr:
    """E over draws of a polynomial of degree two in nu, earlier epoch first in C."""

    def moment(term: sp.Expr) -> sp.Expr:
        drawn = []
        rest = sp.S.One
        for factor, power in term.as_powers_dict().items():
            if factor.has(nu):
                drawn += [factor] * power
            else:
                rest *= factor**power
        if not drawn:
            return term
        if len(drawn) == 1:
            return sp.S.Zero
        earlier, later = sorted(drawn, key=str)
        e, k = earlier.indices
        f, el = later.indices
        return rest * covariance[e, f, k, el]

    terms = sp.Add.make_args(expression)
    return sp.Add(*[moment(term) for term in terms])


def half_slope_of_variance(languages: int) -> tuple[sp.Expr, sp.Expr]:
    """(sum_kl C_kl h_k g_l with C = (1 - 1/K) / K on the diagonal and -1/K^2 off it, the derivative
    of Var_k(g_k + h_k w) / 2 at w = 0); equal: one epoch's covariance makes the gradient of half
    the variance.
    """
    g, h = map(sp.IndexedBase, "gh")
    every = range(1, languages + 1)
    even = sp.Rational(1, languages)
    contrasted = sp.S.Zero
    for k, el in itertools.product(every, every):
        covariance = even * int(k == el) - even**2
        contrasted += covariance * h[k] * g[el]
    slopes = [g[k] + h[k] * weight for k in every]
    mean = even * sum(slopes)
    variance = even * sum(slope**2 for slope in slopes) - mean**2
    derived = sp.diff(variance / 2, weight).subs(weight, 0)
    return sp.expand(contrasted), sp.expand(derived)


def drift(growth: sp.Expr, epochs: sp.Expr = E) -> sp.Expr:
    """sum_(e<f) of the correlations, (V_E - E) / 2: E w' - w is this times eta^2 Gamma, gradients
    standing still.
    """
    pairs = (growth - epochs) / 2
    return sp.factor(sp.simplify(pairs))


def clip_contrast(same: sp.Expr) -> sp.Expr:
    """Mean product of two clips' noise in a batch / covariance of their gradients over the
    languages.

    same: chance that both show one given language. The K (K - 1) pairs of different languages share
    the rest, and with sum_k x_k = 0 the mean product is (same - other) sum_k x_ik . x_jk.
    """
    pairs = K * (K - 1)
    other = (1 - K * same) / pairs
    return sp.factor(K * (same - other))


def batch_noise(same: sp.Expr) -> sp.Expr:
    """sigma^2 of one language per clip in a batch of N clips: V of one clip, A of the batch-mean
    gradient.

    N^-2 (sum_i V_i + contrast sum_(i != j) Cov_ij), where sum_(i != j) Cov_ij = N^2 A - N V.
    """
    between = N**2 * A - N * V
    total = N * V + clip_contrast(same) * between
    return sp.factor(total / N**2)


SAME_LANGUAGE = {"independent": 1 / K**2}
SAME_LANGUAGE["one language per batch"] = 1 / K
_left = (N / K - 1) / (N - 1)  # of all other places, for the first clip's language
SAME_LANGUAGE["each language equally often"] = _left / K
