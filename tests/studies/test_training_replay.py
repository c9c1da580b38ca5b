"""The traced run is the trained run, and the response is its first order."""

import pytest
import torch

from atri_lib.training import TrainConfig
from atri_lib.training.loop import train
from atri_lib.training.sources import build_model
from studies import training_replay

SMALL = {
    "epochs": 2,
    "batch_size": 20,
    "hidden": 8,
    "width": 6,
    "evaluate_every": 9,
    "checkpoint_every": 9,
}
KINDS = {"ml_clap": {}, "m_of_k": {"m": 2}, "cacl": {}, "latin": {}, "kcl": {}}


def trainee(data, **changes):
    return training_replay.Trainee(TrainConfig(**(SMALL | changes)), data)


def ends(follower, measured, predicted=()):
    """The ideal weights at the end, and lists of the measured and the predicted ones."""
    named = [dict(enumerate(schemes)) for schemes in (measured, predicted)]
    for _, ideal, found, guessed in training_replay.walk(follower, *named):
        last = (
            ideal.clone(),
            [w.clone() for w in found.values()],
            [w.clone() for w in guessed.values()],
        )
    return last


@pytest.mark.parametrize("scheme", KINDS)
def test_tracing_gives_the_weights_that_training_gives(toy, tmp_path, scheme):
    data = toy()
    config = TrainConfig(scheme=scheme, seed=3, **SMALL, **KINDS[scheme])
    model = build_model(config, data)
    with torch.random.fork_rng():
        train(config, data, model, tmp_path / "checkpoint")
    follower = trainee(data, seed=3)
    _, (traced,), _ = ends(follower, [follower.scheme(scheme, **KINDS[scheme])])
    parameters = [p.detach().flatten() for p in model.parameters() if p.requires_grad]
    torch.testing.assert_close(traced, torch.cat(parameters), rtol=1e-4, atol=1e-6)


def test_the_ideal_scheme_responds_with_no_displacement(toy):
    follower = trainee(toy())
    ideal, _, (again,) = ends(follower, [], [follower.scheme("kcl")])
    assert torch.equal(again, ideal)


def test_the_gradient_seen_from_an_anchor_is_exact_to_first_order(toy):
    follower = trainee(toy(), dropout=0.3)
    scheme, moment = (
        follower.scheme("ml_clap"),
        next(training_replay.moments(follower.config, follower.source)),
    )
    way = torch.randn(follower.start.shape, generator=torch.Generator().manual_seed(0))
    errors = []
    for size in (0.02, 0.01):
        there = follower.start + size * way
        seen = follower.slope_from(follower.start, there, scheme, moment)
        errors.append((seen - follower.slope(there, scheme, moment)).norm().item())
    assert errors[1] < 0.35 * errors[0]  # a second-order remainder falls to a quarter


def test_the_response_comes_closer_to_the_displacement_as_steps_shrink(toy):
    misses = []
    for rate in (0.04, 0.01):
        follower = trainee(toy(), optimizer="sgd", learning_rate=rate)
        schemes = [follower.scheme("ml_clap")]
        ideal, (measured,), (predicted,) = ends(follower, schemes, schemes)
        misses.append(((predicted - measured).norm() / (measured - ideal).norm()).item())
    assert misses[1] < 0.6 * misses[0] < 0.6


def test_another_seed_of_the_scheme_changes_draws_but_not_clips(toy):
    follower = trainee(toy())
    first, second = follower.scheme("ml_clap"), follower.scheme("ml_clap", seed=7)
    assert (first.languages(0) != second.languages(0)).any()
    _, (one, other, again), _ = ends(follower, [first, second, follower.scheme("ml_clap")])
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_split_adam_with_one_gradient_is_adam(toy):
    follower = trainee(toy())
    plain, split = training_replay.Follower(follower), training_replay.Split(follower)
    scheme, other = follower.scheme("ml_clap"), training_replay.Split(follower)
    for moment in training_replay.moments(follower.config, follower.source):
        gradient = follower.slope(plain.weights, scheme, moment)
        plain.step(gradient, moment.rate)
        split.step_split(gradient, gradient, moment.rate)
        other.step_split(gradient, gradient + 1, moment.rate)
    torch.testing.assert_close(split.weights, plain.weights, rtol=1e-4, atol=1e-6)
    assert (other.weights - plain.weights).norm() > 0.1 * (plain.weights - follower.start).norm()


def test_open_towers_are_refused(toy):
    with pytest.raises(ValueError, match="only projections"):
        trainee(toy(), learn_temperature=True)
