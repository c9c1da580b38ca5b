"""One covariance for all schedules: the formula against enumeration, the double sum against many
runs.
"""

import itertools

import numpy as np
import pytest
import sympy as sp
import torch
from numpy.testing import assert_allclose
from pytest import approx
from torch.nn.functional import one_hot

from atri_lib.schemes import SCHEMES
from atri_lib.theory import twin_runs
from atri_lib.theory.experiment import Arm
from atri_lib.theory.optimizers import SGD
from studies import schedules
from studies.mean_square_law import mean_square
from studies.symbolic import law, schedule
from tests.studies.toys import BALANCED, FREE, HOLD, quadratic, toy

LATIN = Arm("Latin", "latin")
TWO = Arm("2 of K", "m_of_k", m=2)
TURNS = Arm("2 by turns", "balanced", m=2)
SCHEDULES = [FREE, HOLD, BALANCED, LATIN, TWO]


def scheme(name, languages=3, **settings):
    return SCHEMES[name](clips=1, languages=languages, **settings)


def at(expression, **values):
    """A closed form's value; by the printed name of the symbols."""
    named = {symbol: values[symbol.name] for symbol in expression.free_symbols}
    return float(expression.subs(named))


def same(one, other):
    return sp.simplify(one - other) == 0


# --- gradients that stand still


def test_the_forms_that_the_page_states():
    E = schedule.E
    K = schedule.K
    m = schedule.m
    assert same(schedule.independent(), E)
    assert same(schedule.hold(), E * schedule.b)
    balanced = schedule.balanced()
    assert same(balanced, E * (K - m * E) / (K - m))
    assert same(balanced.subs(m, 1), law.latin_growth(E))
    cycles = schedule.round_robin()
    first = cycles.subs(schedule.r, E * m)  # nothing has gone round yet
    assert same(first, balanced)


@pytest.mark.parametrize(
    "name, K, m", [("balanced", 5, 2), ("balanced", 6, 4), ("balanced", 8, 3), ("latin", 5, 1)]
)
def test_growth_of_the_scheme_is_the_closed_form_over_several_cycles(name, K, m):
    chosen = {"m": m} if name == "balanced" else {}
    grown = schedules.growth(scheme(name, K, **chosen), 2 * K + 1)
    for epoch, found in enumerate(grown, start=1):
        left = epoch * m % K
        closed = at(schedule.round_robin(), K=K, m=m, r=left)
        assert found == approx(closed, abs=1e-12)


def test_growth_of_all_languages_at_once_is_nothing():
    grown = schedules.growth(scheme("balanced", m=3), 7)
    assert np.isnan(grown).all()


def test_growth_of_independent_draws_and_of_hold():
    independent = scheme("m_of_k", 5, m=2)
    assert_allclose(schedules.growth(independent, 6), np.arange(1, 7))
    grown = schedules.growth(scheme("hold", 5, hold=3), 9)
    for epochs in (3, 6, 9):
        closed = at(schedule.hold(), E=epochs, b=3)
        assert grown[epochs - 1] == approx(closed)
    assert grown[1] == approx(4)  # within a block one error, twice as long: 2^2


@pytest.mark.parametrize("arm", [LATIN, HOLD, TURNS, Arm("CACL", "cacl")])
def test_growth_on_given_gradients_is_the_variance_of_sums_of_draws(arm):
    """One scheme object of many clips is many draws of one clip's languages."""
    draws = 20_000
    generator = np.random.default_rng(1)
    gradients = generator.normal(size=(4, 3))
    many = arm.draw(draws, 4, seed=3)
    mean = many.mean_distribution()
    apart = np.stack([many.distribution(epoch) - mean for epoch in range(5)])
    noise = draws * apart @ gradients
    sums = noise.cumsum(axis=0)
    squares = np.square(sums).sum(-1)  # [epochs, draws]
    squares /= squares[0].mean()
    measured = squares.mean(1)
    error = squares.std(1) / np.sqrt(draws)
    gram = gradients @ gradients.T
    off = schedules.growth(many, 5, gram) - measured
    assert (np.abs(off) < 5 * error + 0.03).all()  # 0.03: the first epoch's mean has an error too
    from_independent = np.arange(1, 6) - measured
    assert np.abs(from_independent).max() > 0.3 or arm.name == "CACL"


# --- gradients along the ideal run


@pytest.mark.parametrize("arm", SCHEDULES, ids=lambda arm: arm.name)
def test_double_sum_equals_brute_force_on_quadratics(arm):
    setup = quadratic()
    products = schedules.carried(setup, 0.2)
    once = {"draws": 2000, "power_iterations": None}
    table = twin_runs.run(setup, SGD(0.2), [arm], **once)
    ends = table[table.step % 2 == 0]
    squares = (ends.measured**2).groupby(ends.epoch)

    def worst(arm):
        """Of all epochs, in standard errors."""
        drawn = arm.draw(4, 3, 0)
        predicted = schedules.predict(products, drawn, 0.2)
        z = (predicted**2 - squares.mean()) / squares.sem()
        return z.abs().max()

    assert worst(arm) < 4
    other = SCHEDULES[0] if arm.name == "hold" else SCHEDULES[1]
    assert worst(other) > 8


def test_double_sum_is_the_law_where_draws_are_independent_and_curvature_is_a_number():
    rate = 0.3
    setup = quadratic(epochs=3, curvature=0.7)
    variance = setup.texts.var(1, correction=0).sum(-1)
    noise = 0.49 * variance  # the same wherever the weights are
    per_step = []
    for step in setup.steps(""):
        mean = noise[step.clips].mean() / len(step.clips)
        per_step.append(rate**2 * mean.item())
    kept = (1 - 0.7 * rate) ** 2
    shrink = np.full(len(per_step), kept)
    expected = mean_square(shrink, np.array(per_step))
    products = schedules.carried(setup, rate)
    predicted = schedules.predict(products, scheme("ml_clap"), rate)
    assert_allclose(predicted, expected[1::2], rtol=1e-9)


def test_small_steps_leave_the_growth_of_gradients_that_stand_still():
    """One batch an epoch: with other neighbours a clip would have other negatives, so another
    gradient, every epoch.
    """
    rate = 1e-6
    products = schedules.carried(toy(epochs=4), rate)
    gram = products[0, 0, 0, 0]
    for arm in SCHEDULES:
        drawn = arm.draw(6, 3, 0)
        predicted = schedules.predict(products, drawn, rate)
        grown = (predicted / predicted[0]) ** 2
        expected = schedules.growth(drawn, 4, gram)
        assert_allclose(grown, expected, atol=2e-3)


def predicted(**probed):
    """Of ML-CLAP on the toy, and the error of the probes."""
    setup = toy(batch=3, epochs=2)
    products = schedules.carried(setup, 0.1, **probed)
    one = scheme("ml_clap")
    covariances = schedules.covariances(one, 2)
    error = schedules.probe_error(products, covariances)
    return schedules.predict(products, one, 0.1), error


def test_random_signs_leave_the_sum_over_clips_in_the_mean():
    exact, _ = predicted()
    drawn, _ = predicted(probes=256)
    assert_allclose(drawn, exact, rtol=0.1)
    few, unknown = predicted(probes=1)
    assert np.abs(few - exact).max() > np.abs(drawn - exact).max()
    assert np.isnan(unknown).all()


def test_the_scatter_of_probes_is_the_error_of_their_mean():
    exact, _ = predicted()
    z = []
    for seed in range(12):
        drawn, error = predicted(probes=8, seed=seed)
        off = drawn / exact - 1
        z.append(off / error)
    assert 0.6 < np.std(z) < 1.6


def test_for_weak_noise_the_double_sum_is_exact_to_first_order():
    """p' = p + nu (p' - p), every draw enumerated: RMS / (nu eta sqrt(double sum)) tends to 1."""
    setup = toy(clips=3, languages=2, epochs=2)
    optimizer = SGD(0.3)
    products = schedules.carried(setup, 0.3)
    *_, first = schedules.predict(products, scheme("ml_clap", 2), 0.3)
    every = list(itertools.product(range(2), repeat=6))
    histories = torch.tensor(every).unflatten(1, (2, 3))
    off = []
    for nu in (0.4, 0.2, 0.1):
        runs = setup.begin(optimizer, len(histories))
        for step, _, _, after in setup.ideal_run(optimizer, ""):
            chosen = histories[:, step.epoch, step.clips]
            noise = one_hot(chosen, 2) / 3 - step.even
            weights = step.even + nu * noise
            gradients = setup.task.gradients(runs.weights, weights, step.data)
            runs = runs.after(gradients.detach())
            apart = runs.weights - after.weights
        root = apart.square().sum(1).mean().sqrt()
        share = root.item() / (nu * first)
        off.append(abs(share - 1))
    assert off[2] < 0.01
    assert off[1] < 0.6 * off[0]
    assert off[2] < 0.6 * off[1]


@pytest.mark.parametrize("name, message", [("cacl", "biased"), ("block", "share their draws")])
def test_a_scheme_that_the_sum_does_not_hold_for_is_refused(name, message):
    products = np.zeros((1, 2, 2, 2, 3, 3))
    with pytest.raises(ValueError, match=message):
        schedules.predict(products, scheme(name), 0.1)
