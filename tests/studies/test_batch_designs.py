"""Designs of a batch against enumeration, and the difference estimator."""

import numpy as np
import pytest

from atri_lib.theory.symbolic.distribution import K, N
from studies import batch_designs
from studies.symbolic import second_order
from studies.task_derivatives import language_spread
from tests.studies.toys import first_step, quadratic, toy


@pytest.fixture(scope="module")
def gradients():
    setup = toy()
    batch = first_step(setup).data
    return batch_designs.language_gradients(setup.task, setup.task.start, batch)


@pytest.mark.parametrize("design", batch_designs.DESIGNS)
def test_noise_of_a_design_is_the_formula(gradients, design):
    spread, common = batch_designs.spread(gradients)
    form = second_order.batch_noise(second_order.SAME_LANGUAGE[design])
    said = form.subs({N: 6, K: 3, second_order.V: spread, second_order.A: common})
    found = batch_designs.measured_noise(gradients, design, draws=4000)
    assert found == pytest.approx(float(said), rel=0.06)


def test_designs_choose_as_they_say():
    generator = np.random.default_rng(0)
    assert sorted(batch_designs.draw_even(6, 3, generator)) == [0, 0, 1, 1, 2, 2]
    assert len(set(batch_designs.draw_block(6, 3, generator))) == 1
    with pytest.raises(ValueError, match="equally often"):
        batch_designs.draw_even(7, 3, generator)


def test_spread_is_that_of_the_task(gradients):
    setup = toy()
    start = setup.task.start[None]
    total = language_spread(setup.task, start, first_step(setup).data, range(3))
    spread, _ = batch_designs.spread(gradients)
    assert spread == pytest.approx(total.item() / 6)


def test_subtracting_running_means_takes_out_a_main_effect():
    """Where a language pulls every clip the same way that is learnt and subtracted; elsewhere it
    adds noise.
    """
    setup = quadratic(clips=24, batch=8, curvature=0.7)
    own = setup.texts.clone()
    setup.texts[:] = own[:1] + 0.2 * own
    shares = batch_designs.difference_shares(setup, rate=0.01)
    assert shares[0] == 1  # nothing is known yet
    assert shares[-4:].mean() < 0.2
    setup.texts[:] = own - own.mean(0)
    shares = batch_designs.difference_shares(setup, rate=0.01)
    assert shares[-4:].mean() > 1
