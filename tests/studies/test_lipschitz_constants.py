"""Four constants: their order, exact values on the toy, and that shares add up."""

import pytest
import torch

from atri_lib.theory.experiment import Arm
from studies import lipschitz_constants
from tests.studies.toys import first_step, toy


def test_constants_are_ordered_and_shares_add_up():
    setup = toy(batch=3, epochs=4)
    arm = Arm("ML-CLAP", "ml_clap")
    table = lipschitz_constants.four(setup, arm, rate=0.02, every=2, iterations=60)
    assert list(table) == list(lipschitz_constants.NAMES)
    assert len(table) == 3
    assert (table["sum of norms"] >= table["norm of the sum"]).all()
    assert (table["sum of quotients"] >= table["quotient of the sum"]).all()
    assert (table["norm of the sum"] > 0.5 * table["quotient of the sum"]).all()
    shares = lipschitz_constants.shares(table)
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()


def test_spectral_norm_is_that_of_the_hessian():
    setup = toy(clips=3, languages=2, epochs=1)
    step = first_step(setup)
    start = setup.task.start

    def loss(weights):
        return setup.task.weighted_loss(weights, step.even, step.data)

    hessian = torch.autograd.functional.hessian(loss, start)
    expected = torch.linalg.matrix_norm(hessian, 2)
    first_guess = torch.ones_like(start)[None]
    about = setup, step, step.even[None], start, first_guess
    found = lipschitz_constants.spectral_norms(*about, iterations=300)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
