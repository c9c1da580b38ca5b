"""The mean over draws at second order: every draw enumerated, then sampled with the control
variate.
"""

import itertools

import pytest
import torch
from pytest import approx
from torch.nn.functional import one_hot

from atri_lib.theory.optimizers import SGD
from studies import mean_displacement
from studies.task_derivatives import language_spread
from tests.studies.toys import BALANCED, FREE, HOLD, first_step, toy

# Every equally likely history of one clip over two epochs and two languages.
HISTORIES = {
    "ml_clap": [(0, 0), (0, 1), (1, 0), (1, 1)],
    "balanced": [(0, 1), (1, 0)],
    "hold": [(0, 0), (1, 1)],
}


def small(clips=3, batch=3, epochs=2, regroup=2):
    return toy(clips, languages=2, batch=batch, epochs=epochs, regroup=regroup)


def exact_mean(arm, rate):
    """E w' - w over all draws of three clips."""
    setup = small()
    optimizer = SGD(rate)
    histories = list(itertools.product(HISTORIES[arm.scheme], repeat=3))
    rows = torch.tensor(histories).transpose(1, 2)  # [draws, epochs, N]
    runs = setup.begin(optimizer, len(rows))
    for step, _, _, after in setup.ideal_run(optimizer, ""):
        chosen = rows[:, step.epoch, step.clips]
        used = one_hot(chosen, 2).double() / len(step.clips)
        gradients = setup.task.gradients(runs.weights, used, step.data)
        runs = runs.after(gradients)
        apart = runs.weights - after.weights
    return apart.mean(0).detach()


@pytest.mark.parametrize("arm", [BALANCED, HOLD])
def test_formula_is_the_limit_of_the_enumerated_mean_for_small_steps(arm):
    scheme = arm.draw(3, 2, seed=0)
    off = []
    for rate in (0.01, 0.005):
        said = mean_displacement.predicted(small(), scheme, rate)
        apart = exact_mean(arm, rate) - said
        share = apart.norm() / said.norm()
        off.append(share.item())
    assert off[1] < 0.05
    assert off[0] / off[1] == approx(2, rel=0.2)  # what is left out is of third order


def test_independent_draws_have_no_mean_at_second_order_and_hold_is_balanced_reversed():
    independent = exact_mean(FREE, 0.005)
    balanced = exact_mean(BALANCED, 0.005)
    hold = exact_mean(HOLD, 0.005)
    assert independent.norm() < 0.05 * balanced.norm()
    assert mean_displacement.cosine(balanced, hold) < -0.99
    assert hold.norm() / balanced.norm() == approx(1, rel=0.1)


def test_variance_slope_is_the_derivative_of_half_the_variance():
    setup = toy(clips=4)
    batch = first_step(setup).data
    start = setup.task.start
    weights = start.clone().requires_grad_()
    variances = language_spread(setup.task, weights[None], batch, range(3))
    half = variances.sum() / 2
    (expected,) = torch.autograd.grad(half, weights)
    found = mean_displacement.variance_slope(setup.task, start, batch)
    torch.testing.assert_close(found, expected)


def test_control_variate_leaves_the_mean_and_takes_the_scatter():
    setup = small(clips=6)
    rate = 0.001
    found = mean_displacement.displaced(setup, HOLD, rate, draws=400)
    scheme = HOLD.draw(6, 2, seed=0)
    said = mean_displacement.predicted(setup, scheme, rate)
    assert mean_displacement.cosine(found.mean, said) > 0.95
    variance = found.displacement.var(0).sum()
    plain = (variance / 400).sqrt()
    assert found.mean_error < plain / 5
    control = found.first_order.mean(0)
    assert control.norm() < 4 * plain  # it is of mean zero


@pytest.mark.parametrize("regroup", [1, 2])
def test_batches_keep_their_clips_for_a_cycle(regroup):
    setup = small(clips=6, epochs=4, regroup=regroup)
    batches = [tuple(step.clips) for step in setup.steps("")]
    first = batches[:2]
    second = batches[2:4]
    third = batches[4:6]
    kept = regroup == 2
    assert (first == second) == kept
    assert (third == batches[6:]) == kept
    assert second != third


def slopes(arm, regroup):
    """Of the parts of an arm's displacement after equal training time, in the step size."""
    setups = {}
    for epochs in (2, 4, 8):
        rate = 0.008 / epochs
        setups[rate] = small(clips=8, batch=4, epochs=epochs, regroup=regroup)
    table = mean_displacement.at_equal_time(setups, arm, draws=60)
    rates = list(setups)
    own = mean_displacement.slope(rates, table["own part"])
    systematic = mean_displacement.slope(rates, table["systematic part"])
    return own, systematic


def test_slopes_of_the_toy():
    """Explored: 1.5 for batches that keep their clips, 0.5 for others and for free draws."""
    own, systematic = slopes(BALANCED, regroup=2)
    assert own == approx(1.5, abs=0.3)
    assert systematic == approx(1, abs=0.3)
    own, _ = slopes(BALANCED, regroup=1)
    assert own == approx(0.5, abs=0.3)
    own, _ = slopes(FREE, regroup=2)
    assert own == approx(0.5, abs=0.3)
