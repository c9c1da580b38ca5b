"""What the bound's one step makes of many: the recursion written out, unrolled for any number of
steps, and the limits of its closed form.
"""

from collections.abc import Callable

import sympy as sp

from atri_lib.theory.symbolic.bound import D, T, a, eta, lam, published_bound, x0

j, s, t = sp.symbols("j s t", integer=True, nonnegative=True)
duration = sp.Symbol("Theta", positive=True)  # training time eta T

Series = Callable[[sp.Expr | int], sp.Expr]


def series(name: str) -> Series:
    """A sequence of which nothing is known: series("zeta")(3) is zeta_3."""
    return sp.IndexedBase(name).__getitem__


def iterate(steps: int, factor: Series, source: Series) -> sp.Expr:
    """x_t = factor(t) x_{t-1} + source(t), written out for t = 1 ... steps from x_0."""
    x = x0
    for index in range(1, steps + 1):
        grown = factor(index) * x
        x = sp.expand(grown + source(index))
    return x


def unrolled(steps: sp.Expr, factor: Series, source: Series) -> sp.Expr:
    """The same for a symbolic number of steps: every source is multiplied by all later factors."""
    every = sp.Product(factor(s), (s, 1, steps))
    later = sp.Product(factor(s), (s, t + 1, steps))
    carried = source(t) * later
    sources = sp.Sum(carried, (t, 1, steps))
    return every * x0 + sources


def induction_residual(
    candidate: Callable[[sp.Expr], sp.Expr], factor: Series, source: Series
) -> sp.Expr:
    """candidate(T+1) - (factor(T+1) candidate(T) + source(T+1)); zero is the induction step from T
    to T + 1.

    What the index of a sum does not touch is pulled out of it.
    """
    after = candidate(T + 1).replace(_reaches_end, _split_last)
    after = sp.factor_terms(after)
    grown = factor(T + 1) * candidate(T)
    expected = grown + source(T + 1)
    return sp.expand(after - expected)


def _reaches_end(term: sp.Expr) -> bool:
    """Whether it is a sum or product up to T + 1."""
    if not isinstance(term, sp.Sum | sp.Product):
        return False
    _, _, high = term.limits[0]
    return high == T + 1


def _split_last(term: sp.Sum | sp.Product) -> sp.Expr:
    """A sum or product with its last term apart."""
    index, low, high = term.limits[0]
    rest = term.func(term.function, (index, low, high - 1))
    last = term.function.subs(index, high).doit()
    if isinstance(term, sp.Sum):
        return rest + last
    return rest * last


def epoch_sum(source: Series) -> sp.Sum:
    """What T steps with one factor a accumulate, as a sum over j, the number of steps taken after
    each source.

    It is `unrolled` under the change of index j = T - t: the limits follow, they are not chosen.
    source: has to depend on its step.
    """

    def constant(_: sp.Expr | int) -> sp.Expr:
        return a

    whole = unrolled(T, constant, source)
    (total,) = whole.atoms(sp.Sum)
    powers = total.doit()  # the product of one factor becomes its power
    return powers.change_index(t, T - t, j)


def special_cases() -> dict[str, sp.Expr]:
    """Limits of `published_bound`."""
    bound = published_bound()
    one_time = published_bound(duration / eta)
    later = bound.subs(T, T + 1)
    cases = {"no distribution error": bound.subs(D, 0)}
    cases["small steps, their number fixed"] = sp.limit(bound, eta, 0)
    cases["small steps, training time fixed"] = sp.limit(one_time, eta, 0)
    cases["flat loss"] = sp.limit(bound, lam, 0)
    cases["growth per step"] = sp.limit(later / bound, T, sp.oo)
    return cases
