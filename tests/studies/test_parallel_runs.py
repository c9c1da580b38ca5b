"""Runs side by side: the same as alone, one thread each; a failure is named and the rest is
kept.
"""

import subprocess

import pytest
import torch
from safetensors.torch import load_file

from atri_lib.training import Run, RunError, load_or_train
from studies.parallel_runs import train_all


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "weights.safetensors")


def test_what_is_started_side_by_side_keeps_idle_threads_from_spinning(small_data, monkeypatch):
    config, data = small_data
    started = []

    def popen(*arguments, env, **options):
        started.append(env)
        raise InterruptedError

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(InterruptedError):
        train_all([config.replace(seed=7)], data, workers=1)
    assert started[0]["OMP_WAIT_POLICY"] == "PASSIVE" and started[0]["OMP_NUM_THREADS"] == "1"


def test_runs_trained_side_by_side_are_those_trained_alone(small_data, tmp_path, monkeypatch):
    config, data = small_data
    configs = [
        config.replace(scheme=scheme, seed=seed) for seed in (0, 1) for scheme in ("ml_clap", "kcl")
    ]
    runs = train_all(configs, data, workers=2)
    assert [(run.config.scheme, run.config.seed) for run in runs] == [
        (c.scheme, c.seed) for c in configs
    ]
    assert all(run.loaded for run in runs) and all(
        "1 CPU threads" in run.metrics["hardware"] for run in runs
    )
    for config, run in zip(configs, runs, strict=True):
        alone = weights(load_or_train(config, data, folder=tmp_path / "alone"))
        for name, value in weights(run).items():
            torch.testing.assert_close(value, alone[name], rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(subprocess, "Popen", None)  # no process is started for what is there
    assert [run.path for run in train_all(configs, data)] == [run.path for run in runs]


def test_a_run_that_fails_beside_others_is_named_and_the_others_are_kept(small_data):
    config, data = small_data
    configs = [
        config,
        config.replace(learning_rate=1e30),
        *(config.replace(seed=seed) for seed in range(1, 9)),
    ]
    with pytest.raises(RunError, match=r"(?s)training kcl with seed 0 failed:.*TrainingDiverged"):
        train_all(configs, data, workers=2)
    assert load_or_train(config, data).loaded
