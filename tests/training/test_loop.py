"""The loop: optimisers and schedules by hand, and settings of schemes that reach it."""

import math

import numpy as np
import pytest
import torch

from atri_lib.progress import progress
from atri_lib.schemes import SCHEMES, clip_order
from atri_lib.training import TrainConfig, TrainingDiverged, build_model
from atri_lib.training.loop import _epoch_order, train
from atri_lib.training.step import backward

PLAIN = {
    "batch_size": 20,
    "evaluate_every": 100,
    "checkpoint_every": 100,
    "width": 8,
    "hidden": 16,
    "dropout": 0.0,
}


def trained(config, data, folder):
    model = build_model(config, data)
    return model, train(config, data, model, folder / "checkpoint.safetensors")


def by_hand(config, data, optimizer, factor):
    """The same run with the steps written out; factor(done): learning rate / the configured one,
    done from 0 to 1.
    """
    model, source, number = build_model(config, data).train(), data.splits["train"], 0
    optimizer = optimizer(model.parameters(), lr=config.learning_rate)
    scheme = config.build_scheme(len(source))
    steps = len(source) // config.batch_size
    for epoch in range(config.epochs):
        order, captions = _epoch_order(config.seed, epoch, source)
        languages = torch.from_numpy(scheme.languages(epoch))
        for rows in order[: steps * config.batch_size].split(config.batch_size):
            optimizer.param_groups[0]["lr"] = config.learning_rate * factor(
                number / (config.epochs * steps)
            )
            optimizer.zero_grad()
            backward(
                model,
                scheme,
                source.clips(rows),
                [source.captions(captions[rows], k) for k in languages[rows].T],
            )
            optimizer.step()
            number += 1
    return model


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("optimizer, kind", [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_optimisers_and_schedules_are_those_written_out(optimizer, kind, schedule, toy, tmp_path):
    factors = {
        "constant": lambda done: 1.0,
        "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    }
    config = TrainConfig(
        optimizer=optimizer, schedule=schedule, epochs=2, learning_rate=0.05, **PLAIN
    )
    model, _ = trained(config, toy(), tmp_path)
    for name, schedule_by_hand in factors.items():
        expected = by_hand(config, toy(), kind, schedule_by_hand).state_dict()
        same = all(
            torch.allclose(value, expected[key], atol=1e-6)
            for key, value in model.state_dict().items()
        )
        assert same == (name == schedule)


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_trains_on_any_chunk_and_lowers_its_loss(name, toy, tmp_path):
    m = 3 if SCHEMES[name].chooses_m else None
    config = TrainConfig(scheme=name, m=m, epochs=6, learning_rate=3e-3, **PLAIN)
    whole, history = trained(config, toy(), tmp_path)
    assert history[-1]["loss"] < history[0]["loss"]
    chunked = trained(config.replace(text_chunk=7), toy(), tmp_path)[0].state_dict()
    for key, value in whole.state_dict().items():  # Adam turns rounding into steps
        torch.testing.assert_close(chunked[key], value, rtol=0, atol=2e-3)


def test_settings_of_a_scheme_reach_its_runs(toy, tmp_path):
    config = TrainConfig(scheme="hold", epochs=3, **PLAIN)
    runs = [trained(config.replace(hold=hold), toy(), tmp_path)[1] for hold in (None, 1, 3)]
    ml_clap = trained(config.replace(scheme="ml_clap"), toy(), tmp_path)[1]
    losses = [[row["loss"] for row in history] for history in (*runs, ml_clap)]
    assert losses[0] == losses[1] == losses[3] != losses[2]
    cacl = [
        trained(TrainConfig(scheme="cacl", text_text=w, epochs=1, **PLAIN), toy(), tmp_path)[1]
        for w in (0.0, 0.5)
    ]
    assert cacl[0][0]["loss"] != cacl[1][0]["loss"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scheme": "kcl", "hold": 4}, "kcl has no setting hold"),
        ({"scheme": "ml_clap", "text_text": 0.1}, "ml_clap has no setting text_text"),
        ({"scheme": "hold", "hold": 0}, "hold=0: it should be greater than 0"),
        ({"scheme": "cacl", "text_text": 1.0}, "text_text=1.0: it should be less than 1"),
        ({"scheme": "balanced"}, "balanced needs m"),
    ],
)
def test_a_setting_that_a_scheme_does_not_use_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**change)


def test_settings_survive_as_plain_values():
    config = TrainConfig(scheme="cacl_unbiased", text_text=0.0)
    assert config.as_dict()["text_text"] == 0.0 and config.as_dict()["hold"] is None
    assert TrainConfig.from_dict(config.as_dict()) == config
    old = {
        name: value for name, value in config.as_dict().items() if name not in ("hold", "text_text")
    }
    assert TrainConfig.from_dict(old).text_text is None


def test_a_loss_that_is_not_finite_names_its_epoch_and_step(toy, tmp_path):
    data = toy()
    order, _ = _epoch_order(0, 0, data.splits["train"])
    data.splits["train"].clip_features[order[25]] = (
        3e38  # a clip of the second batch: two patches together are too much
    )
    with pytest.raises(
        TrainingDiverged,
        match="not finite in epoch 1, after step 1; .*a smaller learning",
    ):
        trained(TrainConfig(epochs=3, **PLAIN), data, tmp_path)


@pytest.mark.parametrize(
    ("settings", "value", "message"),
    [
        (
            {"temperature": 1e-45},
            1,
            "temperature=1e-45: it should be greater than or equal to 0.001",
        ),
        ({"learning_rate": 1e30}, 1, "Try a smaller learning rate than 1e\\+30"),
        ({"learning_rate": 1e300}, 1, "learning_rate=1e\\+300: it should be less than or equal"),
        (
            {},
            3e38,
            "after step 0; .* or a smaller input",
        ),
        (
            {},
            math.nan,
            "features of split train are not finite: .* delete `features` in the cache",
        ),
    ],
)
def test_the_cause_of_a_loss_that_is_not_finite_is_named(settings, value, message, toy, tmp_path):
    data = toy()
    if value != 1:
        data.splits["train"].clip_features.fill_(value)
    with pytest.raises((TrainingDiverged, ValueError), match=message):
        trained(TrainConfig(epochs=3, **PLAIN | settings), data, tmp_path)


def test_features_of_every_split_are_looked_at_before_training(toy, tmp_path):
    data = toy()
    data.splits["test"].text[3, 5, 2] = math.inf
    with pytest.raises(ValueError, match="features of split test are not finite"):
        trained(TrainConfig(epochs=3, **PLAIN), data, tmp_path)


def test_one_training_clip_is_not_enough(toy, tmp_path):
    with pytest.raises(
        ValueError, match="there is 1 training clip, and a contrastive loss needs at least 2"
    ):
        trained(TrainConfig(epochs=3, **PLAIN), toy(clips=1), tmp_path)


def test_the_order_of_an_epoch_is_the_one_that_schemes_know(toy):
    source = toy(clips=40, captions_per_clip=2).splits["train"]
    assert np.array_equal(_epoch_order(3, 5, source)[0].numpy(), clip_order(40, 3, 5))


def test_the_bar_of_a_resumed_run_counts_from_the_first_epoch(toy, tmp_path, monkeypatch):
    config, seen = TrainConfig(epochs=6, **PLAIN | {"checkpoint_every": 4}), []

    def bar(*given, **options):
        seen.append(progress(*given, **options))
        return seen[-1]

    monkeypatch.setattr("atri_lib.training.loop.progress", bar)
    monkeypatch.delenv("ATRI_PROGRESS")
    trained(config, toy(), tmp_path)  # leaves the checkpoint of epoch 4
    trained(config, toy(), tmp_path)
    assert [(one.initial, one.total, one.n) for one in seen] == [(0, 6, 6), (4, 6, 6)]
