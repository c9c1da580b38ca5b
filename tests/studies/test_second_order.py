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
    assert sp.expand(mean - formula) == 0
    assert formula != 0


def test_the_hessian_belongs_to_the_later_epochs_language():
    """Latin with three languages, all three draws in exact rationals: C_12 is not symmetric."""
    slopes = [F(2), F(-1), F(3)]  # g_k
    curvatures = [F(1), F(5), F(-2)]  # h_k
    rate = F(1, 1000)

    def two_steps(first, second):
        """Where a run is that meets a (slope, curvature) in one epoch and another in the next."""
        at = -rate * first[0]
        slope, curvature = second
        return at - rate * (slope + curvature * at)

    pairs = list(zip(slopes, curvatures, strict=True))
    ends = [two_steps(pairs[first], pairs[(first + 1) % 3]) for first in range(3)]
    mean = sum(slopes) / 3, sum(curvatures) / 3
    displacement = sum(ends) / 3 - two_steps(mean, mean)
    formula = 0
    swapped = 0
    for first, later in itertools.product(range(3), repeat=2):
        next_one = (first + 1) % 3
        covariance = F(later == next_one, 3) - F(1, 9)
        formula += covariance * curvatures[later] * slopes[first]
        swapped += covariance * curvatures[first] * slopes[later]
    assert displacement == rate**2 * formula
    assert formula != swapped


@pytest.mark.parametrize("languages", [2, 3, 5])
def test_one_epochs_covariance_gives_the_slope_of_half_the_variance(languages):
    contrasted, slope = second_order.half_slope_of_variance(languages)
    assert sp.expand(contrasted - slope) == 0
    assert slope != 0


def test_drifts_over_one_cycle():
    E = schedule.E
    assert second_order.drift(schedule.independent()) == 0
    balanced = second_order.drift(schedule.balanced()).subs({schedule.m: 1, E: K})
    assert sp.simplify(balanced + K / 2) == 0
    held = second_order.drift(schedule.hold()).subs(E, K)
    assert sp.simplify(held - K * (schedule.b - 1) / 2) == 0  # for b = 2 the exact opposite


V = second_order.V
A = second_order.A


@pytest.mark.parametrize(
    "name, form",
    [
        ("independent", V / N),
        ("one language per batch", A),
        ("each language equally often", (V - A) / (N - 1)),
    ],
)
def test_batch_noise_has_the_three_forms_that_the_page_states(name, form):
    noise = second_order.batch_noise(second_order.SAME_LANGUAGE[name])
    assert sp.simplify(noise - form) == 0
