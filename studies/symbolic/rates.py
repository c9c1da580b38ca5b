"""How fast weight error can grow under each premise, and an example that attains the published
bound.
"""

import sympy as sp

from atri_lib.theory.symbolic import bound
from atri_lib.theory.symbolic.bound import D, T, a, eta, g, lam
from atri_lib.theory.symbolic.distribution import K, distribution_error
from studies.symbolic.law import rho, sigma

mu = sp.Symbol("mu", positive=True)  # of strong convexity
weight = sp.Symbol("w")

# What a step of the ideal gradient makes of an error at most, by premise.
GROWTH = {
    "Lipschitz gradients": 1 + eta * lam,
    "convex": sp.S.One,
    "strongly convex": 1 - eta * mu,
}


def attained() -> tuple[sp.Expr, sp.Expr, dict[sp.Symbol, sp.Expr]]:
    """(||delta_T||, the published bound, the factors in them) of a problem on which they are equal.

    English has the gradient 1 - lambda w and each of the K - 1 other languages its opposite;
    English only, start at 0. Both runs are recursions in 1 - lambda w, with factors that are read
    off their steps: a > 1 for the scheme, rho <= 1 for the ideal run. They are equal at every T
    where rho is positive, eta lambda (K - 2) < K.
    """
    english = 1 - lam * weight
    others = (K - 1) * english
    mean = (english - others) / K
    factors = {a: _factor(english, english)}
    factors[rho] = _factor(english, mean)
    # lambda delta_T = (1 - lambda w_T) - (1 - lambda w'_T); a > 1 >= rho makes it negative.
    apart = a**T - rho**T
    measured = apart / lam
    # x_T = a x_(T-1) + eta D rho^(T-1), as g_max = 1 - lambda w: x_T / rho^T has a constant source.
    source = eta * distribution_error("english")
    scaled = bound.closed_form(a / rho, source / rho, start=0)
    limit = rho**T * scaled
    return measured, limit, factors


def _factor(value: sp.Expr, gradient: sp.Expr) -> sp.Expr:
    """Of 1 - lambda w in a step; from its start 1, it is the factor's power T."""
    stepped = weight - eta * gradient
    after = value.subs(weight, stepped)
    change = sp.cancel(after / value) - 1
    return 1 + sp.factor(change)


def biased(growth: sp.Expr, steps: sp.Expr = T) -> sp.Expr:
    """||delta_T|| at most, any scheme: x_T = growth x_(T-1) + eta D g, lengths add."""
    step = eta * D * g
    return _closed(growth, step, steps)


def unbiased(growth: sp.Expr, steps: sp.Expr = T) -> sp.Expr:
    """E ||delta_T||^2 at most, draws unbiased given the past: x_T = growth^2 x_(T-1) + eta^2
    sigma^2, squares add.
    """
    noise = eta * sigma
    return _closed(growth**2, noise**2, steps)


def _closed(factor: sp.Expr, added: sp.Expr, steps: sp.Expr) -> sp.Expr:
    """The recursion's closed form; its limit where the factor is one."""
    form = bound.closed_form(steps=steps, start=0)
    if factor == 1:
        limit = sp.limit(form, a, 1)
        return limit.subs(bound.zeta, added)
    placed = form.subs({a: factor, bound.zeta: added})
    return sp.factor(placed)
