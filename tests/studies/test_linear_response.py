import numpy as np
import pytest

from atri_lib.theory import twin_runs
from atri_lib.theory.experiment import Experiment
from atri_lib.theory.optimizers import SGD, Adam, Momentum
from studies import linear_response
from studies.small_projections import ARMS
from tests.theory.toy_heads import features, heads

ARMS_OF_THREE = (*ARMS[:3], *ARMS[4:])  # K = 3 has no 4 of K


def experiment(clips=12, languages=3, batch=6, epochs=2, seed=0):
    clip_features, texts = features(clips, languages, seed=seed)
    return Experiment(
        heads(seed), clip_features, texts, temperature=0.2, batch=batch, epochs=epochs, seed=seed
    )


@pytest.mark.parametrize(
    "optimizer", [SGD(1e-4), Momentum(1e-5), Adam(1e-6)], ids=lambda o: type(o).__name__
)
def test_response_is_the_measurement_when_steps_are_small(optimizer):
    setup = experiment()
    measured = twin_runs.run(setup, optimizer, ARMS_OF_THREE, draws=2).set_index(
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
