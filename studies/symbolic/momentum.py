"""The mean-square law's noise under heavy ball: how momentum carries it, and where it settles."""

import sympy as sp

from atri_lib.theory.symbolic.bound import eta

h, beta, mu_1, mu_2 = sp.symbols("h beta mu_1 mu_2", positive=True)
lag = sp.Symbol("j", integer=True, nonnegative=True)
root = sp.Symbol("x")


def momentum_maps() -> tuple[sp.Matrix, sp.Matrix]:
    """(M, iota) of heavy ball's error in the joint state (delta, eta delta_v): z_t = M z_{t-1} +
    iota xi_t.

    v_t = beta v_{t-1} + gradient, w_t = w_{t-1} - eta v_t; the two runs' gradients differ by h
    delta + xi, h the curvature between them. M and iota are the Jacobians of that step.
    """
    delta, move, noise = sp.symbols("delta u xi")
    gradient = h * delta + noise
    next_move = beta * move + eta * gradient
    state = sp.Matrix([delta - next_move, next_move])
    return state.jacobian([delta, move]), state.jacobian([noise])


def momentum_response() -> sp.Expr:
    """What noise of size one leaves in the weights `lag` steps later, in the eigenvalues mu_1, mu_2
    of M.

    (M^lag iota)_1, using trace and determinant: mu_1 + mu_2 = 1 + beta - eta h, mu_1 mu_2 = beta.
    """
    matrix, source = momentum_maps()
    factored = (root - mu_1) * (root - mu_2)
    characteristic = sp.Poly(sp.expand(factored), root)
    trace = matrix.trace() + characteristic.nth(1)
    determinant = matrix.det() - characteristic.nth(0)
    (in_roots,) = sp.solve([trace, determinant], [h, beta], dict=True)
    vectors, diagonal = matrix.subs(in_roots).diagonalize()
    power = vectors * diagonal**lag * vectors.inv()
    left = power * source.subs(in_roots)
    response = sp.simplify(left[0])
    return sp.powsimp(sp.factor(response))


def momentum_stationary() -> sp.Expr:
    """Limit of E delta_T^2 / sigma^2 for constant curvature, 0 < eta h < `momentum_largest_step`.

    It is the fixed point of P = M P M' + iota iota'.
    """
    matrix, source = momentum_maps()
    of_weights, mixed, of_moves = entries = sp.symbols("P_11 P_12 P_22")
    state = sp.Matrix([[of_weights, mixed], [mixed, of_moves]])
    carried = matrix * state * matrix.T
    added = source * source.T
    stationary = sp.solve(list(carried + added - state), entries)
    return sp.factor(stationary[of_weights])


def momentum_largest_step() -> sp.Expr:
    """eta h below which (and above 0) `momentum_stationary` is a limit: M then has its eigenvalues
    inside the circle.

    Their product is beta < 1, so no complex pair leaves it; a real one leaves it at -1 or at 1, and
    at 1 only for eta h = 0.
    """
    matrix, _ = momentum_maps()
    at_minus_one = matrix + sp.eye(2)
    (edge,) = sp.solve(at_minus_one.det(), h)
    return sp.factor(eta * edge)


def momentum_shadow() -> tuple[sp.Expr, sp.Expr]:
    """(kappa, eta_effective): w + kappa v moves like plain SGD, w + kappa v -> w + kappa v -
    eta_effective gradient.
    """
    kappa, buffer, gradient = sp.symbols("kappa v g")
    next_buffer = beta * buffer + gradient
    change = next_buffer - buffer
    move = sp.expand(kappa * change - eta * next_buffer)
    (solution,) = sp.solve(move.coeff(buffer), kappa)
    rate = -move.coeff(gradient)
    return sp.simplify(solution), sp.simplify(rate.subs(kappa, solution))
