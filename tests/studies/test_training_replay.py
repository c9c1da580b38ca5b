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

SMALL = {
    "epochs": 2,
    "batch_size": 20,
    "hidden": 8,
    "width": 6,
    "evaluate_every": 9,
    "checkpoint_every": 9,
}
KINDS = {"ml_clap": {}, "m_of_k": {"m": 2}, "cacl": {}, "latin": {}, "kcl": {}}


def small_training(data, **changes):
    return ProjectionTraining(TrainConfig(**(SMALL | changes)), data)


def ends(training, measured, predicted=()):
    """The ideal weights at the end, and lists of the measured and the predicted ones."""
    *_, end = trajectories(training, dict(enumerate(measured)), dict(enumerate(predicted)))
    return end.ideal, list(end.measured.values()), list(end.predicted.values())


@pytest.mark.parametrize("scheme", KINDS)
def test_tracing_gives_the_weights_that_training_gives(toy, tmp_path, scheme):
    data = toy()
    config = TrainConfig(scheme=scheme, seed=3, **SMALL, **KINDS[scheme])
    model = build_model(config, data)
    with torch.random.fork_rng():
        train(config, data, model, tmp_path / "checkpoint")
    training = small_training(data, seed=3)
    _, (traced,), _ = ends(training, [training.scheme(scheme, **KINDS[scheme])])
    parameters = [p.detach().flatten() for p in model.parameters() if p.requires_grad]
    torch.testing.assert_close(traced, torch.cat(parameters), rtol=1e-4, atol=1e-6)


def test_the_ideal_scheme_responds_with_no_displacement(toy):
    training = small_training(toy())
    ideal, _, (again,) = ends(training, [], [training.scheme("kcl")])
    assert torch.equal(again, ideal)


def test_the_gradient_seen_from_an_anchor_is_exact_to_first_order(toy):
    training = small_training(toy(), dropout=0.3)
    scheme = training.scheme("ml_clap")
    step = next(training_steps(training.config, training.source))
    generator = torch.Generator().manual_seed(0)
    displacement = torch.randn(training.start.shape, generator=generator)
    errors = []
    for size in (0.02, 0.01):
        weights = training.start + size * displacement
        seen = training.linearised_gradient(training.start, weights, scheme, step)
        exact = training.gradient(weights, scheme, step)
        errors.append((seen - exact).norm().item())
    assert errors[1] < 0.35 * errors[0]  # a second-order remainder falls to a quarter


def test_the_response_comes_closer_to_the_displacement_as_steps_shrink(toy):
    misses = []
    for rate in (0.04, 0.01):
        training = small_training(toy(), optimizer="sgd", learning_rate=rate)
        schemes = [training.scheme("ml_clap")]
        ideal, (measured,), (predicted,) = ends(training, schemes, schemes)
        misses.append(((predicted - measured).norm() / (measured - ideal).norm()).item())
    assert misses[1] < 0.6 * misses[0] < 0.6


def test_another_seed_of_the_scheme_changes_draws_but_not_clips(toy):
    training = small_training(toy())
    first = training.scheme("ml_clap")
    second = training.scheme("ml_clap", seed=7)
    assert (first.languages(0) != second.languages(0)).any()
    _, (one, other, again), _ = ends(training, [first, second, training.scheme("ml_clap")])
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_split_adam_with_one_gradient_is_adam(toy):
    training = small_training(toy())
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
    assert (other.weights - plain.weights).norm() > 0.1 * (plain.weights - training.start).norm()


def test_open_towers_are_refused(toy):
    with pytest.raises(ValueError, match="only projections"):
        small_training(toy(), learn_temperature=True)
