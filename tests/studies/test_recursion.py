"""The bound's recursion over many steps, and Latin's over many epochs, against plain loops."""

import itertools
from fractions import Fraction as F

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.theory.symbolic import bound, distribution
from studies.symbolic import latin, recursion
from tests.theory.exact import at

A, B = recursion.series("a"), recursion.series("zeta")
SYMBOLS = {"start": latin.start, "offset": latin.offset, "K": distribution.K}
SYMBOLS |= {"m": distribution.m, "language": distribution.language}
fractions = st.fractions(min_value=-2, max_value=2, max_denominator=9)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(fractions, fractions), min_size=1, max_size=5), fractions)
def test_unrolled_recursion_equals_the_loop(steps, start):
    x = start
    for factor, source in steps:
        x = factor * x + source
    values = {bound.x0: start}
    for index, (factor, source) in enumerate(steps, 1):
        values |= {A(index): factor, B(index): source}
    values = {key: sp.Rational(value) for key, value in values.items()}
    assert recursion.iterate(len(steps), A, B).subs(values) == sp.Rational(x)
    assert recursion.unrolled(sp.Integer(len(steps)), A, B).doit().subs(values) == sp.Rational(x)


def test_induction_step_accepts_the_unrolled_form_and_rejects_a_shifted_one():
    def shifted(steps):  # every source multiplied by its own factor as well
        s, t = recursion.s, recursion.t
        first, own = (sp.Product(A(s), (s, low, steps)) for low in (1, t))
        return first * bound.x0 + sp.Sum(B(t) * own, (t, 1, steps))

    assert recursion.induction_residual(lambda steps: recursion.unrolled(steps, A, B), A, B) == 0
    residual = recursion.induction_residual(shifted, A, B)
    assert sp.simplify(residual - (A(bound.T + 1) - 1) * B(bound.T + 1)) == 0


def test_epoch_sum_runs_from_zero_to_the_last_step():
    total = recursion.epoch_sum(B)
    assert total.limits == ((recursion.j, 0, bound.T - 1),)
    for steps in range(1, 5):
        expected = recursion.iterate(steps, lambda _: bound.a, B).subs(bound.x0, 0)
        assert sp.expand(total.subs(bound.T, steps).doit() - expected) == 0
        from_one = sp.Sum(total.function, (recursion.j, 1, bound.T - 1)).subs(bound.T, steps).doit()
        assert sp.expand(expected - from_one) == B(
            steps
        )  # the last source is missing: at T = 1 nothing is left
    assert sp.Sum(total.function, (recursion.j, 1, bound.T - 1)).subs(bound.T, 1).doit() == 0


def test_special_cases_of_the_published_bound():
    cases = recursion.special_cases()
    small, values = 1e-7, {bound.lam: 3.0, bound.D: 1.5, bound.g: 2.0}

    def exact(eta, steps):
        given = values | {bound.eta: eta, bound.T: steps}
        return float(bound.published_bound().subs(given))

    assert cases["no distribution error"] == cases["small steps, their number fixed"] == 0
    assert exact(small, 5) < 1e-5
    at_time_one = float(
        cases["small steps, training time fixed"].subs(values | {recursion.duration: 1})
    )
    assert at_time_one == pytest.approx(exact(1e-5, 10**5), rel=1e-3) and at_time_one > 1
    flat = bound.published_bound().subs(
        {bound.lam: small, bound.D: 1, bound.g: 1, bound.eta: 1, bound.T: 9}
    )
    assert float(flat) == pytest.approx(9, rel=1e-5)
    assert cases["flat loss"].subs({bound.D: 1, bound.g: 1, bound.eta: 1, bound.T: 9}) == 9
    growth = float(cases["growth per step"].subs(values | {bound.eta: 0.1}))
    assert growth == pytest.approx(exact(0.1, 201) / exact(0.1, 200))


def latin_counts(offset, epochs, K):
    return [sum((offset + e) % K == k for e in epochs) for k in range(K)]


@pytest.mark.parametrize("K", [1, 2, 5])
def test_latin_visits_every_language_once_in_any_K_epochs(K):
    assert latin.latin_visits(distribution.K) == 1
    for start, offset in itertools.product(range(7), range(K)):
        assert latin_counts(offset, range(start, start + K), K) == [1] * K
    visits = latin.latin_visits(distribution.m)
    for epochs, k in itertools.product(range(2 * K), range(K)):
        values = {"start": 3, "offset": 1, "K": K, "m": epochs, "language": k}
        derived = visits.subs({SYMBOLS[name]: value for name, value in values.items()})
        assert derived == latin_counts(1, range(3, 3 + epochs), K)[k]


@pytest.mark.parametrize("epochs", range(11))
def test_latin_error_accumulated_over_epochs_never_exceeds_half_the_languages(epochs, K=5, N=2):
    rows = [[F(count, N) for count in latin_counts(offset, range(epochs), K)] for offset in (0, 3)]
    accumulated = sum(abs(F(epochs, N * K) - value) for row in rows for value in row)
    assert at(latin.latin_accumulated_error(), K=K, m=epochs % K) == accumulated <= F(K, 2)
    assert (accumulated == 0) == (epochs % K == 0)
