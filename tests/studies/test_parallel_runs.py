"""Runs side by side: the same as alone, one thread each; a failure is named and the rest is
kept.
"""

import subprocess

import pytest
import torch
from safetensors.torch import load_file

from atri_lib.training import RunError, TrainConfig, load_or_train
from studies.parallel_runs import train_all


def test_what_is_started_side_by_side_keeps_idle_threads_from_spinning(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path))
    started = []

    def popen(*arguments, env, **options):
        started.append(env)
        raise InterruptedError

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(InterruptedError):
        train_all([TrainConfig(seed=7)], toy(), workers=1)
    (environment,) = started
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["OMP_NUM_THREADS"] == "1"


def test_runs_side_by_side_are_those_trained_alone_and_one_that_fails_is_named(
    small_data, tmp_path, monkeypatch
):
    """Two processes and five runs, the last of which diverges; the others are kept."""
    config, data = small_data
    configs = []
    for seed in (0, 1):
        for scheme in ("ml_clap", "kcl"):
            configs.append(config.replace(scheme=scheme, seed=seed))
    diverging = config.replace(seed=2, learning_rate=1e30)
    with pytest.raises(RunError, match=r"(?s)training kcl with seed 2 failed:.*TrainingDiverged"):
        train_all([*configs, diverging], data, workers=2)
    monkeypatch.setattr(subprocess, "Popen", None)  # no process is started for what is there
    runs = train_all(configs, data)
    for asked, run in zip(configs, runs, strict=True):
        assert run.config.scheme == asked.scheme
        assert run.config.seed == asked.seed
        assert run.loaded
        assert "1 CPU threads" in run.metrics["hardware"]
        alone = load_or_train(asked, data, folder=tmp_path / "alone")
        weights, expected = (load_file(one.path / "weights.safetensors") for one in (run, alone))
        torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_run_that_fails_in_the_middle_is_named_and_the_others_are_kept(small_data):
    """In the middle, with runs that wait; the test above has one at the end."""
    config, data = small_data
    configs = [config, config.replace(learning_rate=1e30)]
    configs += [config.replace(seed=seed) for seed in range(1, 9)]
    with pytest.raises(RunError, match=r"(?s)training kcl with seed 0 failed:.*TrainingDiverged"):
        train_all(configs, data, workers=2)
    assert load_or_train(config, data).loaded
