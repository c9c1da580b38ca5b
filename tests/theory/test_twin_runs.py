import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_heads import features, heads

from atri_lib.theory import bounds, twin_runs
from atri_lib.theory.experiment import ARMS, Arm, Draws, Experiment, on_features, principal
from atri_lib.theory.optimizers import SGD, Adam, Momentum
from studies import linear_response

OPTIMIZERS = [SGD(0.1), Momentum(0.02), Adam(0.01)]
ARMS_OF_THREE = (*ARMS[:3], *ARMS[4:])  # K = 3 has no 4 of K


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


@pytest.fixture(scope="module", params=OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def table(request):
    return twin_runs.run(experiment(), request.param, ARMS_OF_THREE, draws=3, pilots=2)


def test_every_bound_holds_in_every_step_of_every_arm(table):
    assert bounds.share_held(table.trajectory, table.joint) == 1
    assert bounds.share_held(table.joint, table.measured) == 1
    if table.published.notna().any():
        assert bounds.share_held(table.published, table.measured) == 1


def test_a_contraction_taken_too_small_breaks_the_trajectory_bound(table):
    one = table[(table.scheme == "ML-CLAP") & (table.draw == 0)]
    assert bounds.share_held(bounds.trajectory(0.7 * one.rho, one.forcing), one.joint) < 1


def test_kcl_has_no_error_at_all(table):
    kcl = table[table.scheme == "KCL"]
    assert len(kcl) == 4  # one draw, four steps
    assert not kcl[["measured", "trajectory", "mean_square", "bias", "xi"]].to_numpy().any()


def test_the_quotient_alone_makes_a_bound_that_is_nowhere_above_the_published_one():
    known = twin_runs.run(experiment(), SGD(0.1), ARMS_OF_THREE, draws=2, pilots=1)
    assert (
        bounds.share_held(known.certified, known.measured)
        == bounds.share_held(known.published, known.certified)
        == 1
    )
    for _, rows in known.groupby(["scheme", "draw"]):
        error = rows.distribution_error + rows.mixed_negatives / rows.gradient_max
        again = bounds.published(rows["quotient"], error, rows.gradient_max, 0.1)
        np.testing.assert_allclose(rows.certified, again, rtol=1e-12)
        assert rows.certified.iloc[0] == rows.published.iloc[0]  # equal starts: no factor yet


def test_trivial_bound_is_the_two_distances_travelled():
    setup, optimizer = experiment(epochs=1), SGD(0.1)
    table = twin_runs.run(setup, optimizer, ARMS[:1], draws=1, pilots=1, power_iterations=None)
    ideal = own = setup.begin(optimizer)
    draws = Draws(setup, ARMS[0], [0])
    for step, (_, row) in zip(setup.steps(""), table.iterrows(), strict=True):
        own = own.after(draws.gradients(own.weights, draws.distribution(step), step))
        ideal = ideal.after(setup.task.gradients(ideal.weights, step.even, step.data))
        start = setup.begin(optimizer)
        assert row.trivial == pytest.approx((own.error(start) + ideal.error(start))[0], rel=1e-9)
    assert bounds.share_held(table.trivial, table.measured) == 1
    assert bounds.share_held(0.2 * table.trivial, table.measured) < 1


def test_pilots_column_is_the_rms_of_runs_with_their_seeds_and_sqrt_steps_a_root(table):
    setup = experiment()
    pilots = twin_runs.run(
        setup,
        SGD(0.1),
        ARMS[:1],
        draws=3,
        pilots=1,
        seed=twin_runs.PILOT_SEEDS,
        power_iterations=None,
    )
    shown = twin_runs.run(setup, SGD(0.1), ARMS[:1], draws=1, pilots=3, power_iterations=None)
    np.testing.assert_allclose(shown.pilots, rms(pilots)["ML-CLAP"], rtol=1e-9)
    assert (shown.pilots != shown.measured).all()
    for _, rows in table[table.draw == 0].groupby("scheme"):
        np.testing.assert_allclose(
            rows.sqrt_steps, rows.mean_square.iloc[0] * np.sqrt(rows.step), rtol=1e-12
        )
    kcl = table[table.scheme == "KCL"]
    assert not kcl[["pilots", "sqrt_steps"]].to_numpy().any() and (kcl.trivial > 0).all()


def test_table_has_one_row_per_scheme_step_and_draw(table):
    assert not table.duplicated(["scheme", "step", "draw"]).any()
    sizes = table.groupby("scheme").size()
    assert sizes.pop("KCL") == 4 and (sizes == 12).all()
    assert table.columns[:8].tolist() == [
        "scheme", "step", "epoch", "draw", "measured", "published", "trajectory", "mean_square",
    ]  # fmt: skip


def test_trajectory_bound_is_tight_after_one_step(table):
    """Both runs leave the same point: there is nothing to be pessimistic about."""
    first = table[(table.step == 1) & (table.scheme != "KCL")]
    np.testing.assert_allclose(first.trajectory, first.joint, rtol=1e-9)


def test_published_bound_is_for_sgd_alone():
    table = twin_runs.run(experiment(epochs=1), Momentum(0.01), ARMS[:1], draws=1, pilots=1)
    assert table[["published", "certified"]].isna().all(axis=None)


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 4),
    st.data(),
    st.sampled_from([4, 5, 9]),
    st.floats(1e-3, 0.5),
    st.integers(0, 9),
)
def test_bounds_hold_whatever_the_sizes(languages, data, clips, rate, seed):
    arms = [
        Arm("m", "m_of_k", m=data.draw(st.integers(1, languages))),
        Arm("mixed", "ml_clap", mixed=True),
    ]
    arms += [Arm("cacl", "cacl")] if languages > 1 else []
    table = twin_runs.run(
        experiment(clips, languages, 4, 1, seed),
        SGD(rate),
        arms,
        1,
        1,
        power_iterations=1,
        seed=seed,
    )
    assert bounds.share_held(table.published, table.measured) == 1
    assert bounds.share_held(table.trajectory, table.measured) == 1


@pytest.mark.parametrize("arm", [ARMS[0], ARMS[2], ARMS[4], ARMS[5]], ids=lambda arm: arm.name)
def test_first_step_of_the_law_is_the_average_over_every_possible_draw(arm):
    """K = 3, N = 2: all draws can be written down."""
    setup = experiment(clips=2, batch=2, epochs=1)
    law = twin_runs.run(setup, SGD(0.1), [arm], draws=1, pilots=1)
    task, step = setup.task, next(iter(setup.steps("")))
    choices = {"2 of K": [(0, 1), (0, 2), (1, 2)], "CACL": [(0, 1), (0, 2)]}.get(
        arm.name, [(0,), (1,), (2,)]
    )
    draws = torch.zeros(len(choices) ** 2, 2, 3, dtype=torch.float64)
    for row, pair in enumerate(itertools.product(choices, repeat=2)):
        for clip, languages in enumerate(pair):
            draws[row, clip, list(languages)] = 1 / (2 * len(languages))
    start = task.flat.start.expand(len(draws), -1)
    with torch.no_grad():
        used, full = (
            task.gradients(start, p, step.data)
            for p in (draws, step.even.expand(len(draws), -1, -1))
        )
    exact = 0.1 * (used - full).square().sum(1).mean().sqrt().item()
    assert law.mean_square[0] == pytest.approx(exact, rel=1e-6)
    assert (law.bias[0] > 0) == (arm.scheme == "cacl")


def test_law_predicts_runs_it_has_not_seen():
    table = twin_runs.run(
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
    table = twin_runs.run(
        experiment(epochs=3), SGD(0.05), arms, draws=4, pilots=4, power_iterations=1
    )
    assert bounds.share_held(table.published, table.measured) == 1
    assert bounds.share_held(table.trajectory, table.measured) == 1
    memory = table[table.draw == 0].groupby(["scheme", "epoch"]).memory.sum().unstack("epoch")
    assert (
        memory.loc["held", 1] > 0 and memory.loc["held", 2] == 0
    )  # a block of two epochs, then a new one
    assert memory.loc["balanced", 0] == 0 > memory.loc["balanced", 1]
    unbiased = table[table.scheme == "unbiased"]
    assert not unbiased[["bias", "memory"]].to_numpy().any() and (unbiased.sigma > 0).all()


@pytest.mark.parametrize(
    "optimizer", [SGD(1e-4), Momentum(1e-5), Adam(1e-6)], ids=lambda o: type(o).__name__
)
def test_response_is_the_measurement_when_steps_are_small(optimizer):
    setup = experiment()
    measured = twin_runs.run(setup, optimizer, ARMS_OF_THREE, draws=2, pilots=1).set_index(
        ["scheme", "step", "draw"]
    )
    seen = linear_response.respond(setup, optimizer, ARMS_OF_THREE, draws=2, seed=0).set_index(
        ["scheme", "step", "draw"]
    )
    np.testing.assert_allclose(seen.response, measured.measured[seen.index], rtol=0.02, atol=1e-15)


def test_sampling_noise_averages_out_and_mixed_negatives_do_not():
    parts = linear_response.decompose(experiment(clips=24, batch=12), draws=2048)
    few, many = (parts[parts.draws == count].mean() for count in (1, 2048))
    assert many.sampling < 0.1 * few.sampling
    assert many.mixed > 2 * many.sampling


def test_reordered_float32_differs_by_rounding_only():
    table = linear_response.reordered(experiment(), SGD(0.05))
    last = table.iloc[-1]
    assert 0 < last.measured < 1e-5 * last.travelled


def test_seeds_decide_and_nothing_else():
    def go(seed):
        return twin_runs.run(
            experiment(), SGD(0.1), ARMS[:1], draws=2, pilots=1, power_iterations=1, seed=seed
        )

    again, other = go(0), go(1)
    assert go(0).equals(again)
    one, two = (
        again[again.draw == 1],
        other[other.draw == 0],
    )  # the same seed, in another place of the stack
    np.testing.assert_allclose(one.measured, two.measured, rtol=1e-9)


def test_what_cannot_be_run_is_refused():
    setup = experiment()
    with pytest.raises(ValueError, match="one language per clip"):
        twin_runs.run(setup, arms=[Arm("x", "m_of_k", m=2, mixed=True)])
    with pytest.raises(ValueError, match="unknown scheme"):
        twin_runs.run(setup, arms=[Arm("x", "nothing")])
    with pytest.raises(ValueError, match="at least one measured draw"):
        twin_runs.run(setup, draws=0)
    with pytest.raises(ValueError, match="no pilots or more, got 1 and -1"):
        twin_runs.run(setup, draws=1, pilots=-1)
    with pytest.raises(ValueError, match="same N clips"):
        dataclasses.replace(setup, clip_features=setup.clip_features[1:])
    with pytest.raises(ValueError, match="at least 2 clips"):
        dataclasses.replace(setup, batch=1)
    with pytest.raises(ValueError, match="kept for an epoch"):
        dataclasses.replace(setup, regroup=0)
    with pytest.raises(FloatingPointError, match="diverged in step"):
        twin_runs.run(setup, SGD(float("inf")), ARMS[:1], draws=1, pilots=1, power_iterations=0)


def test_the_law_does_not_predict_schemes_whose_clips_share_draws():
    arm = [Arm("one language", "block", block=6)]
    with pytest.raises(ValueError, match="pilots=0 leaves the law out"):
        twin_runs.run(experiment(), arms=arm, draws=1, pilots=1, power_iterations=None)
    table = twin_runs.run(experiment(), arms=arm, draws=1, pilots=0, power_iterations=None)
    assert table.mean_square.isna().all() and (table.measured > 0).all()
    alone = [Arm("alone", "block", block=1)]
    assert twin_runs.run(experiment(), arms=alone, draws=1, pilots=1).mean_square.notna().all()


MEMORY = """
import resource, sys
sys.path.insert(0, {folder!r})
from toy_heads import features, heads
from atri_lib.theory import model_functions, twin_runs
from atri_lib.theory.experiment import ARMS, Experiment
model_functions.WORKING_SET = 2**20
def peak(hidden):
    model = heads(width=64, hidden=hidden, out=64)
    setup = Experiment(model, *features(16, 4, 64), batch=16, epochs=1)
    twin_runs.run(setup, arms=ARMS[:1], draws=1, pilots=1, power_iterations=1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(setup.task.flat.start)
small, _ = peak(16)
large, weights = peak(1024)
print(large - small, weights * 8 / 2**20)
"""


def test_memory_grows_with_the_weights_not_with_weights_times_pairs():
    """263 k weights, 64 pairs: the gradients of all pairs would be 64 copies of the weights, the
    Hessian 263 k.
    """
    script = MEMORY.format(folder=str(__file__).rsplit("/", 1)[0])
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    grown, copy = map(float, result.stdout.split())
    assert grown < 40 * copy


def test_without_power_iteration_the_published_bound_is_left_out_and_nothing_else_changes():
    with_bound = twin_runs.run(experiment(), arms=ARMS[:1], draws=2, pilots=1, power_iterations=0)
    without = twin_runs.run(experiment(), arms=ARMS[:1], draws=2, pilots=1, power_iterations=None)
    bounds_ = ["published", "certified"]
    assert without[bounds_].isna().all(axis=None) and with_bound[bounds_].notna().all(axis=None)
    assert without.drop(columns=bounds_).equals(with_bound[without.columns].drop(columns=bounds_))


def test_without_pilots_the_law_is_left_out_and_nothing_else_changes():
    arms = [ARMS[0], ARMS[-1]]
    with_pilots, without = (
        twin_runs.run(experiment(), arms=arms, draws=2, pilots=pilots) for pilots in (2, 0)
    )
    law = ["mean_square", "pilots", "sqrt_steps", "sigma", "amplification", "memory"]
    random = without.scheme == "ML-CLAP"
    assert without[random][law].isna().all(axis=None) and with_pilots[law].notna().all(axis=None)
    assert not without[~random][law[:3]].to_numpy().any()  # KCL's is known
    rest = without.columns.drop([*law, "scheme"])
    np.testing.assert_allclose(without[rest], with_pilots[rest], rtol=1e-9)


def test_principal_components_are_a_rotation_of_the_centred_features():
    features_ = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    centred = features_.double().flatten(0, 1) - features_.double().mean((0, 1))
    kept = principal(features_, 4).flatten(0, 1)
    torch.testing.assert_close(kept @ kept.T, centred @ centred.T / centred.square().mean())
    assert principal(features_, 2).square().mean() == pytest.approx(1)
    one = principal(features_, 1).flatten()
    assert (one @ kept[:, 0]).abs() == pytest.approx(
        (one.norm() * kept[:, 0].norm()).item()
    )  # the leading one


def test_on_features_shares_everything_but_the_languages():
    clip_features, texts = torch.randn(8, 6, 5), torch.randn(8, 3, 7)
    one, other = (
        on_features(clip_features, texts, components=3, hidden=4, width=4, batch=4, epochs=1)
        for _ in range(2)
    )
    assert torch.equal(one.task.flat.start, other.task.flat.start) and torch.equal(
        one.clip_features, other.clip_features
    )
    table = twin_runs.run(one, arms=[ARMS[0]], draws=1, pilots=1, power_iterations=1)
    assert bounds.share_held(table.published, table.measured) == 1


MILLION = """
import resource, sys
sys.path.insert(0, {folder!r})
from toy_heads import features, heads
from atri_lib.theory import bounds, twin_runs
from atri_lib.theory.experiment import ARMS, Experiment
clip_features, texts = features(32, 8, 512)
setup = Experiment(heads(width=512, hidden=700, out=256), clip_features, texts, batch=32, epochs=1)
table = twin_runs.run(setup, draws=5, pilots=1, power_iterations=1)
assert bounds.share_held(table.published, table.measured) == 1
assert bounds.share_held(table.trajectory, table.measured) == 1
print(len(setup.task.flat.start), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_every_arm_runs_with_a_million_weights():
    script = MILLION.format(folder=str(__file__).rsplit("/", 1)[0])
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    weights, gigabytes = map(float, result.stdout.split())
    assert weights > 1e6 and gigabytes < 24
