"""Theorem on the mean at second order and the batch formula: sympy against definitions."""

import itertools
from fractions import Fraction as F

import pytest
import sympy as sp

from atri_lib.theory.symbolic.distribution import K, N
from studies.symbolic import schedule, second_order


@pytest.mark.parametrize("languages, epochs", [(2, 2), (2, 3), (3, 2)])
def test_mean_displacement_is_the_sum_over_pairs_of_epochs(languages, epochs):
    mean, formula = second_order.mean_displacement(languages, epochs)
    assert sp.expand(mean - formula) == 0 != formula


def test_the_hessian_belongs_to_the_later_epochs_language():
    """Latin with three languages, all three draws in exact rationals: C_12 is not symmetric."""
    languages = range(3)
    slopes = [F(2), F(-1), F(3)]  # g_k
    curvatures = [F(1), F(5), F(-2)]  # h_k
    rate = F(1, 1000)
    mean = (
        sum(curvatures[(first + 1) % 3] * slopes[first] for first in languages) / 3
    )  # the second epoch shows the next language
    ideal = sum(curvatures) / 3 * sum(slopes) / 3
    ends = []
    for first in languages:
        at = -rate * slopes[first]
        later = (first + 1) % 3
        ends.append(at - rate * (slopes[later] + curvatures[later] * at))
    at = -rate * sum(slopes) / 3
    ideal_end = at - rate * (sum(slopes) / 3 + sum(curvatures) / 3 * at)
    assert sum(ends) / 3 - ideal_end == rate**2 * (mean - ideal)
    covariance = [
        [F(int(later == (k + 1) % 3), 3) - F(1, 9) for later in languages] for k in languages
    ]
    formula = swapped = F(0)
    for k, later in itertools.product(languages, languages):
        formula += covariance[k][later] * curvatures[later] * slopes[k]
        swapped += covariance[k][later] * curvatures[k] * slopes[later]
    assert formula == mean - ideal != swapped


def test_one_epochs_covariance_gives_the_slope_of_half_the_variance():
    for languages in (2, 3, 5):
        contrasted, slope = second_order.half_slope_of_variance(languages)
        assert sp.expand(contrasted - slope) == 0 != slope


def test_drifts_over_one_cycle():
    E, b = schedule.E, schedule.b
    assert second_order.drift(schedule.independent()) == 0
    one_cycle = second_order.drift(schedule.balanced()).subs(schedule.m, 1).subs(E, K)
    assert sp.simplify(one_cycle + K / 2) == 0
    held = second_order.drift(schedule.hold()).subs(E, K)
    assert sp.simplify(held - K * (b - 1) / 2) == 0
    assert sp.simplify(held.subs(b, 2) + one_cycle) == 0  # the exact opposite


def test_batch_noise_has_the_three_forms_that_the_page_states():
    V, A = second_order.V, second_order.A
    forms = {
        "independent": V / N,
        "one language per batch": A,
        "each language equally often": (V - A) / (N - 1),
    }
    for name, form in forms.items():
        noise = second_order.batch_noise(second_order.SAME_LANGUAGE[name])
        assert sp.simplify(noise - form) == 0


def test_each_language_equally_often_against_every_assignment():
    """Two languages, four clips: all six assignments in exact rationals."""
    x = [F(3), F(-1), F(5, 2), F(1, 3)]  # half the difference of the two gradients, per clip
    squares = []
    for second in itertools.combinations(range(4), 2):
        noise = sum(-value if i in second else value for i, value in enumerate(x)) / 4
        squares.append(noise**2)
    V, A = sum(value**2 for value in x) / 4, (sum(x) / 4) ** 2
    assert sum(squares) / 6 == (V - A) / 3
