import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_heads import features, heads

from atri_lib.theory import bounds, twin_runs
from atri_lib.theory.experiment import Arm, Draws, Experiment
from atri_lib.theory.optimizers import SGD, Adam, Momentum

OPTIMIZERS = [SGD(0.1), Momentum(0.02), Adam(0.01)]
PLAIN = Arm("ML-CLAP", "ml_clap")
ARMS = (
    PLAIN,
    Arm("ML-CLAP mixed", "ml_clap", mixed=True),
    Arm("2 of K", "m_of_k", m=2),
    Arm("Latin", "latin"),
    Arm("CACL", "cacl"),
    Arm("KCL", "kcl"),
)


def held(bound, measured):
    """Whether no error exceeds its bound, but for the rounding of two runs."""
    return (measured <= bound * (1 + 1e-9)).all()


def experiment(clips=12, languages=3, batch=6, epochs=2, seed=0):
    clip_features, texts = features(clips, languages, seed=seed)
    return Experiment(
        heads(seed), clip_features, texts, temperature=0.2, batch=batch, epochs=epochs, seed=seed
    )


@pytest.fixture(scope="module", params=OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def table(request):
    return twin_runs.run(experiment(), request.param, ARMS, draws=3)


def test_every_bound_holds_in_every_step_of_every_arm(table):
    assert held(table.trajectory, table.joint)
    assert held(table.joint, table.measured)
    if "published" in table:
        assert held(table.published, table.measured)


def test_a_contraction_taken_too_small_breaks_the_trajectory_bound(table):
    one = table[(table.scheme == "ML-CLAP") & (table.draw == 0)]
    assert not held(bounds.unroll(0.7 * one.rho, one.forcing), one.joint)


def test_kcl_has_no_error_at_all(table):
    kcl = table[table.scheme == "KCL"]
    assert len(kcl) == 4  # one draw, four steps
    assert not kcl[["measured", "trajectory", "xi"]].to_numpy().any()


def test_the_quotient_alone_makes_a_bound_that_is_nowhere_above_the_published_one():
    known = twin_runs.run(experiment(), SGD(0.1), ARMS, draws=2)
    assert held(known.certified, known.measured)
    assert held(known.published, known.certified)
    for _, rows in known.groupby(["scheme", "draw"]):
        error = rows.distribution_error
        again = bounds.published(rows["quotient"], error, rows.gradient_max, 0.1)
        np.testing.assert_allclose(rows.certified, again, rtol=1e-12)
        assert rows.certified.iloc[0] == rows.published.iloc[0]  # equal starts: no factor yet


def test_trivial_bound_is_the_two_distances_travelled():
    setup = experiment(epochs=1)
    optimizer = SGD(0.1)
    table = twin_runs.run(setup, optimizer, [PLAIN], draws=1, power_iterations=0)
    ideal = own = setup.begin(optimizer)
    draws = Draws(setup, PLAIN, [0])
    for step, (_, row) in zip(setup.steps(""), table.iterrows(), strict=True):
        own = own.after(draws.gradients(own.weights, draws.distribution(step), step))
        ideal = ideal.after(setup.task.gradients(ideal.weights, step.even, step.data))
        start = setup.begin(optimizer)
        assert row.trivial == pytest.approx((own.error(start) + ideal.error(start))[0], rel=1e-9)
    assert held(table.trivial, table.measured)
    assert not held(0.2 * table.trivial, table.measured)


def test_table_has_one_row_per_scheme_step_and_draw(table):
    assert not table.duplicated(["scheme", "step", "draw"]).any()
    sizes = table.groupby("scheme").size()
    assert sizes.pop("KCL") == 4 and (sizes == 12).all()


def test_trajectory_bound_is_tight_after_one_step(table):
    """Both runs leave the same point: there is nothing to be pessimistic about."""
    first = table[(table.step == 1) & (table.scheme != "KCL")]
    np.testing.assert_allclose(first.trajectory, first.joint, rtol=1e-9)


def test_published_bound_is_for_sgd_alone():
    table = twin_runs.run(experiment(epochs=1), Momentum(0.01), [PLAIN], draws=1)
    assert not {"published", "certified", "lipschitz"} & {*table.columns}


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
        draws=1,
        power_iterations=1,
        seed=seed,
    )
    assert held(table.published, table.measured)
    assert held(table.trajectory, table.measured)


def test_seeds_decide_and_nothing_else():
    def go(seed):
        return twin_runs.run(
            experiment(), SGD(0.1), [PLAIN], draws=2, power_iterations=1, seed=seed
        )

    again = go(0)
    other = go(1)
    assert go(0).equals(again)
    one = again[again.draw == 1]
    two = other[other.draw == 0]  # the same seed, in another place of the stack
    np.testing.assert_allclose(one.measured, two.measured, rtol=1e-9)


def test_what_cannot_be_run_is_refused():
    setup = experiment()
    with pytest.raises(ValueError, match="one language per clip"):
        twin_runs.run(setup, SGD(0.1), [Arm("x", "m_of_k", m=2, mixed=True)])
    with pytest.raises(ValueError, match="unknown scheme"):
        twin_runs.run(setup, SGD(0.1), [Arm("x", "nothing")])
    with pytest.raises(ValueError, match="a batch of at least 2"):
        twin_runs.run(experiment(batch=1), SGD(0.1), [PLAIN])
    for none in ("epochs", "regroup"):
        with pytest.raises(ValueError, match=f"{none} .*of at least 1"):
            dataclasses.replace(setup, **{none: 0})
    with pytest.raises(ValueError, match="draws=0: give at least 1"):
        twin_runs.run(setup, SGD(0.1), [PLAIN], draws=0)
    fewer = Experiment(setup.model, setup.clip_features[1:], setup.texts)
    with pytest.raises(AssertionError, match="Size mismatch"):
        twin_runs.run(fewer, SGD(0.1), [PLAIN])
    with pytest.raises(FloatingPointError, match="diverged in step"):
        twin_runs.run(setup, SGD(float("inf")), [PLAIN], draws=1, power_iterations=0)


MEMORY = """
import resource, sys
sys.path.insert(0, {folder!r})
from toy_heads import features, heads
from atri_lib.theory import model_functions, twin_runs
from atri_lib.theory.experiment import Arm, Experiment
from atri_lib.theory.optimizers import SGD
model_functions.WORKING_SET = 2**20
def peak(hidden):
    model = heads(width=64, hidden=hidden, out=64)
    setup = Experiment(model, *features(16, 4, 64), batch=16, epochs=1)
    twin_runs.run(setup, SGD(0.05), [Arm("one", "ml_clap")], draws=1, power_iterations=1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(setup.task.start)
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
    with_bound = twin_runs.run(experiment(), SGD(0.1), [PLAIN], draws=2, power_iterations=1)
    without = twin_runs.run(experiment(), SGD(0.1), [PLAIN], draws=2, power_iterations=0)
    assert without.equals(with_bound[without.columns])
    left_out = {"published", "certified", "lipschitz", "quotient"}
    assert left_out <= {*with_bound.columns.difference(without.columns)}


MILLION = """
import resource, sys
sys.path.insert(0, {folder!r})
from toy_heads import features, heads
from test_twin_runs import ARMS, SGD, Experiment, held, twin_runs
clip_features, texts = features(32, 8, 512)
setup = Experiment(heads(width=512, hidden=700, out=256), clip_features, texts, batch=32, epochs=1)
table = twin_runs.run(setup, SGD(0.05), ARMS, draws=5, power_iterations=1)
assert held(table.published, table.measured)
assert held(table.trajectory, table.measured)
print(len(setup.task.start), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_every_arm_runs_with_a_million_weights():
    script = MILLION.format(folder=str(__file__).rsplit("/", 1)[0])
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    weights, gigabytes = map(float, result.stdout.split())
    assert weights > 1e6 and gigabytes < 24
