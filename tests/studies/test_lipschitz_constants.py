"""Four constants: their order, exact values on the toy, and that shares add up."""

import pytest
import torch

from atri_lib.theory.experiment import Arm, Experiment
from studies import lipschitz_constants
from tests.theory.toy_heads import features, heads


def test_constants_are_ordered_and_shares_add_up():
    clip_features, texts = features(6, 3)
    setup = Experiment(heads(), clip_features, texts, temperature=0.3, batch=3, epochs=4)
    arm = Arm("ML-CLAP", "ml_clap")
    table = lipschitz_constants.four(setup, arm, rate=0.02, every=2, iterations=60)
    assert list(table) == list(lipschitz_constants.NAMES) and len(table) == 3
    assert (table["sum of norms"] >= table["norm of the sum"]).all()
    assert (table["sum of quotients"] >= table["quotient of the sum"]).all()
    assert (table["norm of the sum"] > 0.5 * table["quotient of the sum"]).all()
    shares = lipschitz_constants.shares(table)
    assert shares.sum() == pytest.approx(1) and (shares > 0).all()


def test_spectral_norm_is_that_of_the_hessian():
    clip_features, texts = features(3, 2)
    setup = Experiment(heads(), clip_features, texts, temperature=0.3, batch=3, epochs=1)
    step = next(iter(setup.steps("")))
    start = setup.task.start
    even = step.even[0]
    hessian = torch.autograd.functional.hessian(
        lambda w: setup.task.weighted_loss(w, even, step.data), start
    )
    found = lipschitz_constants.spectral_norms(
        setup, step, step.even, start, torch.ones_like(start)[None], iterations=300
    )
    assert found.item() == pytest.approx(torch.linalg.matrix_norm(hessian, 2).item(), rel=1e-3)
