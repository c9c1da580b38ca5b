"""One covariance for all schedules: the formula against enumeration, the double sum against many
runs.
"""

import itertools
from fractions import Fraction as F
from functools import cached_property

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn

from atri_lib.schemes import SCHEMES
from atri_lib.theory import twin_runs
from atri_lib.theory.experiment import Arm, Experiment
from atri_lib.theory.model_functions import Task
from atri_lib.theory.optimizers import SGD
from studies import schedules
from studies.mean_square_law import mean_square
from studies.symbolic import law, schedule
from tests.theory.toy_heads import features, heads


def scheme(name, languages, **settings):
    return SCHEMES[name](clips=1, languages=languages, **settings)


def at(expression, **values):
    """A closed form's value; by the printed name of the symbols."""
    return F(
        *sp.Rational(
            expression.subs({s: values[s.name] for s in expression.free_symbols})
        ).as_numer_denom()
    )


# --- gradients that stand still


def test_the_forms_that_the_page_states():
    E, K, m, b = schedule.E, schedule.K, schedule.m, schedule.b
    assert sp.simplify(schedule.independent() - E) == 0
    assert sp.simplify(schedule.hold() - E * b) == 0
    assert sp.simplify(schedule.balanced().subs(m, 1) - E * (K - E) / (K - 1)) == 0
    assert sp.simplify(schedule.balanced() - E * (K - m * E) / (K - m)) == 0
    assert sp.simplify(schedule.balanced().subs(m, 1) - law.latin_growth(E)) == 0
    cycle = schedule.round_robin().subs(
        schedule.r, E * m
    )  # within a cycle nothing has gone round yet
    assert sp.simplify(cycle - schedule.balanced()) == 0


@pytest.mark.parametrize("K, m", [(4, 1), (4, 2), (6, 2), (5, 1)])
def test_balanced_equals_the_mean_over_every_order(K, m):
    x = [F((k + 1) ** 2, 3) - k for k in range(K)]
    x = [value - sum(x) / K for value in x]
    orders = list(itertools.permutations(x))
    one = sum(sum(order[:m]) ** 2 for order in orders)
    for epochs in range(1, K // m + 1):
        total = sum(sum(order[: m * epochs]) ** 2 for order in orders)
        assert total / one == at(schedule.balanced(), K=K, m=m, E=epochs)
        assert epochs == 1 or total / one < epochs  # independent draws would have E


@pytest.mark.parametrize("K, m", [(5, 2), (4, 3), (6, 4), (8, 3), (8, 8), (3, 1)])
@pytest.mark.parametrize("name", ["balanced", "latin"])
def test_growth_of_the_scheme_is_the_closed_form_over_several_cycles(name, K, m):
    if name == "latin":
        grown, m = schedules.growth(scheme(name, K), 2 * K + 1), 1
    else:
        grown = schedules.growth(scheme(name, K, m=m), 2 * K + 1)
    if m == K:
        assert np.isnan(grown).all()
        return
    closed = [
        at(schedule.round_robin(), K=K, m=m, r=epochs * m % K) for epochs in range(1, 2 * K + 2)
    ]
    np.testing.assert_allclose(grown, np.array(closed, dtype=float), atol=1e-12)
    assert grown.min() < 1e-12 < grown.max()


def test_growth_of_independent_draws_and_of_hold():
    np.testing.assert_allclose(schedules.growth(scheme("m_of_k", 5, m=2), 6), np.arange(1, 7))
    grown = schedules.growth(scheme("hold", 5, hold=3), 9)
    np.testing.assert_allclose(
        grown[[2, 5, 8]], [float(at(schedule.hold(), E=e, b=3)) for e in (3, 6, 9)]
    )
    assert grown[1] == pytest.approx(4)  # within a block one error, twice as long: 2^2


@pytest.mark.parametrize(
    "name, settings", [("latin", {}), ("hold", {"hold": 2}), ("balanced", {"m": 2}), ("cacl", {})]
)
def test_growth_on_given_gradients_is_the_variance_of_sums_of_draws(
    name, settings, K=4, epochs=5, draws=20_000
):
    """One scheme object of many clips is many draws of one clip's languages."""
    gradients = np.random.default_rng(1).normal(size=(K, 3))
    many = SCHEMES[name](clips=draws, languages=K, seed=3, **settings)
    noise = [
        (draws * many.distribution(e) - draws * many.mean_distribution()) @ gradients
        for e in range(epochs)
    ]
    squares = np.square(np.cumsum(noise, axis=0)).sum(-1)  # [epochs, draws]
    measured = squares.mean(1) / squares[0].mean()
    error = squares.std(1) / np.sqrt(draws) / squares[0].mean()
    predicted = schedules.growth(many, epochs, gradients @ gradients.T)
    assert (
        np.abs(predicted - measured) < 5 * error + 0.03
    ).all()  # 0.03: the first epoch's mean has an error too
    assert (
        np.abs(np.arange(1, epochs + 1) - measured).max() > 0.3 or name == "cacl"
    )  # independent draws: E


# --- gradients along the ideal run


class Quadratic(Task):
    """l_ik = (w - c_ik)' A_i (w - c_ik) / 2: linear gradients, so first order is exact. A_i:
    clip_features, c_ik: texts.
    """

    def losses(self, weights, batch):
        curvature, centres = batch
        apart = weights - centres  # [B, K, D]
        return torch.einsum("bkd,bde,bke->bk", apart, curvature, apart) / 2


class Weights(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size))


class QuadraticExperiment(Experiment):
    @cached_property
    def task(self):
        return Quadratic(self.model, self.temperature, self.dtype)


def quadratic(clips=4, languages=3, size=2, batch=2, epochs=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(clips, size, size, generator=generator, dtype=torch.float64)
    curvature = root @ root.transpose(1, 2) / size + 0.2 * torch.eye(size)
    centres = torch.randn(clips, languages, size, generator=generator, dtype=torch.float64)
    return QuadraticExperiment(
        Weights(size), curvature, centres, batch=batch, epochs=epochs, seed=seed
    )


SCHEDULES = [Arm("ML-CLAP", "ml_clap"), Arm("hold", "hold", hold=2), Arm("Latin", "latin"),
             Arm("balanced", "balanced", m=1), Arm("2 of K", "m_of_k", m=2)]  # fmt: skip


@pytest.mark.parametrize("arm", SCHEDULES, ids=lambda arm: arm.name)
def test_double_sum_equals_brute_force_on_quadratics(arm, rate=0.2, draws=2000):
    setup = quadratic()
    products = schedules.carried(setup, rate)
    table = twin_runs.run(setup, SGD(rate), [arm], draws=draws, power_iterations=None)
    ends = (
        table[table.step % 2 == 0]
        .assign(square=lambda rows: rows.measured**2)
        .groupby("epoch")
        .square
    )
    predicted = schedules.predict(products, arm.draw(4, 3, 0), rate)
    z = (predicted**2 - ends.mean()) / ends.sem()
    assert z.abs().max() < 4
    other = SCHEDULES[1] if arm.name != "hold" else SCHEDULES[0]
    wrong = schedules.predict(products, other.draw(4, 3, 0), rate)
    assert ((wrong**2 - ends.mean()) / ends.sem()).abs().max() > 8


def test_double_sum_is_the_law_where_draws_are_independent_and_curvature_is_a_number(rate=0.3):
    setup = quadratic(epochs=3)
    setup.clip_features[:] = 0.7 * torch.eye(2, dtype=torch.float64)
    noise = setup.texts.var(1, correction=0).sum(-1) * 0.49  # the same wherever the weights are
    per_step = [noise[step.clips].sum().item() / len(step.clips) ** 2 for step in setup.steps("")]
    expected = mean_square(
        np.full(len(per_step), (1 - 0.7 * rate) ** 2), rate**2 * np.array(per_step)
    )
    predicted = schedules.predict(schedules.carried(setup, rate), scheme("ml_clap", 3), rate)
    np.testing.assert_allclose(predicted, expected[1::2], rtol=1e-9)


def test_small_steps_leave_the_growth_of_gradients_that_stand_still():
    """One batch an epoch: with other neighbours a clip would have other negatives, so another
    gradient, every epoch.
    """
    clip_features, texts = features(6, 3)
    setup = Experiment(heads(), clip_features, texts, temperature=0.2, batch=6, epochs=4)
    rate = 1e-6
    products = schedules.carried(setup, rate)
    gram = products[0, 0, 0, 0]
    for name, settings in (
        ("ml_clap", {}),
        ("hold", {"hold": 2}),
        ("balanced", {"m": 1}),
        ("latin", {}),
    ):
        one = scheme(name, 3, **settings)
        grown = (
            schedules.predict(products, one, rate) / schedules.predict(products, one, rate)[0]
        ) ** 2
        np.testing.assert_allclose(grown, schedules.growth(one, 4, gram), atol=2e-3)


def test_random_signs_leave_the_sum_over_clips_in_the_mean():
    clip_features, texts = features(6, 3)
    setup = Experiment(heads(), clip_features, texts, temperature=0.2, batch=3, epochs=2)
    exact = schedules.predict(schedules.carried(setup, 0.1), scheme("ml_clap", 3), 0.1)
    drawn = schedules.predict(schedules.carried(setup, 0.1, probes=256), scheme("ml_clap", 3), 0.1)
    np.testing.assert_allclose(drawn, exact, rtol=0.1)
    few = schedules.predict(schedules.carried(setup, 0.1, probes=1), scheme("ml_clap", 3), 0.1)
    assert np.abs(few / exact - 1).max() > np.abs(drawn / exact - 1).max()


def test_the_scatter_of_probes_is_the_error_of_their_mean():
    clip_features, texts = features(6, 3)
    setup = Experiment(heads(), clip_features, texts, temperature=0.2, batch=3, epochs=2)
    one = scheme("ml_clap", 3)
    covariances = schedules.covariances(one, 2)
    exact = schedules.predict(schedules.carried(setup, 0.1), one, 0.1)
    z = []
    for seed in range(12):
        products = schedules.carried(setup, 0.1, probes=8, seed=seed)
        off = schedules.predict(products, one, 0.1) / exact - 1
        z.append(off / schedules.probe_error(products, covariances))
    assert 0.6 < np.std(z) < 1.6
    single = schedules.carried(setup, 0.1, probes=1)
    assert np.isnan(schedules.probe_error(single, covariances)).all()


def test_for_weak_noise_the_double_sum_is_exact_to_first_order():
    """p' = p + nu (p' - p), every draw enumerated: RMS / (nu eta sqrt(double sum)) tends to 1."""
    clip_features, texts = features(3, 2)
    setup, rate = Experiment(heads(), clip_features, texts, temperature=0.3, batch=3, epochs=2), 0.3
    first = schedules.predict(schedules.carried(setup, rate), scheme("ml_clap", 2), rate)
    histories = torch.tensor(list(itertools.product(range(2), repeat=6))).unflatten(1, (2, 3))
    off = []
    for nu in (0.4, 0.2, 0.1):
        runs = setup.begin(SGD(rate), len(histories))
        for step, _, _, after in setup.ideal_run(SGD(rate), ""):
            chosen = histories[:, step.epoch, step.clips]
            drawn = torch.nn.functional.one_hot(chosen, 2).double() / 3
            weights = step.even + nu * (drawn - step.even)
            runs = runs.after(setup.task.gradients(runs.weights, weights, step.data).detach())
            square = (runs.weights - after.weights).square().sum(1).mean()
        off.append(abs(square.sqrt().item() / (nu * first[-1]) - 1))
    assert off[-1] < 0.01
    assert off[1] < 0.6 * off[0] and off[2] < 0.6 * off[1]


def test_a_biased_scheme_is_refused():
    with pytest.raises(ValueError, match="biased"):
        schedules.predict(np.zeros((1, 2, 2, 2, 3, 3)), scheme("cacl", 3), 0.1)


def test_a_scheme_whose_clips_share_draws_is_refused():
    with pytest.raises(ValueError, match="share their draws"):
        schedules.predict(np.zeros((1, 2, 2, 2, 3, 3)), scheme("block", 3), 0.1)
