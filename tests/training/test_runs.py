"""Runs: the same key gives the same run; a kill loses nothing; wrong input says what to do."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from atri_lib.data.manifest import write_manifest
from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import SyntheticBank
from atri_lib.training import (
    Run,
    RunError,
    TrainConfig,
    TrainingDiverged,
    fit,
    load_data,
    load_or_train,
    run_name,
    train_all,
)

SMALL = {"epochs": 6, "batch_size": 20, "evaluate_every": 2, "checkpoint_every": 1, "width": 8, "hidden": 16}


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "weights.safetensors")


@pytest.mark.parametrize("scheme", ["ml_clap", "latin", "cacl", "kcl"])
def test_training_learns_what_chance_cannot(scheme, toy, tmp_path):
    config = TrainConfig(scheme=scheme, **SMALL | {"epochs": 25, "learning_rate": 3e-3, "width": 32, "hidden": 64})
    run = load_or_train(config, toy(200), folder=tmp_path)
    assert run.metrics["test"]["T2A R@10"] > 55  # chance is 10 of 30 clips, 33 %
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]


def test_a_finished_run_is_loaded_not_trained_again(toy, tmp_path):
    config = TrainConfig(**SMALL)
    first, second = (load_or_train(config, toy(), folder=tmp_path) for _ in range(2))
    assert (first.loaded, second.loaded) == (False, True)
    assert "trained kcl seed 0" in str(first) and "loaded kcl seed 0" in str(second)
    assert first.metrics == second.metrics
    np.testing.assert_array_equal(first.scores.t2a, second.scores.t2a)


def test_equal_seeds_give_equal_weights_and_another_seed_does_not(toy, tmp_path):
    a, b = (fit(TrainConfig(**SMALL), toy(), folder=tmp_path / name) for name in "ab")
    c = fit(TrainConfig(seed=1, **SMALL), toy(), folder=tmp_path)
    assert all(torch.equal(value, weights(b)[name]) for name, value in weights(a).items())
    assert not all(torch.equal(value, weights(c)[name]) for name, value in weights(a).items())


def test_several_captions_a_clip_give_one_rank_for_each(toy, tmp_path):
    run = fit(TrainConfig(**SMALL), toy(captions_per_clip=5), folder=tmp_path)
    assert run.scores.t2a.shape == (150, 8) and run.scores.a2t.shape == (30, 8)


KILLED = textwrap.dedent("""
    import sys
    sys.path.insert(0, sys.argv[1])
    from conftest import toy_data
    from atri_lib.training import TrainConfig, load_or_train
    load_or_train(TrainConfig(epochs=400, batch_size=20, evaluate_every=400, checkpoint_every=1, width=8, hidden=16),
                  toy_data(), folder=sys.argv[2])
""")


def test_a_killed_run_resumes_to_identical_weights(toy, tmp_path):
    config = TrainConfig(epochs=400, batch_size=20, evaluate_every=400, checkpoint_every=1, width=8, hidden=16)
    expected = weights(load_or_train(config, toy(), folder=tmp_path / "whole"))
    tests = os.path.dirname(os.path.dirname(__file__))
    worker = subprocess.Popen([sys.executable, "-c", KILLED, tests, str(tmp_path / "killed")])
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("*/checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(np.random.default_rng(os.getpid()).uniform(0, 0.5))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert not list((tmp_path / "killed").glob("*/metrics.json")), "the run ended before it could be killed"
    resumed = load_or_train(config, toy(), folder=tmp_path / "killed")
    assert not resumed.loaded
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(toy, tmp_path):
    data = toy()
    config = TrainConfig(**SMALL)
    poisoned = {"step": 0}
    original = type(data.splits["train"]).clips

    def clips(source, index):
        poisoned["step"] += 1
        values = original(source, index)
        return values * math.nan if poisoned["step"] == 8 and len(index) == 20 else values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(data.splits["train"]), "clips", clips)
        with pytest.raises(TrainingDiverged, match="epoch 3, step .* last good checkpoint is"):
            load_or_train(config, data, folder=tmp_path)
    (checkpoint,) = tmp_path.glob("*/checkpoint.safetensors")
    assert all(value.isfinite().all() for value in load_file(checkpoint).values())


def test_the_second_stage_starts_from_the_first(toy, tmp_path):
    first = fit(TrainConfig(scheme="ml_clap", **SMALL), toy(), folder=tmp_path)
    second = fit(TrainConfig(init=str(first.path), **SMALL | {"epochs": 1}), toy(), folder=tmp_path)
    scratch = fit(TrainConfig(**SMALL | {"epochs": 1}), toy(), folder=tmp_path)
    assert second.history["loss"].iloc[0] < scratch.history["loss"].iloc[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scheme": "magic"}, "scheme='magic'.*kcl"),
        ({"batch_size": 1}, "at least 2 clips"),
        ({"languages": ("eng", "xxx")}, "unknown language code 'xxx'"),
        ({"languages": ("fra", "eng")}, "English"),
        ({"temperature": 0}, "temperature"),
        ({"epochs": 0}, "epochs"),
        ({"unfreeze": {"video": 1}}, "video"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_wrong_settings_name_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**change)


def test_a_checkpoint_of_another_architecture_lists_the_keys(toy, tmp_path):
    run = fit(TrainConfig(**SMALL), toy(), folder=tmp_path)
    config = TrainConfig(init=str(run.path), **SMALL | {"width": 12})
    with pytest.raises(ValueError, match=r"another architecture: .*audio_projection.4.weight: \(8, 16\) instead of"):
        fit(config, toy(), folder=tmp_path)


def test_an_incomplete_folder_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a complete run"):
        Run.load(tmp_path)
    with pytest.raises(RunError, match="config.json"):
        Run.resume(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="not a complete run"):
        Run.load(tmp_path)


def test_config_survives_json_and_rejects_unknown_fields():
    config = TrainConfig.for_profile("smoke", scheme="m_of_k", m=2, unfreeze={"audio": 1})
    assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    with pytest.raises(ValueError, match="depth"):
        TrainConfig.from_dict({"depth": 3})


def test_a_damaged_run_can_be_resumed_and_a_replaced_one_is_whole_until_the_end(toy, tmp_path):
    config = TrainConfig(**SMALL)
    run = fit(config, toy(), folder=tmp_path)
    with pytest.raises(TrainingDiverged):
        fit(config.replace(learning_rate=1e30), toy(), folder=tmp_path)
    (run.path / "history.csv").unlink()
    with pytest.raises(RunError, match="not a complete run"):
        Run.load(run.path)
    assert not load_or_train(config, toy(), folder=tmp_path).loaded
    assert Run.load(run.path).metrics["test"] == run.metrics["test"]


def test_the_caller_s_random_numbers_do_not_depend_on_whether_a_run_was_trained_or_loaded(toy, tmp_path):
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path)
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def test_a_run_is_known_by_what_its_data_hold_not_by_where_they_are(toy, tmp_path):
    here, there = (TrainConfig(data=str(tmp_path / name), **SMALL) for name in ("here", "there"))
    assert run_name(here, toy()) == run_name(there, toy()) != run_name(here, toy(61))
    run = fit(here.replace(data="x.jsonl"), toy(), folder=tmp_path)
    assert Run.load(run.path).config.data == os.path.abspath("x.jsonl")


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    """A config for a few synthetic scenes as a manifest, with a cache of its own, and its data."""
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    write_manifest(make_scenes(SyntheticBank(), {"train": 24, "val": 6, "test": 8}, seed=0), tmp_path / "scenes")
    config = TrainConfig(data=str(tmp_path / "scenes"), **SMALL | {"epochs": 2, "batch_size": 12})
    return config, load_data(config)


def test_runs_trained_side_by_side_are_those_trained_alone(small_data, tmp_path, monkeypatch):
    config, data = small_data
    configs = [config.replace(scheme=scheme, seed=seed) for seed in (0, 1) for scheme in ("ml_clap", "kcl")]
    runs = train_all(configs, data, workers=2)
    assert [(run.config.scheme, run.config.seed) for run in runs] == [(c.scheme, c.seed) for c in configs]
    assert all(run.loaded for run in runs) and all("1 CPU threads" in run.metrics["hardware"] for run in runs)
    for config, run in zip(configs, runs, strict=True):
        alone = weights(load_or_train(config, data, folder=tmp_path / "alone"))
        for name, value in weights(run).items():
            torch.testing.assert_close(value, alone[name], rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(subprocess, "Popen", None)  # no process is started for what is there
    assert [run.path for run in train_all(configs, data)] == [run.path for run in runs]


def test_a_run_that_fails_beside_others_is_named_and_the_others_are_kept(small_data):
    config, data = small_data
    configs = [config, config.replace(learning_rate=1e30), *(config.replace(seed=seed) for seed in range(1, 9))]
    with pytest.raises(RunError, match=r"(?s)training kcl with seed 0 failed:.*TrainingDiverged"):
        train_all(configs, data, workers=2)
    assert load_or_train(config, data).loaded
