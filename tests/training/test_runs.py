"""Runs: the same key gives the same run; a kill loses nothing; wrong input says what to do."""

import dataclasses
import functools
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.training import (
    Run,
    RunError,
    TrainConfig,
    TrainingData,
    TrainingDiverged,
    build_model,
    data_origin,
    load_or_train,
    run_name,
    runs,
    score,
)
from atri_lib.training.checkpoints import read_checkpoint, write_checkpoint
from atri_lib.training.run_folder import FILES

SMALL = {
    "epochs": 6,
    "batch_size": 20,
    "evaluate_every": 2,
    "checkpoint_every": 1,
    "width": 8,
    "hidden": 16,
}


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "weights.safetensors")


@pytest.mark.parametrize("scheme", ["ml_clap", "latin", "cacl", "kcl"])
def test_training_learns_what_chance_cannot(scheme, toy, tmp_path):
    config = TrainConfig(
        scheme=scheme, **SMALL | {"epochs": 25, "learning_rate": 3e-3, "width": 32, "hidden": 64}
    )
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
    a, b = (load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path / name) for name in "ab")
    c = load_or_train(TrainConfig(seed=1, **SMALL), toy(), folder=tmp_path)
    assert all(torch.equal(value, weights(b)[name]) for name, value in weights(a).items())
    assert not all(torch.equal(value, weights(c)[name]) for name, value in weights(a).items())


def test_several_captions_a_clip_give_one_rank_for_each(toy, tmp_path):
    run = load_or_train(TrainConfig(**SMALL), toy(captions_per_clip=5), folder=tmp_path)
    assert run.scores.t2a.shape == (150, 8) and run.scores.a2t.shape == (30, 8)


def test_stored_ranks_are_those_of_the_model(toy, tmp_path):
    data = toy(captions_per_clip=2)
    run = load_or_train(TrainConfig(**SMALL), data, folder=tmp_path)
    scores = score(run.model(data), data.splits["test"])
    np.testing.assert_array_equal(run.scores.t2a, scores.t2a)
    np.testing.assert_array_equal(run.scores.a2t, scores.a2t)
    assert run.scores.a2t.flags.writeable


LONG = {"epochs": 100, "batch_size": 20, "evaluate_every": 100, "checkpoint_every": 1}
KILLED = textwrap.dedent("""
    import json, sys, time
    sys.path.insert(0, sys.argv[1])
    from conftest import toy_data
    from atri_lib.training import TrainConfig, load_or_train, loop
    written = loop.write_checkpoint
    def slowly(*arguments):
        time.sleep(0.02)
        written(*arguments)
    loop.write_checkpoint = slowly
    load_or_train(TrainConfig(**json.loads(sys.argv[3])), toy_data(), folder=sys.argv[2])
""")


def test_a_killed_run_resumes_to_identical_weights(toy, tmp_path):
    """Killed at any moment of the half second after its first checkpoint; it takes two at least."""
    settings = LONG | {"width": 8, "hidden": 16}
    config = TrainConfig(**settings)
    expected = weights(load_or_train(config, toy(), folder=tmp_path / "whole"))
    tests = os.path.dirname(os.path.dirname(__file__))
    given = [tests, str(tmp_path / "killed"), json.dumps(settings)]
    worker = subprocess.Popen([sys.executable, "-c", KILLED, *given])
    deadline = time.monotonic() + 60
    while (
        not list((tmp_path / "killed").glob("*/checkpoint.safetensors"))
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    time.sleep(np.random.default_rng(os.getpid()).uniform(0, 0.5))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert not list((tmp_path / "killed").glob("*/metrics.json")), (
        "the run ended before it could be killed"
    )
    resumed = load_or_train(config, toy(), folder=tmp_path / "killed")
    assert not resumed.loaded
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(toy, tmp_path):
    data = toy()
    config = TrainConfig(**SMALL)
    original = type(data.splits["train"]).clip_batches
    poisoned = {"step": 0}

    def clip_batches(source, batches):
        for values in original(source, batches):
            poisoned["step"] += 1
            training = len(values) == 20
            yield values * math.nan if training and poisoned["step"] >= 8 else values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(data.splits["train"]), "clip_batches", clip_batches)
        with pytest.raises(TrainingDiverged, match="epoch 3, after step .* last good checkpoint"):
            load_or_train(config, data, folder=tmp_path)
    (checkpoint,) = tmp_path.glob("*/checkpoint.safetensors")
    assert all(value.isfinite().all() for value in load_file(checkpoint).values())


def test_the_second_stage_starts_from_the_first(toy, tmp_path):
    first = load_or_train(TrainConfig(scheme="ml_clap", **SMALL), toy(), folder=tmp_path)
    second = load_or_train(
        TrainConfig(init=str(first.path), **SMALL | {"epochs": 1}), toy(), folder=tmp_path
    )
    scratch = load_or_train(TrainConfig(**SMALL | {"epochs": 1}), toy(), folder=tmp_path)
    assert second.history["loss"].iloc[0] < scratch.history["loss"].iloc[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scheme": "magic"}, "unknown scheme 'magic'.*kcl"),
        ({"batch_size": 1}, "batch_size=1: it should be greater than or equal to 2"),
        ({"languages": ("eng", "xxx")}, r"languages=\('eng', 'xxx'\): it should be 'eng', 'fra'"),
        ({"languages": ("fra", "eng")}, "English"),
        ({"temperature": 0}, "temperature"),
        ({"epochs": 0}, "epochs"),
        ({"unfreeze": {"video": 1}}, "video"),
        ({"precision": "fp8"}, "precision"),
        ({"temperature": math.inf}, "temperature=inf: it should be a finite number"),
        ({"seed": 2**45}, "seed=35184372088832: it should be less than 4294967296"),
        ({"unfreeze": ["audio"]}, "unfreeze.*valid dictionary"),
        ({"scenes": (1, 2)}, r"scenes=\(1, 2\): Field required \(scenes to compose: train, val"),
        ({"profile": "nope"}, "profile='nope': use one of book, smoke, paper"),
    ],
)
def test_wrong_settings_name_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.for_profile(**change)


def test_the_largest_seed_trains(toy, tmp_path):
    assert (
        load_or_train(TrainConfig(seed=2**32 - 1, **SMALL), toy(), folder=tmp_path).metrics["seed"]
        == 2**32 - 1
    )


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "ranks.safetensors", "history.csv", "retrieval.csv"]
)
def test_a_flipped_bit_is_noticed_and_the_run_trained_anew(name, toy, tmp_path):
    run = load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path)
    content = bytearray((run.path / name).read_bytes())
    content[-3] ^= 1
    (run.path / name).write_bytes(content)
    with pytest.raises(
        RunError, match=f"{name} is not what was written: its SHA-256 differs.*train --resume"
    ):
        Run.load(run.path)
    again = load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path)
    assert not again.loaded and all(
        torch.equal(value, weights(run)[key]) for key, value in weights(again).items()
    )
    assert Run.load(run.path).metrics["sha256"] == again.metrics["sha256"]


def test_the_tensors_of_a_checkpoint_are_checked(toy, tmp_path):
    config = TrainConfig(**SMALL)
    model = build_model(config, toy())
    optimizer = torch.optim.Adam(model.parameters())
    model.encode_text(torch.randn(4, 10)).sum().backward()
    optimizer.step()
    write_checkpoint(tmp_path / "c.safetensors", model, optimizer, [{"epoch": 1, "loss": 2.5}])
    history = read_checkpoint(tmp_path / "c.safetensors", model, optimizer)
    assert history == [{"epoch": 1, "loss": 2.5}]
    content = (tmp_path / "c.safetensors").read_bytes()
    for place in (-1, content.index(b"2.5")):
        changed = bytearray(content)
        changed[place] ^= 1
        (tmp_path / "c.safetensors").write_bytes(changed)
        with pytest.raises(
            ValueError,
            match="c.safetensors: damaged checkpoint .*; delete it to begin this run anew",
        ):
            read_checkpoint(tmp_path / "c.safetensors", model, optimizer)
    with pytest.raises(ValueError, match="JSON"):  # a loss that is none is not written
        write_checkpoint(tmp_path / "c.safetensors", model, optimizer, [{"loss": math.nan}])


def test_a_run_says_what_its_data_are_of_and_whether_they_are_the_books(toy, small_data, tmp_path):
    config, data = small_data
    run = load_or_train(config, data, folder=tmp_path)
    assert "not the data of the book" in run.metrics["note"]
    scenes = make_scenes(synthetic_sounds(), {"train": 2, "val": 2, "test": 2}, seed=0)
    for dataset, origin in (
        (scenes["test"], synthetic_sounds().name),
        (SimpleNamespace(origin="tuxpaint"), "tuxpaint"),
    ):
        source = dataclasses.replace(data.splits["test"], dataset=dataset)
        assert data_origin(dataclasses.replace(data, splits={"test": source})) == origin


def test_a_run_without_a_checkpoint_leaves_no_folder(toy, tmp_path):
    with pytest.raises(TrainingDiverged):
        load_or_train(TrainConfig(**SMALL | {"learning_rate": 1e30}), toy(), folder=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_finished_run_is_loaded_where_nothing_can_be_written(toy, tmp_path, monkeypatch):
    run = load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name in ("mkdir", "write_text"):
        monkeypatch.setattr(pathlib.Path, name, None)
    monkeypatch.setattr("atri_lib.storage.FileLock", None)
    assert load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path).path == run.path
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_of_another_architecture_lists_the_keys(toy, tmp_path):
    run = load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path)
    config = TrainConfig(init=str(run.path), **SMALL | {"width": 12})
    with pytest.raises(
        ValueError,
        match=r"another architecture, .*missing: .*audio_projection.4.weight",
    ):
        load_or_train(config, toy(), folder=tmp_path)


def test_an_incomplete_folder_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a complete run .*; give the folder of a finished run"):
        Run.load(tmp_path)
    with pytest.raises(RunError, match="config.json"):
        Run.resume(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="not a complete run .*; finish it with .*--resume"):
        Run.load(tmp_path)


def test_config_survives_json_and_rejects_unknown_fields():
    config = TrainConfig.for_profile("smoke", scheme="m_of_k", m=2, unfreeze={"clips": 1})
    assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    for unknown in ("depth", "self"):
        with pytest.raises(ValueError, match=f"{unknown}=3: .*not permitted"):
            TrainConfig.from_dict({unknown: 3})
    with pytest.raises(ValueError, match="radius.*: it should be"):
        TrainConfig(scheme="hold", scheme_settings={"hold": 2, "radius": "x"})


def test_a_damaged_run_is_trained_anew_beside_what_else_is_in_its_folder(toy, tmp_path):
    config = TrainConfig(**SMALL)
    run = load_or_train(config, toy(), folder=tmp_path)
    (run.path / "history.csv").unlink()
    (run.path / "notes.txt").write_text("mine")
    (run.path / "plots").mkdir()
    (run.path / "plots" / "loss.png").write_bytes(b"plot")
    os.mkfifo(run.path / "pipe")
    with pytest.raises(RunError, match="not a complete run"):
        Run.load(run.path)
    assert not load_or_train(config, toy(), folder=tmp_path).loaded
    assert Run.load(run.path).metrics["test"] == run.metrics["test"]
    assert (run.path / "notes.txt").read_text() == "mine"
    assert (run.path / "plots" / "loss.png").read_bytes() == b"plot"
    assert not (run.path / "checkpoint.safetensors").exists()


def test_the_caller_s_random_numbers_do_not_depend_on_whether_a_run_was_trained_or_loaded(
    toy, tmp_path
):
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path)
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def test_a_run_is_known_by_what_its_data_hold_not_by_where_they_are(toy, tmp_path, monkeypatch):
    here, there = (TrainConfig(data=str(tmp_path / name), **SMALL) for name in ("here", "there"))
    assert run_name(here, toy()) == run_name(there, toy()) != run_name(here, toy(61))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jsonl").touch()
    run = load_or_train(here.replace(data="x.jsonl"), toy(), folder=tmp_path)
    assert Run.load(run.path).config.data == os.path.abspath("x.jsonl")


ONE_CHECKPOINT = TrainConfig(**SMALL | {"epochs": 2})
MOVES = len(FILES) + 1  # of files to their places: with metrics.json


def in_child(work, first: Run, data: TrainingData) -> int:
    """The exit code of some work in a child process, which has the first run's numbers instead of
    training.

    It computes nothing: the threads of torch do not survive a fork.
    """
    model = build_model(first.config, data)
    child = os.fork()
    if not child:
        code = 1
        try:
            runs.train = lambda *arguments: first.history.to_dict("records")
            runs.score = lambda *arguments: first.scores
            runs.build_model = lambda *arguments: model
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at_move(number: int, work, first: Run, data: TrainingData) -> int:
    """Do some work in a child process that is killed before its number-th move of a file or
    folder.
    """
    move, before = os.replace, iter(range(number))

    def replace(*arguments):
        if next(before, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        move(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace)
        return in_child(work, first, data)


@pytest.mark.parametrize("moves", range(MOVES + 1))
def test_a_run_is_whole_or_trained_anew_after_a_kill_before_every_move(moves, toy, tmp_path):
    data = toy()
    first = load_or_train(ONE_CHECKPOINT, data, folder=tmp_path / "first")
    there = tmp_path / "there"
    again = functools.partial(load_or_train, ONE_CHECKPOINT, data, folder=there)
    code = killed_at_move(moves, again, first, data)
    assert code == (0 if moves == MOVES else -signal.SIGKILL)
    if moves < MOVES:
        with pytest.raises(RunError, match="not a complete run"):
            Run.load(there / first.path.name)
    found = again()
    assert found.loaded == (moves == MOVES)
    assert found.metrics["test"] == first.metrics["test"]
    assert {path.name for path in found.path.iterdir()} == {*FILES, "metrics.json"}
    left = {path.name for path in there.iterdir()}
    assert left == {first.path.name, f".{first.path.name}.atri-lock"}


@pytest.mark.parametrize(
    "writer",
    [
        "atri_lib.training.checkpoints.save_file",
        "atri_lib.training.run_folder.save_file",
        "atri_lib.training.run_folder.save_arrays",
        "pathlib.Path.write_text",
        "tempfile.mkdtemp",
    ],
)
def test_a_full_disk_is_named_at_every_write_and_the_run_ends_later(
    writer, toy, tmp_path, monkeypatch
):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer, full)
        with pytest.raises(OSError, match="cannot be written .*free some space"):
            load_or_train(ONE_CHECKPOINT, toy(), folder=tmp_path)
    assert not list(tmp_path.rglob("*.atri-partial"))
    found = load_or_train(ONE_CHECKPOINT, toy(), folder=tmp_path)
    whole = load_or_train(ONE_CHECKPOINT, toy(), folder=tmp_path / "whole")
    assert found.metrics["test"] == whole.metrics["test"]


@pytest.mark.parametrize("name", ["metrics.json", "config.json"])
def test_every_byte_of_settings_and_metrics_is_noticed(name, toy, tmp_path):
    run = load_or_train(ONE_CHECKPOINT, toy(), folder=tmp_path)
    content = (run.path / name).read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (run.path / name).write_bytes(changed)
        with pytest.raises(RunError, match=f"not a complete run .*{name}"):
            Run.load(run.path)
    (run.path / name).write_bytes(content)
    assert Run.load(run.path).config == ONE_CHECKPOINT


def test_another_run_under_this_name_is_neither_taken_for_it_nor_lost(toy, tmp_path):
    config, other = ONE_CHECKPOINT, ONE_CHECKPOINT.replace(seed=9)
    here = tmp_path / run_name(config, toy())
    shutil.copytree(load_or_train(other, toy(), folder=tmp_path).path, here)
    assert Run.load(here).config.seed == 9  # a copy is a run, wherever it lies
    before = {file: file.read_bytes() for file in here.iterdir()}
    with pytest.raises(RunError, match="holds another run, kcl-9-.*; move it"):
        load_or_train(config, toy(), folder=tmp_path)
    assert {file: file.read_bytes() for file in here.iterdir()} == before
    assert load_or_train(other, toy(), folder=tmp_path).loaded


def test_a_run_behind_a_link_is_loaded_and_never_written_over(toy, tmp_path):
    config = ONE_CHECKPOINT
    runs = tmp_path / "runs"
    path = load_or_train(config, toy(), folder=runs).path
    far = tmp_path / "far"
    shutil.move(path, far)
    path.symlink_to(far)
    assert load_or_train(config, toy(), folder=runs).loaded
    linked = runs / run_name(config.replace(seed=9), toy())
    linked.symlink_to(far)
    before = {file: file.read_bytes() for file in far.iterdir()}
    with pytest.raises(RunError, match="holds another run, kcl-0-"):
        load_or_train(config.replace(seed=9), toy(), folder=runs)
    assert {file: file.read_bytes() for file in far.iterdir()} == before
    (far / "metrics.json").unlink()
    with pytest.raises(RunError, match="not written through a link"):
        load_or_train(config.replace(seed=9), toy(), folder=runs)
    linked.unlink()
    linked.touch()
    with pytest.raises(RunError, match="or over a file; remove it"):
        load_or_train(config.replace(seed=9), toy(), folder=runs)


def test_a_finished_run_is_resumed_by_loading_it_whatever_its_name(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(runs, "load_data", None)
    run = load_or_train(ONE_CHECKPOINT, toy(), folder="~/runs")
    assert run.path.parent == tmp_path / "runs"
    run.path.rename(tmp_path / "renamed")
    assert Run.load("~/renamed").metrics == Run.resume("~/renamed").metrics == run.metrics


def test_a_checkpoint_that_a_kill_left_to_a_finished_run_is_removed(toy, tmp_path):
    run = load_or_train(ONE_CHECKPOINT, toy(), folder=tmp_path)
    (run.path / "checkpoint.safetensors").write_text("left")
    assert load_or_train(ONE_CHECKPOINT, toy(), folder=tmp_path).loaded
    assert not (run.path / "checkpoint.safetensors").exists()


def test_two_programs_that_train_the_same_run_both_succeed(toy, tmp_path):
    data = toy()
    run = load_or_train(ONE_CHECKPOINT, data, folder=tmp_path / "first")

    def both() -> None:
        other = os.fork()
        load_or_train(ONE_CHECKPOINT, data, folder=tmp_path)
        if not other:
            os._exit(0)
        assert os.waitpid(other, 0)[1] == 0

    assert in_child(both, run, data) == 0
    found = Run.load(tmp_path / run.path.name)
    assert found.metrics["test"] == run.metrics["test"]
    assert {path.name for path in found.path.iterdir()} == {*FILES, "metrics.json"}
