"""Runs side by side: the same as alone, one thread each; a failure is named and the rest is
kept.
"""

import subprocess

import pytest
import torch
from safetensors.torch import load_file

from atri_lib.training import Run, RunError, TrainConfig, load_or_train
from studies.parallel_runs import train_all


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "weights.safetensors")


def test_what_is_started_side_by_side_keeps_idle_threads_from_spinning(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path))
    started = []

    def popen(*arguments, env, **options):
        started.append(env)
        raise InterruptedError

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(InterruptedError):
        train_all([TrainConfig(seed=7)], toy(), workers=1)
    assert started[0]["OMP_WAIT_POLICY"] == "PASSIVE" and started[0]["OMP_NUM_THREADS"] == "1"


def test_runs_side_by_side_are_those_trained_alone_and_one_that_fails_is_named(
    small_data, tmp_path, monkeypatch
):
    """Two processes and five runs, the last of which diverges; the others are kept."""
    config, data = small_data
    configs = [
        config.replace(scheme=scheme, seed=seed) for seed in (0, 1) for scheme in ("ml_clap", "kcl")
    ]
    diverging = config.replace(seed=2, learning_rate=1e30)
    with pytest.raises(RunError, match=r"(?s)training kcl with seed 2 failed:.*TrainingDiverged"):
        train_all([*configs, diverging], data, workers=2)
    monkeypatch.setattr(subprocess, "Popen", None)  # no process is started for what is there
    runs = train_all(configs, data)
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
    assert [run.path for run in train_all(configs, data)] == [run.path for run in runs]


@pytest.mark.slow
def test_a_run_that_fails_in_the_middle_is_named_and_the_others_are_kept(small_data):
    """In the middle, with runs that wait; the test above has one at the end."""
    config, data = small_data
    configs = [
        config,
        config.replace(learning_rate=1e30),
        *(config.replace(seed=seed) for seed in range(1, 9)),
    ]
    with pytest.raises(RunError, match=r"(?s)training kcl with seed 0 failed:.*TrainingDiverged"):
        train_all(configs, data, workers=2)
    assert load_or_train(config, data).loaded
