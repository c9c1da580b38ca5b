"""The example that attains the published bound, and the rates, against plain loops."""

import numpy as np
import pytest
import sympy as sp

from atri_lib.schemes import SCHEMES, data_distribution_error, ideal_distribution
from atri_lib.theory import bounds
from atri_lib.theory.symbolic import bound, distribution
from studies.symbolic import rates
from studies.symbolic.recursion import duration


def test_the_published_bound_is_attained_at_every_number_of_steps():
    measured, limit, factors = rates.attained()
    ratio = sp.powsimp(sp.simplify(measured / limit)).subs(factors)
    assert sp.simplify(ratio) == 1
    two_languages = measured.subs(factors).subs(distribution.K, 2)
    powers = (1 + bound.eta * bound.lam) ** bound.T - 1
    assert sp.simplify(two_languages - powers / bound.lam) == 0


@pytest.mark.parametrize("languages", [2, 3, 8])
@pytest.mark.parametrize("rate, curvature", [(0.1, 1.0), (0.5, 2.0)])
def test_the_example_run_step_by_step_stays_on_the_bound(rate, curvature, languages, steps=12):
    """English only, with the library's own distribution and recursion."""
    scheme = SCHEMES["english"](clips=1, languages=languages)
    ideal, used = ideal_distribution(1, languages)[0], scheme.distribution(0)[0]
    error = data_distribution_error(ideal[None], used[None])
    signs = np.array([1.0] + [-1.0] * (languages - 1))
    w = w_scheme = 0.0
    measured, largest = [], []
    for _ in range(steps):
        largest.append(np.abs(signs * (1 - curvature * w)).max())
        w -= rate * ideal @ (signs * (1 - curvature * w))
        w_scheme -= rate * used @ (signs * (1 - curvature * w_scheme))
        measured.append(abs(w_scheme - w))
    ones = np.ones(steps)
    limit = bounds.published(curvature * ones, error * ones, np.array(largest), rate)
    np.testing.assert_allclose(measured, limit, rtol=1e-12)
    too_small = bounds.published(0.99 * curvature * ones, error * ones, np.array(largest), rate)
    assert measured[-1] > too_small[-1]  # no smaller constant would do


@pytest.mark.parametrize("premise", rates.GROWTH)
def test_rates_are_what_the_recursion_gives(premise, steps=9):
    values = {
        bound.eta: 0.2,
        bound.lam: 1.5,
        rates.mu: 0.7,
        bound.D: 1.2,
        bound.g: 3.0,
        rates.sigma: 0.8,
        bound.T: steps,
    }
    growth = float(sp.sympify(rates.GROWTH[premise]).subs(values))
    lengths = bounds.unroll(np.full(steps, growth), np.full(steps, 0.2 * 1.2 * 3.0))
    squares = bounds.unroll(np.full(steps, growth**2), np.full(steps, (0.2 * 0.8) ** 2))
    assert float(rates.biased(rates.GROWTH[premise]).subs(values)) == pytest.approx(lengths[-1])
    assert float(rates.unbiased(rates.GROWTH[premise]).subs(values)) == pytest.approx(squares[-1])


def test_limits_that_the_page_states():
    eta, lam, T, mu = bound.eta, bound.lam, bound.T, rates.mu
    time = duration
    square = rates.unbiased(1 + eta * lam).subs(T, time / eta)
    assert sp.limit(square, eta, 0) == 0
    per_step_size = sp.limit(square / eta, eta, 0)
    expected = rates.sigma**2 * (sp.exp(2 * lam * time) - 1) / (2 * lam)
    assert sp.simplify(per_step_size - expected) == 0
    assert sp.simplify(rates.unbiased(sp.S.One) - eta**2 * rates.sigma**2 * T) == 0
    assert sp.simplify(rates.biased(sp.S.One) - eta * bound.D * bound.g * T) == 0
    values = {eta: 1e-3, mu: 0.7, rates.sigma: 0.8, bound.D: 1.2, bound.g: 3.0, T: 10**5}
    settled = float(rates.unbiased(1 - eta * mu).subs(values))
    assert settled == pytest.approx(1e-3 * 0.8**2 / (2 * 0.7), rel=1e-3)
    assert float(rates.biased(1 - eta * mu).subs(values)) == pytest.approx(1.2 * 3 / 0.7)


@pytest.mark.parametrize("premise", ["convex", "strongly convex"])
def test_convex_premises_keep_every_run_below_their_rate(premise):
    """Quadratic pair losses with one Hessian per problem, English only."""
    rng = np.random.default_rng(0)
    least = 0.3 if premise == "strongly convex" else 0.0
    for _ in range(20):
        root = rng.normal(size=(3, 2))
        hessian = root @ root.T + least * np.eye(3)  # singular for `convex`
        top = np.linalg.eigvalsh(hessian).max()
        rate = rng.uniform(0.1, 2) / (top + least)
        growth = float(sp.sympify(rates.GROWTH[premise]).subs({bound.eta: rate, rates.mu: least}))
        offset = rng.normal(size=(4, 3))
        assert _worst_biased(hessian, offset, rate, growth) <= 1 + 1e-9


def _worst_biased(hessian, offset, rate, growth, steps=30):
    """Largest measured / bound of English only; D g at the scheme's weights, where the ideal map is
    applied.
    """
    delta, limit, scheme, ideal, worst = 0.0, 0.0, np.zeros(3), np.zeros(3), 0.0
    for _ in range(steps):
        gradients = scheme @ hessian - offset
        longest = np.linalg.norm(gradients, axis=1).max()
        ideal = ideal - rate * (ideal @ hessian - offset.mean(0))
        scheme = scheme - rate * gradients[0]
        limit = growth * limit + rate * 1.5 * longest  # D = 2 (K - 1) / K with K = 4
        delta = np.linalg.norm(scheme - ideal)
        worst = max(worst, delta / limit)
    return worst
