"""Language noise under Adam: a slower clock, and what a draw adds of its own.

One coordinate on a fixed path. Step s = 1 ... t has the gradient g_s + n_s; n_s has mean 0 and
variance sigma_s^2 and does not depend on the other steps' noise. Adam's bias-corrected moments are
means of the past with weights alpha_s (first moment) and gamma_s (second moment), each of sum 1.
The step is the first moment M divided by the root of the second moment V.
"""

import sympy as sp

from atri_lib.theory.symbolic.bound import eta
from studies.symbolic.momentum import beta

alpha = sp.Symbol("alpha_s", positive=True)
gamma = sp.Symbol("gamma_s", positive=True)
V = sp.Symbol("V", positive=True)
sigma = sp.Symbol("sigma_s", positive=True)
t = sp.Symbol("t", positive=True)
g = sp.Symbol("g_s", real=True)
M = sp.Symbol("M", real=True)
beta_2 = sp.Symbol("beta_2", positive=True)


def _mean(expression: sp.Expr, noise: sp.Symbol) -> sp.Expr:
    """The mean of a polynomial in the noise; third and fourth moments as of a normal variable."""
    moments = (1, 0, sigma**2, 0, 3 * sigma**4)
    powers = sp.Poly(sp.expand(expression), noise)
    terms = [powers.nth(power) * moment for power, moment in enumerate(moments)]
    return sp.expand(sum(terms))


def second_moment_source() -> sp.Expr:
    """E (g + n)^2, what the second moment is fed on average, by powers of the noise."""
    noise = sp.Symbol("n")
    square = (g + noise) ** 2
    return _mean(square, noise)


def noise_covariance() -> sp.Matrix:
    """Covariance of what a draw is fed: the gradient g + n, and its square."""
    noise = sp.Symbol("n")
    fed = sp.Matrix([g + noise, (g + noise) ** 2])

    def mean(value: sp.Expr) -> sp.Expr:
        return _mean(value, noise)

    deviation = fed - fed.applyfunc(mean)
    products = deviation * deviation.T
    return products.applyfunc(mean)


def step_shift() -> sp.Expr:
    """What the noise of step s adds to E[M / sqrt(V)], to second order in the noise.

    Steps are independent, so that no products of two steps' noise survive and each step counts by
    itself: half its variance times the second derivative with respect to g_s. All other steps are
    held in M - alpha_s g_s and V - gamma_s g_s^2.
    """
    x = sp.Symbol("x", real=True)
    first = M + alpha * (x - g)
    second = V + gamma * (x**2 - g**2)
    step = first / sp.sqrt(second)
    curvature = sp.diff(step, x, 2).subs(x, g)
    shift = sigma**2 * curvature / 2
    return sp.expand(sp.simplify(shift))


def clock_shift() -> sp.Expr:
    """The part of `step_shift` that a second moment fed g^2 + sigma^2 has.

    V then grows by gamma_s sigma_s^2.
    """
    fed = gamma * (second_moment_source() - g**2)
    small = sp.Symbol("epsilon", positive=True)
    slowed = M / sp.sqrt(V + small * fed)
    change = sp.diff(slowed, small)
    return change.subs(small, 0)


def share_of_clock() -> sp.Expr:
    """All of the shift / the clock's part after t steps of one gradient and one variance.

    Young, the second moment weighs all steps alike, gamma_s = 1 / t. What a step adds is then a
    line in its alpha_s, so that over t steps the constant counts t times and the slope once, as the
    alpha_s add up to 1.
    """
    alike = {M: g, V: g**2, gamma: 1 / t}

    def over_steps(shift: sp.Expr) -> sp.Expr:
        added = sp.Poly(sp.expand(shift.subs(alike)), alpha)
        slope, constant = added.all_coeffs()
        return t * constant + slope

    clock = t * clock_shift().subs(alike)
    return sp.simplify(over_steps(step_shift()) / clock)


def own_maps() -> tuple[sp.Matrix, sp.Matrix]:
    """(A, iota) of a draw's own part in the joint state z = (weights, first, second moment).

    z_t = A z_{t-1} + iota (what gradient and squared gradient have beyond the mean run's). The
    Jacobian of a step of Adam about the mean run, whose moments after the step are M and V.
    Corrections for the start are left out; they multiply moments by numbers. What curvature makes
    of the own part is fed like noise.
    """
    own, first, second, noise, square = z = sp.symbols("omega mu nu n q")
    next_first = beta * first + (1 - beta) * noise
    next_second = beta_2 * second + (1 - beta_2) * square
    next_own = own - eta * (M + next_first) / sp.sqrt(V + next_second)
    after = sp.Matrix([next_own, next_first, next_second])
    at_mean = dict.fromkeys(z, 0)
    by_state = after.jacobian(z[:3]).subs(at_mean)
    by_noise = after.jacobian(z[3:]).subs(at_mean)
    return sp.simplify(by_state), sp.simplify(by_noise)
