"""How fast weight error can grow under each premise, and an example that attains the published
bound.
"""

import sympy as sp

from atri_lib.theory.symbolic.bound import (
    D,
    T,
    a,
    closed_form,
    eta,
    g,
    lam,
    published_bound,
    zeta,
)
from atri_lib.theory.symbolic.distribution import K, distribution_error
from atri_lib.theory.symbolic.law import sigma

mu = sp.Symbol("mu", positive=True)  # of strong convexity

# What a step of the ideal gradient makes of an error at most, by premise.
GROWTH = {
    "Lipschitz gradients": 1 + eta * lam,
    "convex": sp.S.One,
    "strongly convex": 1 - eta * mu,
}


def attained() -> tuple[sp.Expr, sp.Expr]:
    """(||delta_T||, the published bound) of a problem on which they are equal at every T.

    Two languages with gradients -lambda w + 1 and -lambda w - 1, English only, start at 0. Both
    runs are recursions in one number, read off the two steps.
    """
    weight = sp.Symbol("w")
    english, other = (-lam * weight + sign for sign in (1, -1))

    def run(gradient: sp.Expr) -> sp.Expr:
        step = sp.Poly(weight - eta * gradient, weight)
        return closed_form(step.nth(1), step.nth(0), start=0)

    measured = run(english) - run((english + other) / 2)
    longest = max(abs(gradient.subs(weight, 0)) for gradient in (english, other))
    error = distribution_error("english").subs(K, 2)
    limit = published_bound().subs({D: error, g: longest})
    # (1 + eta lambda)^T is at least one, which settles the sign of the displacement.
    power = (1 + eta * lam) ** T
    excess = sp.Symbol("x", nonnegative=True)
    length = sp.Abs(sp.factor(measured).subs(power, 1 + excess))
    return length.subs(excess, power - 1), limit


def biased(growth: sp.Expr, steps: sp.Expr = T) -> sp.Expr:
    """||delta_T|| at most, any scheme: x_T = growth x_(T-1) + eta D g, lengths add."""
    return _closed(growth, eta * D * g, steps)


def unbiased(growth: sp.Expr, steps: sp.Expr = T) -> sp.Expr:
    """E ||delta_T||^2 at most, draws unbiased given the past: x_T = growth^2 x_(T-1) + eta^2
    sigma^2, squares add.
    """
    return _closed(growth**2, eta**2 * sigma**2, steps)


def _closed(factor: sp.Expr, added: sp.Expr, steps: sp.Expr) -> sp.Expr:
    """The recursion's closed form; its limit where the factor is one."""
    form = closed_form(a, zeta, steps, start=0)
    if factor == 1:
        return sp.limit(form, a, 1).subs(zeta, added)
    return sp.factor(form.subs({a: factor, zeta: added}))
