"""Theorem A against enumerated noise in float64, and against runs that draw languages."""

import itertools

import numpy as np
import pytest
import sympy as sp
import torch

from atri_lib.theory.experiment import Experiment
from atri_lib.theory.optimizers import Adam, Runs
from studies import adam_noise, rotated_draws
from studies.symbolic import adam
from tests.theory.toy_heads import features, heads

GRADIENTS = np.array([0.7, -1.3, 0.9, 1.6])
DEVIATIONS = np.array([0.5, 0.8, 0.3, 0.6])
OPTIMIZER = Adam(0.004, beta1=0.8, beta2=0.99)


def weights(beta, steps=4):
    """What every step counts in a bias-corrected moment; they add up to 1."""
    ages = np.arange(steps)[::-1]
    return (1 - beta) * beta**ages / (1 - beta**steps)


def every_noise(size):
    """All sequences of two-point noise with these standard deviations, equally likely."""
    signs = list(itertools.product([-1, 1], repeat=len(GRADIENTS)))
    return size * np.array(signs) * DEVIATIONS


def mean_step(size, first, second):
    """E[M / sqrt(V)] by enumeration."""
    noisy = GRADIENTS + every_noise(size)
    return float(np.mean((noisy @ first) / np.sqrt(noisy**2 @ second)))


def shift(expression, first, second):
    """A shift of `symbolic.adam`, summed over the steps."""
    known = {adam.M: GRADIENTS @ first, adam.V: GRADIENTS**2 @ second}
    total = 0.0
    for a, b, g, s in zip(first, second, GRADIENTS, DEVIATIONS, strict=True):
        step = known | {adam.alpha: a, adam.gamma: b, adam.g: g, adam.sigma: s}
        total += float(expression.subs(step))
    return total


def test_second_moment_of_a_noisy_run_is_fed_the_square_and_the_variance():
    first, second = weights(0.8), weights(0.99)
    fed = float(np.mean((GRADIENTS + every_noise(1.0)) ** 2 @ second))
    derived = sum(
        b * float(adam.second_moment_source().subs({adam.g: g, adam.sigma: s}))
        for b, g, s in zip(second, GRADIENTS, DEVIATIONS, strict=True)
    )
    assert fed == pytest.approx(derived, rel=1e-12)
    assert first.sum() == pytest.approx(1)


def test_shift_of_the_mean_step_is_the_enumerated_one_to_second_order():
    first, second = weights(0.8), weights(0.99)
    derived = shift(adam.step_shift(), first, second)
    still = mean_step(0.0, first, second)
    errors = [
        abs(mean_step(size, first, second) - still - size**2 * derived) for size in (0.02, 0.01)
    ]
    assert errors[0] < 0.01 * 0.02**2 * abs(derived) + 1e-4
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.05)  # the noise is symmetric
    without = shift(adam.clock_shift(), first, second)
    assert abs(without - derived) > 0.02 * abs(derived)


def test_what_is_dropped_is_a_share_of_one_over_the_number_of_steps():
    assert sp.simplify(adam.share_of_clock() - (1 - 1 / adam.t)) == 0
    assert adam.share_of_clock().subs(adam.t, 1) == 0  # the first step is a sign: no shift at all
    steps, g, s = 50, 1.4, 0.3
    first, second = weights(0.8, steps), np.full(steps, 1 / steps)
    alike = {adam.M: g, adam.V: g**2, adam.g: g, adam.sigma: s}

    def total(expression):
        pairs = zip(first, second, strict=True)
        return sum(float(expression.subs(alike | {adam.alpha: a, adam.gamma: b})) for a, b in pairs)

    assert total(adam.step_shift()) / total(adam.clock_shift()) == pytest.approx(0.98)


def single(*numbers):
    """Numbers as tensors [1, 1]: one m, one weight."""
    return [torch.tensor([[number]], dtype=torch.float64) for number in numbers]


def test_covariance_of_what_is_fed_is_that_of_normal_noise():
    gradient, deviation = 0.7, 0.5
    nodes, chances = np.polynomial.hermite_e.hermegauss(8)
    fed = np.stack([gradient + deviation * nodes, (gradient + deviation * nodes) ** 2])
    expected = np.cov(fed, aweights=chances, bias=True)
    derived = adam.noise_covariance().subs({adam.g: gradient, adam.sigma: deviation})
    np.testing.assert_allclose(np.array(derived, dtype=float), expected, rtol=1e-12)


def test_own_part_is_that_of_all_noise_about_the_same_run():
    """Three values with the first five moments of a normal variable, in each of four steps."""
    nodes, chances = np.polynomial.hermite_e.hermegauss(3)
    every = torch.tensor(list(itertools.product(nodes, repeat=4)))
    chance = torch.tensor(list(itertools.product(chances / chances.sum(), repeat=4))).prod(1)
    z = torch.zeros(3, len(every), dtype=torch.float64).unbind(0)
    own = adam_noise.OwnPart.start(torch.zeros(1, 1, dtype=torch.float64))
    gains = zip([0.9, 0.4, 0.7, 0.2], [0.3, -0.2, 0.1, 0.4], strict=True)
    for gradient, gain, node, deviation in zip(GRADIENTS, gains, every.T, DEVIATIONS, strict=True):
        linear = adam_noise.Linearised(OPTIMIZER, *single(gradient, deviation**2, *gain))
        noise = deviation * node
        z = [part.flatten() for part in linear.apply(z, noise, linear.square(noise))]
        own = own.after(linear)
        expected = (chance * z[0].square()).sum().sqrt()
        assert own.length.item() == pytest.approx(expected.item(), rel=1e-12)


def test_linearised_step_is_the_derivative_of_adam():
    """A little noise in the first of four steps: what it leaves is what Adam makes of it."""
    still = torch.zeros(1, 1, dtype=torch.float64)
    z = [still] * 3
    runs = [Runs.begin(OPTIMIZER, torch.zeros(1, dtype=torch.float64)) for _ in range(2)]
    for step, gradient in enumerate(single(*GRADIENTS)):
        noise = torch.full_like(still, 1e-6 * (step == 0))
        runs = [runs[0].after(gradient), runs[1].after(gradient + noise)]
        linear = adam_noise.Linearised.about(OPTIMIZER, gradient, still, runs[0].state)
        z = linear.apply(z, noise, linear.square(noise))
        moved = (runs[1].weights - runs[0].weights).item()
        assert z[0].item() == pytest.approx(moved, rel=1e-3, abs=1e-12)


def test_derived_maps_are_those_that_are_computed():
    first, second = 0.5, 2.0
    root = second**0.5
    gains = 0.1 / root, 0.1 * first / (2 * root * second)
    linear = adam_noise.Linearised(Adam(0.1, beta1=0.8, beta2=0.9), *single(0.0, 0.0, *gains))
    values = {"eta": 0.1, "beta": 0.8, "beta_2": 0.9, "M": first, "V": second}
    by_state, by_noise = (
        np.array(derived.subs({s: values[s.name] for s in derived.free_symbols}), dtype=float)
        for derived in adam.own_maps()
    )
    state, noise = (0.3, -0.2, 0.6), (0.4, 0.1)
    computed = linear.apply(single(*state), *single(*noise))
    expected = by_state @ state + by_noise @ noise
    np.testing.assert_allclose([part.item() for part in computed], expected, rtol=1e-12)


def experiment(clips=24, epochs=20):
    clip_features, texts = features(clips, languages=3)
    return Experiment(heads(), clip_features, texts, temperature=0.2, batch=12, epochs=epochs)


def test_prediction_without_draws_is_what_runs_with_draws_do():
    setup, groups, optimizer = experiment(), 10, Adam(0.001)
    predicted = list(adam_noise.predict(setup, optimizer, [1, 2, 3], probes=12))
    assert [guess.step for guess in predicted] == list(range(1, 41))
    for place, m in enumerate((1, 2)):
        draws = rotated_draws.RotatedDraws(setup, m, groups, seed=1)
        found = rotated_draws.displacements(setup, optimizer, draws, [12, 40])
        for step, displacement in found.items():
            seen = rotated_draws.split(displacement, groups)
            guess = predicted[step - 1]
            systematic = guess.systematic[place]
            assert rotated_draws.cosine(systematic, seen.mean) > 0.95
            assert systematic.norm().item() == pytest.approx(seen.systematic, rel=0.15)
            assert guess.curved[place].item() == pytest.approx(seen.own, rel=0.15)
    whole = predicted[-1]
    assert whole.systematic[2].norm() == whole.own[2] == 0  # all languages: nothing is drawn


def test_both_parts_have_their_powers_of_the_sampling_factor():
    """m = 2 of 3 has a quarter of the variance of m = 1."""
    one, two = list(adam_noise.predict(experiment(epochs=4), OPTIMIZER, [1, 2]))[-1].systematic
    assert 2 < (one.norm() / two.norm()).item() < 4  # 4 if the noise were small
    own = list(adam_noise.predict(experiment(epochs=4), OPTIMIZER, [1, 2]))[-1].own
    assert 1 < (own[0] / own[1]).item() < 2  # 2 if the clock did not slow down


def test_curvature_leaves_the_own_part_alone_where_steps_are_small():
    (*_, last) = adam_noise.predict(experiment(epochs=2), Adam(1e-7), [1], probes=2)
    torch.testing.assert_close(last.curved, last.own, rtol=1e-4, atol=0)
    (*_, last) = adam_noise.predict(experiment(epochs=2), Adam(1e-7), [1])
    assert last.curved.isnan().all()
