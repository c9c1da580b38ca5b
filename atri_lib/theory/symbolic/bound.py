"""The published weight-error bound, one justified step at a time.

Vectors (weights, gradients) are symbols nothing is assumed about; scalars are declared real.
Identities that are linear in the vectors then hold for vectors as they do for numbers, and norms
are taken only by `norm` and `triangle`.
"""

import sympy as sp

from atri_lib.theory.symbolic.distribution import K, N, clip, language

T = sp.Symbol("T", integer=True, nonnegative=True)
eta, a, lam, D, g = sp.symbols(r"eta a lambda D g_{\max}", positive=True)
zeta = sp.Symbol("zeta", positive=True)  # what a step adds
x0 = sp.Symbol("x_0", nonnegative=True)
# Braces make the primed names sort, and so print, after the plain ones.
p = sp.IndexedBase("p", nonnegative=True)
p_scheme = sp.IndexedBase("{p'}", nonnegative=True)
lipschitz = sp.IndexedBase("lambda", nonnegative=True)
# The two runs before the step: vectors, hence no assumptions.
w, w_scheme = sp.symbols("w_{t-1} {w'}_{t-1}")


class Norm(sp.Function):
    """Euclidean norm of a vector expression; ||-v|| = ||v||."""

    is_nonnegative = True
    is_Function = False  # powers are printed as those of symbols

    @classmethod
    def eval(cls, vector):
        if vector.could_extract_minus_sign():
            return cls(-vector)

    def _latex(self, printer):
        return rf"\left\|{printer._print(self.args[0])}\right\|"


class PairGradient(sp.Function):
    """Gradient of the pair loss l_ik at some weights."""

    def _latex(self, printer):
        i, k, at = map(printer._print, self.args)
        return rf"\nabla \ell_{{{i},{k}}}\left({at}\right)"


class LargestGradient(sp.Function):
    """g_max(w): the largest norm of a pair's gradient at weights w."""

    is_nonnegative = True
    is_Function = False

    def _latex(self, printer):
        return rf"g_{{\max}}\left({printer._print(self.args[0])}\right)"


class PairSum(sp.Sum):
    """Sum over all clips i = 1 ... N and languages k = 1 ... K."""

    def _latex(self, printer):
        return rf"\sum_{{i,k}} {printer._print(self.function)}"


def over_pairs(term: sp.Expr) -> PairSum:
    """Sum over all clips and languages."""
    return PairSum(term, (language, 1, K), (clip, 1, N))


def loss_gradient(weights: sp.Expr, distribution: sp.IndexedBase) -> PairSum:
    """grad L_p(w) = sum_ik p_ik grad l_ik(w): the assumption that a loss is a weighted sum of pair
    losses.
    """
    return over_pairs(distribution[clip, language] * PairGradient(clip, language, weights))


def weight_error() -> sp.Expr:
    """delta_t: the scheme's SGD step minus the ideal run's SGD step."""
    scheme_step = w_scheme - eta * loss_gradient(w_scheme, p_scheme)
    ideal_step = w - eta * loss_gradient(w, p)
    return scheme_step - ideal_step


def split(weights: sp.Expr, distribution: sp.IndexedBase) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """delta_t in three parts, by adding and subtracting the gradient at these weights for this
    distribution.

    Start (delta_{t-1}), from the scheme's gradient to that one, from that one to the ideal run's.
    The published bound takes the ideal weights and the scheme's distribution: start, propagation
    (same distribution, two weights), discrepancy (same weights, two distributions).
    """
    between = loss_gradient(weights, distribution)
    from_scheme = _merge(loss_gradient(w_scheme, p_scheme), between)
    to_ideal = _merge(between, loss_gradient(w, p))
    return w_scheme - w, -eta * from_scheme, -eta * to_ideal


def _merge(left: PairSum, right: PairSum) -> PairSum:
    difference = left.function - right.function
    return over_pairs(sp.factor_terms(difference))


def triangle(parts: tuple[sp.Expr, ...]) -> sp.Expr:
    """Upper bound on the norm of a sum of vectors: the sum of their norms (inside sums over pairs
    as well).
    """
    return sp.Add(*map(norm, parts))


def norm(vector: sp.Expr) -> sp.Expr:
    """||s v|| = |s| ||v|| for real s; ||sum v|| <= sum ||v|| over pairs; a difference of vectors is
    left whole.
    """
    if isinstance(vector, PairSum):
        return over_pairs(norm(vector.function))
    scalar, rest = vector.as_independent(w, w_scheme, as_Add=False)
    if scalar == 1:
        return Norm(vector)
    return sp.Abs(scalar) * norm(rest)


def assume_constants(bound: sp.Expr) -> sp.Expr:
    """Lipschitz constants for gradient differences, g_max for gradients; factors free of i and k
    leave the sums.
    """
    one = sp.Wild("one")
    other = sp.Wild("other")
    gradient = PairGradient(clip, language, one)
    difference = gradient - PairGradient(clip, language, other)
    apart = lipschitz[clip, language] * Norm(one - other)
    bounded = bound.replace(Norm(difference), apart)
    bounded = bounded.replace(Norm(gradient), LargestGradient(one))
    return sp.factor_terms(bounded)


def one_step() -> tuple[sp.Expr, sp.Expr]:
    """(a, zeta) of ||delta_t|| <= a ||delta_{t-1}|| + zeta, read off the bound that the steps above
    produce.
    """
    bound = sp.expand(assume_constants(triangle(split(w, p_scheme))))
    distance = Norm(w - w_scheme)
    return bound.coeff(distance), bound.coeff(distance, 0)


def closed_form(
    factor: sp.Expr = a, source: sp.Expr = zeta, steps: sp.Expr = T, start: sp.Expr | int = x0
) -> sp.Expr:
    """Solution of x_T = factor x_{T-1} + source from x_0 = start, all three constant (factor !=
    1).
    """
    x = sp.Function("x")
    recursion = x(T + 1) - a * x(T) - zeta
    solution = sp.expand(sp.rsolve(recursion, x(T), {x(0): x0}))
    collected = sp.collect(solution, x0, sp.factor)
    return collected.subs({x0: start, a: factor, zeta: source, T: steps})


def published_bound(steps: sp.Expr = T) -> sp.Expr:
    """The bound for one lambda and one g_max in all steps, from equal starts; a = 1 + eta lambda as
    p' sums to one.
    """
    return closed_form(1 + eta * lam, eta * D * g, steps, start=0)
