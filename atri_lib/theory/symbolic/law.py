"""The mean-square law: how large weight error is on average where draws are unbiased.

With plain SGD and with momentum.
"""

import sympy as sp

from atri_lib.theory.symbolic.bound import T, closed_form, eta
from atri_lib.theory.symbolic.distribution import (
    IDEAL,
    K,
    N,
    expected_row,
    inclusion_probability,
    m,
    pools,
)

rho, sigma, h, beta, mu_1, mu_2 = sp.symbols("rho sigma h beta mu_1 mu_2", positive=True)
draw, draws = sp.symbols("r R", integer=True, positive=True)
lag = sp.Symbol("j", integer=True, nonnegative=True)


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
        return square.nth(power) * sp.Sum(chance * noise**power, (draw, 1, draws))

    return term(0), term(1), term(2)


def sampling_variance(chosen: sp.Expr | int = m, languages: sp.Expr = K) -> sp.Expr:
    """Mean of `chosen` of `languages` values drawn without replacement: its variance / the values'
    population variance.

    Var sum_k z_k x_k / m with indicators z_k and, without loss of generality, sum_k x_k = 0, so
    that sum_{k != l} x_k x_l = -sum_k x_k^2 and the variance is (Var z - Cov z) sum_k x_k^2 / m^2.
    """
    one = inclusion_probability(chosen, languages)
    variance = one - one**2
    covariance = inclusion_probability(chosen, languages, named=2) - one**2
    return sp.simplify((variance - covariance) * languages / chosen**2)


def noise_share(scheme: str) -> sp.Expr:
    """Variance of a scheme's gradient of one clip / population variance over the pool that it draws
    from.
    """
    total = sp.S.Zero
    for size, drawn, weight in pools(scheme):
        if drawn not in (0, size):
            total += (drawn * weight) ** 2 * sampling_variance(drawn, size)
    return sp.simplify(total)


def english_bias(scheme: str) -> sp.Expr:
    """B in E[grad] - grad L_p = B (g_English - mean of the other g), per clip: how far English is
    over-weighted.

    For schemes with English in a pool of its own.
    """
    (_, english), (others, other) = expected_row(scheme)
    surplus = sp.simplify(N * (english - IDEAL))
    # The other languages lose what English gains.
    missing = sp.simplify(N * others * (other - IDEAL))
    return sp.simplify((surplus - missing) / 2)


def latin_growth(epochs: sp.Expr = m) -> sp.Expr:
    """E ||noise summed over `epochs` <= K epochs||^2 / population variance; gradients fixed,
    languages in random order.

    Latin shows `epochs` distinct languages: their sum is `epochs` times a mean drawn without
    replacement.
    """
    return epochs**2 * sampling_variance(epochs, K)


def mean_square(steps: sp.Expr = T) -> sp.Expr:
    """E ||delta_T||^2 for constant rho != 1 and sigma from equal starts: x_T = rho^2 x_{T-1} +
    eta^2 sigma^2.
    """
    return closed_form(rho**2, eta**2 * sigma**2, steps, start=0)


def momentum_maps() -> tuple[sp.Matrix, sp.Matrix]:
    """(M, iota) of heavy ball's error in the joint state (delta, eta delta_v): z_t = M z_{t-1} +
    iota xi_t.

    v_t = beta v_{t-1} + gradient, w_t = w_{t-1} - eta v_t; the two runs' gradients differ by h
    delta + xi, h the curvature between them. M and iota are the Jacobians of that step.
    """
    delta, move, noise = sp.symbols("delta u xi")
    next_move = beta * move + eta * (h * delta + noise)
    state = sp.Matrix([delta - next_move, next_move])
    return state.jacobian([delta, move]), state.jacobian([noise])


def momentum_response() -> sp.Expr:
    """What noise of size one leaves in the weights `lag` steps later, in the eigenvalues mu_1, mu_2
    of M.

    (M^lag iota)_1, using trace and determinant: mu_1 + mu_2 = 1 + beta - eta h, mu_1 mu_2 = beta.
    """
    matrix, source = momentum_maps()
    x = sp.Symbol("x")
    characteristic = sp.Poly(sp.expand((x - mu_1) * (x - mu_2)), x)
    trace = matrix.trace() + characteristic.nth(1)
    determinant = matrix.det() - characteristic.nth(0)
    (in_roots,) = sp.solve([trace, determinant], [h, beta], dict=True)
    vectors, diagonal = matrix.subs(in_roots).diagonalize()
    power = vectors * diagonal**lag * vectors.inv()
    response = (power * source.subs(in_roots))[0]
    return sp.powsimp(sp.factor(sp.simplify(response)))


def momentum_stationary() -> sp.Expr:
    """Limit of E delta_T^2 / sigma^2 for constant curvature, 0 < eta h < `momentum_largest_step`.

    It is the fixed point of P = M P M' + iota iota'.
    """
    matrix, source = momentum_maps()
    of_weights, mixed, of_moves = entries = sp.symbols("P_11 P_12 P_22")
    state = sp.Matrix([[of_weights, mixed], [mixed, of_moves]])
    balance = matrix * state * matrix.T + source * source.T - state
    stationary = sp.solve(list(balance), entries)
    return sp.factor(stationary[of_weights])


def momentum_largest_step() -> sp.Expr:
    """eta h below which (and above 0) `momentum_stationary` is a limit: M then has its eigenvalues
    inside the circle.

    Their product is beta < 1, so no complex pair leaves it; a real one leaves it at -1 or at 1, and
    at 1 only for eta h = 0.
    """
    matrix, _ = momentum_maps()
    (edge,) = sp.solve((matrix + sp.eye(2)).det(), h)
    return sp.factor(eta * edge)


def momentum_shadow() -> tuple[sp.Expr, sp.Expr]:
    """(kappa, eta_effective): w + kappa v moves like plain SGD, w + kappa v -> w + kappa v -
    eta_effective gradient.
    """
    kappa, buffer, gradient = sp.symbols("kappa v g")
    next_buffer = beta * buffer + gradient
    move = sp.expand(-eta * next_buffer + kappa * (next_buffer - buffer))
    (solution,) = sp.solve(move.coeff(buffer), kappa)
    rate = -move.coeff(gradient).subs(kappa, solution)
    return sp.simplify(solution), sp.simplify(rate)
