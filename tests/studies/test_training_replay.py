"""The traced run is the trained run, and the response is its first order."""

import pytest
import torch

from atri_lib.training import TrainConfig
from atri_lib.training.loop import train
from atri_lib.training.sources import build_model
from studies.training_replay import (
    ProjectionTraining,
    SplitAdam,
    WeightTrajectory,
    training_steps,
    trajectories,
)

SMALL = {"epochs": 2, "batch_size": 20, "hidden": 8, "width": 6}
KINDS = {"ml_clap": {}, "m_of_k": {"m": 2}, "cacl": {}, "latin": {}, "kcl": {}}


@pytest.fixture
def data(toy):
    return toy()


def small_training(data, **changes):
    config = TrainConfig(**SMALL, **changes)
    return ProjectionTraining(config, data)


def ends(training, measured, predicted=()):
    """The ideal weights at the end, and lists of the measured and the predicted ones."""
    schemes = dict(enumerate(measured)), dict(enumerate(predicted))
    *_, end = trajectories(training, *schemes)
    return end.ideal, list(end.measured.values()), list(end.predicted.values())


@pytest.mark.parametrize("scheme", KINDS)
def test_tracing_gives_the_weights_that_training_gives(data, tmp_path, scheme):
    config = TrainConfig(scheme=scheme, seed=3, **SMALL, **KINDS[scheme])
    model = build_model(config, data)
    with torch.random.fork_rng():
        train(config, data, model, tmp_path / "checkpoint")
    training = small_training(data, seed=3)
    _, (traced,), _ = ends(training, [training.scheme(scheme, **KINDS[scheme])])
    parameters = [p.detach().flatten() for p in model.parameters() if p.requires_grad]
    torch.testing.assert_close(traced, torch.cat(parameters), rtol=1e-4, atol=1e-6)


def test_the_ideal_scheme_responds_with_no_displacement(data):
    training = small_training(data)
    ideal, _, (again,) = ends(training, [], [training.scheme("kcl")])
    assert torch.equal(again, ideal)


def test_the_gradient_seen_from_an_anchor_is_exact_to_first_order(data):
    training = small_training(data, dropout=0.3)
    scheme = training.scheme("ml_clap")
    step = next(training_steps(training.config, training.source))
    start = training.start
    generator = torch.Generator().manual_seed(0)
    displacement = torch.randn(start.shape, generator=generator)
    errors = []
    for size in (0.02, 0.01):
        weights = start + size * displacement
        seen = training.linearised_gradient(start, weights, scheme, step)
        exact = training.gradient(weights, scheme, step)
        errors.append((seen - exact).norm())
    assert errors[1] < 0.35 * errors[0]  # a second-order remainder falls to a quarter


def test_the_response_comes_closer_to_the_displacement_as_steps_shrink(data):
    misses = []
    for rate in (0.04, 0.01):
        training = small_training(data, optimizer="sgd", learning_rate=rate)
        schemes = [training.scheme("ml_clap")]
        ideal, (measured,), (predicted,) = ends(training, schemes, schemes)
        miss = (predicted - measured).norm()
        misses.append(miss / (measured - ideal).norm())
    assert misses[0] < 1
    assert misses[1] < 0.6 * misses[0]


def test_another_seed_of_the_scheme_changes_draws_but_not_clips(data):
    training = small_training(data)
    first = training.scheme("ml_clap")
    second = training.scheme("ml_clap", seed=7)
    assert (first.languages(0) != second.languages(0)).any()
    _, (one, other, again), _ = ends(training, [first, second, training.scheme("ml_clap")])
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_split_adam_with_one_gradient_is_adam(data):
    training = small_training(data)
    scheme = training.scheme("ml_clap")
    plain = WeightTrajectory(training)
    split = SplitAdam(training)
    other = SplitAdam(training)
    for step in training_steps(training.config, training.source):
        gradient = training.gradient(plain.weights, scheme, step)
        plain.follow(gradient, step.rate)
        split.follow_split(gradient, gradient, step.rate)
        other.follow_split(gradient, gradient + 1, step.rate)
    torch.testing.assert_close(split.weights, plain.weights, rtol=1e-4, atol=1e-6)
    way = (plain.weights - training.start).norm()
    assert (other.weights - plain.weights).norm() > 0.1 * way


def test_open_towers_are_refused(data):
    with pytest.raises(ValueError, match="only projections"):
        small_training(data, learn_temperature=True)
