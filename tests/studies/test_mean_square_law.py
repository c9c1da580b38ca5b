"""The mean-square law where every expectation is a finite sum, and beside twin runs."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.theory.experiment import Arm, Experiment
from atri_lib.theory.optimizers import SGD, Adam, Momentum
from studies import mean_square_law
from studies.mean_square_law import mean_square, sampling_factor
from studies.small_projections import ARMS
from tests.theory.quadratic import Quadratic
from tests.theory.toy_heads import features, heads

ARMS_OF_THREE = (*ARMS[:3], *ARMS[4:])  # K = 3 has no 4 of K


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.data())
def test_sampling_factor_by_counting_every_subset(languages, data):
    m = data.draw(st.integers(1, languages))
    values = np.random.default_rng(languages).normal(size=(languages, 3))
    means = np.stack(
        [values[list(chosen)].mean(0) for chosen in itertools.combinations(range(languages), m)]
    )
    exact = np.square(means - values.mean(0)).sum(1).mean()
    assert exact == pytest.approx(sampling_factor(languages, m) * values.var(0).sum(), abs=1e-12)


@pytest.mark.parametrize("m", [0, 5])
def test_sampling_factor_needs_m_of_k(m):
    with pytest.raises(ValueError, match="1 <= m <= K"):
        sampling_factor(4, m)


def variance(toy):
    """Of a step's gradient over draws."""
    spread = toy.gradients(0).var(axis=1).sum()  # sum_i Var_k, the same at any weights
    return spread / len(toy.centres) ** 2 * sampling_factor(toy.languages, toy.m)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 2), st.integers(1, 3), st.data(), st.floats(0.01, 0.9), st.integers(0, 99))
def test_mean_square_law_is_exact_where_curvature_is_a_number(clips, languages, data, rate, seed):
    m = data.draw(st.integers(1, languages))
    toy = Quadratic(clips, languages, m, rate, steps=3, curvature=[1.7, 1.7], seed=seed)
    errors, _, _ = toy.every_path()
    law = mean_square(np.full(3, (1 - rate * 1.7) ** 2), rate**2 * variance(toy))
    np.testing.assert_allclose(np.sqrt((errors**2).mean(0)), law, rtol=1e-9, atol=1e-12)


def test_mean_square_law_is_exact_with_measured_amplification():
    toy = Quadratic(clips=2, languages=3, m=1, rate=0.3, steps=3, curvature=[0.2, 1.0, 4.0], seed=1)
    errors, rho, _ = toy.every_path()
    before = np.pad(errors, ((0, 0), (1, 0)))[:, :-1]
    amplification = (rho**2 * before**2).mean(0) / np.maximum((before**2).mean(0), 1e-300)
    law = mean_square(amplification, 0.09 * variance(toy))
    np.testing.assert_allclose(np.sqrt((errors**2).mean(0)), law, rtol=1e-9)
    wrong = mean_square(
        amplification, 0.09 * variance(toy) * 3 / 2
    )  # K - 1 forgotten: Var with K, not K - 1
    assert (wrong / np.sqrt((errors**2).mean(0)) > 1.2).all()


def experiment(clips=12, languages=3, batch=6, epochs=2, seed=0):
    clip_features, texts = features(clips, languages, seed=seed)
    return Experiment(
        heads(seed), clip_features, texts, temperature=0.2, batch=batch, epochs=epochs, seed=seed
    )


def rms(table, column="measured"):
    """[steps] per scheme."""
    return (
        table.assign(square=table[column] ** 2).groupby(["scheme", "step"]).square.mean().pow(0.5)
    )


@pytest.fixture(scope="module", params=[SGD(0.1), Momentum(0.02), Adam(0.01)])
def table(request):
    return mean_square_law.run(experiment(), request.param, ARMS_OF_THREE, draws=3, pilots=2)


def test_kcl_has_no_error_and_the_law_knows(table):
    kcl = table[table.scheme == "KCL"]
    assert not kcl[["measured", "mean_square", "bias"]].to_numpy().any()


def test_pilots_column_is_the_rms_of_runs_with_their_seeds_and_sqrt_steps_a_root(table):
    setup = experiment()
    pilots = mean_square_law.run(
        setup, SGD(0.1), ARMS[:1], draws=3, pilots=1, seed=mean_square_law.PILOT_SEEDS
    )
    shown = mean_square_law.run(setup, SGD(0.1), ARMS[:1], draws=1, pilots=3)
    np.testing.assert_allclose(shown.pilots, rms(pilots)["ML-CLAP"], rtol=1e-9)
    assert (shown.pilots != shown.measured).all()
    for _, rows in table[table.draw == 0].groupby("scheme"):
        np.testing.assert_allclose(
            rows.sqrt_steps, rows.mean_square.iloc[0] * np.sqrt(rows.step), rtol=1e-12
        )
    kcl = table[table.scheme == "KCL"]
    assert not kcl[["pilots", "sqrt_steps"]].to_numpy().any() and (kcl.trivial > 0).all()


@pytest.mark.parametrize("arm", [ARMS[0], ARMS[2], ARMS[4], ARMS[5]], ids=lambda arm: arm.name)
def test_first_step_of_the_law_is_the_average_over_every_possible_draw(arm):
    """K = 3, N = 2: all draws can be written down."""
    setup = experiment(clips=2, batch=2, epochs=1)
    law = mean_square_law.run(setup, SGD(0.1), [arm], draws=1, pilots=1)
    task, step = setup.task, next(iter(setup.steps("")))
    choices = {"2 of K": [(0, 1), (0, 2), (1, 2)], "CACL": [(0, 1), (0, 2)]}.get(
        arm.name, [(0,), (1,), (2,)]
    )
    draws = torch.zeros(len(choices) ** 2, 2, 3, dtype=torch.float64)
    for row, pair in enumerate(itertools.product(choices, repeat=2)):
        for clip, languages in enumerate(pair):
            draws[row, clip, list(languages)] = 1 / (2 * len(languages))
    start = task.start.expand(len(draws), -1)
    with torch.no_grad():
        used = task.gradients(start, draws, step.data)
        full = task.gradients(start, step.even, step.data)
    exact = 0.1 * (used - full).square().sum(1).mean().sqrt().item()
    assert law.mean_square[0] == pytest.approx(exact, rel=1e-6)
    assert (law.bias[0] > 0) == (arm.scheme == "cacl")


def test_law_predicts_runs_it_has_not_seen():
    table = mean_square_law.run(
        experiment(clips=24, batch=12, epochs=4), SGD(0.05), ARMS_OF_THREE[:1], draws=48, pilots=8
    )
    ratio = table[table.draw == 0].mean_square.to_numpy() / rms(table).to_numpy()
    assert np.abs(ratio - 1).max() < 0.15


def test_any_scheme_can_be_an_arm_and_says_itself_what_its_draws_remember():
    arms = [
        Arm("held", "hold", hold=2),
        Arm("balanced", "balanced", m=1),
        Arm("unbiased", "cacl_unbiased"),
    ]
    table = mean_square_law.run(experiment(epochs=3), SGD(0.05), arms, draws=4, pilots=4)
    memory = table[table.draw == 0].groupby(["scheme", "epoch"]).memory.sum().unstack("epoch")
    assert (
        memory.loc["held", 1] > 0 and memory.loc["held", 2] == 0
    )  # a block of two epochs, then a new one
    assert memory.loc["balanced", 0] == 0 > memory.loc["balanced", 1]
    unbiased = table[table.scheme == "unbiased"]
    assert not unbiased[["bias", "memory"]].to_numpy().any() and (unbiased.sigma > 0).all()


def test_the_law_does_not_predict_schemes_whose_clips_share_draws():
    arm = [Arm("one language", "block", block=6)]
    with pytest.raises(ValueError, match="pilots=0 leaves the law out"):
        mean_square_law.run(experiment(), arms=arm, draws=1, pilots=1)
    table = mean_square_law.run(experiment(), arms=arm, draws=1, pilots=0)
    assert table.mean_square.isna().all() and (table.measured > 0).all()


def test_without_pilots_the_law_is_left_out_and_nothing_else_changes():
    arms = [ARMS[0], ARMS[-1]]
    with_pilots, without = (
        mean_square_law.run(experiment(), arms=arms, draws=2, pilots=pilots) for pilots in (2, 0)
    )
    law = ["mean_square", "pilots", "sqrt_steps", "sigma", "amplification", "memory"]
    random = without.scheme == "ML-CLAP"
    assert without[random][law].isna().all(axis=None) and with_pilots[law].notna().all(axis=None)
    assert not without[~random][law[:3]].to_numpy().any()  # KCL's is known
    rest = without.columns.drop([*law, "scheme"])
    np.testing.assert_allclose(without[rest], with_pilots[rest], rtol=1e-9)
