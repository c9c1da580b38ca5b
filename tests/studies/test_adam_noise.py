"""Theorem A against enumerated noise in float64, and against runs that draw languages."""

import itertools

import numpy as np
import pytest
import sympy as sp
import torch
from pytest import approx

from atri_lib.theory.optimizers import Adam, Runs
from studies import adam_noise, rotated_draws
from studies.symbolic import adam
from tests.studies.toys import toy

GRADIENTS = np.array([0.7, -1.3, 0.9, 1.6])
DEVIATIONS = np.array([0.5, 0.8, 0.3, 0.6])
OPTIMIZER = Adam(0.004, beta1=0.8, beta2=0.99)


def weights(beta, steps=4):
    """What every step counts in a bias-corrected moment; they add up to 1."""
    ages = np.arange(steps)[::-1]
    return (1 - beta) * beta**ages / (1 - beta**steps)


FIRST = weights(0.8)
SECOND = weights(0.99)


def mean_step(size):
    """E[M / sqrt(V)] over all sequences of two-point noise, equally likely."""
    signs = np.array(list(itertools.product([-1, 1], repeat=4)))
    noisy = GRADIENTS + size * signs * DEVIATIONS
    steps = noisy @ FIRST / np.sqrt(noisy**2 @ SECOND)
    return steps.mean()


def shift(expression, first=FIRST, second=SECOND, gradients=GRADIENTS, deviations=DEVIATIONS):
    """A shift of `symbolic.adam`, summed over the steps."""
    symbols = adam.M, adam.V, adam.alpha, adam.gamma, adam.g, adam.sigma
    of_step = sp.lambdify(symbols, expression)
    moment = gradients @ first
    square = gradients**2 @ second
    return of_step(moment, square, first, second, gradients, deviations).sum()


def test_shift_of_the_mean_step_is_the_enumerated_one_to_second_order():
    derived = shift(adam.step_shift())
    errors = []
    for size in (0.02, 0.01):
        enumerated = mean_step(size) - mean_step(0)
        errors.append(abs(enumerated - size**2 * derived))
    assert errors[0] / errors[1] == approx(16, rel=0.05)  # the noise is symmetric
    clock = shift(adam.clock_shift())
    assert abs(clock - derived) > 0.02 * abs(derived)


def test_what_is_dropped_is_a_share_of_one_over_the_number_of_steps():
    share = adam.share_of_clock()
    assert sp.simplify(share - (1 - 1 / adam.t)) == 0
    assert share.subs(adam.t, 1) == 0  # the first step is a sign: no shift at all
    steps = 50
    young = np.full(steps, 1 / steps)
    alike = weights(0.8, steps), young, np.full(steps, 1.4), np.full(steps, 0.3)
    whole = shift(adam.step_shift(), *alike)
    clock = shift(adam.clock_shift(), *alike)
    assert whole / clock == approx(0.98)


def single(*numbers):
    """Numbers as tensors [1, 1]: one m, one weight."""
    return [torch.tensor([[number]], dtype=torch.float64) for number in numbers]


def test_covariance_of_what_is_fed_is_that_of_normal_noise():
    gradient = 0.7
    deviation = 0.5
    nodes, chances = np.polynomial.hermite_e.hermegauss(8)
    noisy = gradient + deviation * nodes
    expected = np.cov([noisy, noisy**2], aweights=chances, bias=True)
    derived = adam.noise_covariance().subs({adam.g: gradient, adam.sigma: deviation})
    np.testing.assert_allclose(np.array(derived, dtype=float), expected, rtol=1e-12)


def test_own_part_is_that_of_all_noise_about_the_same_run():
    """Three values with the first five moments of a normal variable, in each of four steps."""
    nodes, chances = np.polynomial.hermite_e.hermegauss(3)
    chances /= chances.sum()
    every = torch.tensor(list(itertools.product(nodes, repeat=4)))
    chance = torch.tensor(list(itertools.product(chances, repeat=4))).prod(1)
    z = [torch.zeros(len(every), dtype=torch.float64)] * 3
    (still,) = single(0.0)
    own = adam_noise.OwnPart.start(still)
    gains = [(0.9, 0.3), (0.4, -0.2), (0.7, 0.1), (0.2, 0.4)]
    for step, gain in enumerate(gains):
        deviation = DEVIATIONS[step]
        about = single(GRADIENTS[step], deviation**2, *gain)
        linear = adam_noise.Linearised(OPTIMIZER, *about)
        noise = deviation * every[:, step]
        moved = linear.apply(z, noise, linear.square(noise))
        z = [part.flatten() for part in moved]
        own = own.after(linear)
        expected = (chance * z[0].square()).sum().sqrt()
        assert own.length.item() == approx(expected.item(), rel=1e-12)


def test_linearised_step_is_the_derivative_of_adam():
    """A little noise in the first of four steps: what it leaves is what Adam makes of it."""
    (still,) = single(0.0)
    z = [still] * 3
    plain = noisy = Runs(OPTIMIZER, still, OPTIMIZER.start(still))
    (noise,) = single(1e-6)
    for gradient in single(*GRADIENTS):
        plain = plain.after(gradient)
        noisy = noisy.after(gradient + noise)
        linear = adam_noise.Linearised.about(OPTIMIZER, gradient, still, plain.state)
        z = linear.apply(z, noise, linear.square(noise))
        moved = (noisy.weights - plain.weights).item()
        assert z[0].item() == approx(moved, rel=1e-3, abs=1e-12)
        noise = still


def test_derived_maps_are_those_that_are_computed():
    first = 0.5
    second = 2.0
    root = second**0.5
    of_first = 0.1 / root
    of_second = 0.1 * first / (2 * root * second)
    about = single(0.0, 0.0, of_first, of_second)
    linear = adam_noise.Linearised(Adam(0.1, beta1=0.8, beta2=0.9), *about)
    values = {"eta": 0.1, "beta": 0.8, "beta_2": 0.9, "M": first, "V": second}
    by_state, by_noise = (np.array(derived.subs(values), float) for derived in named_maps())
    state = 0.3, -0.2, 0.6
    noise = 0.4, 0.1
    computed = linear.apply(single(*state), *single(*noise))
    expected = by_state @ state + by_noise @ noise
    np.testing.assert_allclose([part.item() for part in computed], expected, rtol=1e-12)


def named_maps():
    """The derived maps with symbols that have names alone: 'eta' for the positive eta."""
    for derived in adam.own_maps():
        plain = {symbol: sp.Symbol(symbol.name) for symbol in derived.free_symbols}
        yield derived.subs(plain)


def experiment(epochs):
    return toy(clips=24, batch=12, epochs=epochs, temperature=0.2)


def test_prediction_without_draws_is_what_runs_with_draws_do():
    setup = experiment(epochs=20)
    optimizer = Adam(0.001)
    predicted = list(adam_noise.predict(setup, optimizer, [1, 2, 3], probes=12))
    assert [guess.step for guess in predicted] == list(range(1, 41))
    for place, m in enumerate((1, 2)):
        draws = rotated_draws.RotatedDraws(setup, m, groups=10, seed=1)
        found = rotated_draws.displacements(setup, optimizer, draws, [12, 40])
        for step, displacement in found.items():
            seen = rotated_draws.split(displacement, groups=10)
            guess = predicted[step - 1]
            systematic = guess.systematic[place]
            assert rotated_draws.cosine(systematic, seen.mean) > 0.95
            assert systematic.norm().item() == approx(seen.systematic, rel=0.15)
            assert guess.curved[place].item() == approx(seen.own, rel=0.15)
    whole = predicted[-1]
    assert whole.systematic[2].norm() == 0  # all languages: nothing is drawn
    assert whole.own[2] == 0


@pytest.mark.parametrize("probes", [0, 2])
def test_curvature_leaves_the_own_part_alone_where_steps_are_small(probes):
    *_, last = adam_noise.predict(experiment(epochs=2), Adam(1e-7), [1], probes)
    expected = last.own if probes else torch.full_like(last.own, torch.nan)
    torch.testing.assert_close(last.curved, expected, rtol=1e-4, atol=0, equal_nan=True)
