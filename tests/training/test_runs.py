"""Runs: the same key gives the same run; a kill loses nothing; wrong input says what to do."""

import dataclasses
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

from atri_lib import storage
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


def fit(config: TrainConfig, data: TrainingData, folder: pathlib.Path) -> Run:
    return load_or_train(config, data, folder=folder, again=True)


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
    a, b = (fit(TrainConfig(**SMALL), toy(), folder=tmp_path / name) for name in "ab")
    c = fit(TrainConfig(seed=1, **SMALL), toy(), folder=tmp_path)
    assert all(torch.equal(value, weights(b)[name]) for name, value in weights(a).items())
    assert not all(torch.equal(value, weights(c)[name]) for name, value in weights(a).items())


def test_several_captions_a_clip_give_one_rank_for_each(toy, tmp_path):
    run = fit(TrainConfig(**SMALL), toy(captions_per_clip=5), folder=tmp_path)
    assert run.scores.t2a.shape == (150, 8) and run.scores.a2t.shape == (30, 8)


def test_stored_ranks_are_those_of_the_model(toy, tmp_path):
    data = toy(captions_per_clip=2)
    run = fit(TrainConfig(**SMALL), data, folder=tmp_path)
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
        with pytest.raises(TrainingDiverged, match="epoch 3, step .* last good checkpoint"):
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
        ({"scheme": "magic"}, "unknown scheme 'magic'.*kcl"),
        ({"batch_size": 1}, "batch_size=1: it should be greater than or equal to 2"),
        ({"languages": ("eng", "xxx")}, "languages=.*it should be 'eng', 'fra'"),
        ({"languages": ("fra", "eng")}, "English"),
        ({"temperature": 0}, "temperature"),
        ({"epochs": 0}, "epochs"),
        ({"unfreeze": {"video": 1}}, "video"),
        ({"precision": "fp8"}, "precision"),
        ({"temperature": math.inf}, "temperature=inf: it should be a finite number"),
        ({"seed": 2**45}, "seed=35184372088832: it should be less than 4294967296"),
        ({"unfreeze": ["audio"]}, "unfreeze.*valid dictionary"),
        ({"scenes": (1, 2)}, "scenes"),
    ],
)
def test_wrong_settings_name_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**change)


def test_the_largest_seed_trains(toy, tmp_path):
    assert (
        fit(TrainConfig(seed=2**32 - 1, **SMALL), toy(), folder=tmp_path).metrics["seed"]
        == 2**32 - 1
    )


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "ranks.safetensors", "history.csv", "retrieval.csv"]
)
def test_a_flipped_bit_is_noticed_and_the_run_trained_anew(name, toy, tmp_path):
    run = fit(TrainConfig(**SMALL), toy(), folder=tmp_path)
    content = bytearray((run.path / name).read_bytes())
    content[-3] ^= 1
    (run.path / name).write_bytes(content)
    with pytest.raises(
        RunError, match=f"{name} is not what was written: its SHA-256 differs.*load_or_train"
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
    run = fit(config, data, folder=tmp_path)
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
        fit(TrainConfig(**SMALL | {"learning_rate": 1e30}), toy(), folder=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_finished_run_is_loaded_where_nothing_can_be_written(toy, tmp_path, monkeypatch):
    run = fit(TrainConfig(**SMALL), toy(), folder=tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name in ("mkdir", "write_text"):
        monkeypatch.setattr(pathlib.Path, name, None)
    monkeypatch.setattr("atri_lib.storage.FileLock", None)
    assert load_or_train(TrainConfig(**SMALL), toy(), folder=tmp_path).path == run.path
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_of_another_architecture_lists_the_keys(toy, tmp_path):
    run = fit(TrainConfig(**SMALL), toy(), folder=tmp_path)
    config = TrainConfig(init=str(run.path), **SMALL | {"width": 12})
    with pytest.raises(
        ValueError,
        match=r"another architecture, .*missing: .*audio_projection.4.weight",
    ):
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
    config = TrainConfig.for_profile("smoke", scheme="m_of_k", m=2, unfreeze={"clips": 1})
    assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    for unknown in ("depth", "self"):
        with pytest.raises(ValueError, match=f"{unknown}=3: .*not permitted .no such setting"):
            TrainConfig.from_dict({unknown: 3})
    with pytest.raises(ValueError, match="radius: it should be"):
        TrainConfig(scheme="hold", scheme_settings={"hold": 2, "radius": "x"})


def test_files_of_other_settings_below_a_run_s_name_are_not_taken_for_it(toy, tmp_path):
    config = TrainConfig(**SMALL)
    run = fit(config, toy(), folder=tmp_path)
    storage.write_json(run.path / "config.json", config.replace(seed=7).as_dict())
    metrics = storage.read_sealed(run.path / "metrics.json")
    metrics["sha256"]["config.json"] = storage.sha256_file(run.path / "config.json")
    storage.write_sealed(run.path / "metrics.json", metrics)
    assert Run.load(run.path).config.seed == 7
    again = load_or_train(config, toy(), folder=tmp_path)
    assert not again.loaded and again.config == config


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
    run = fit(here.replace(data="x.jsonl"), toy(), folder=tmp_path)
    assert Run.load(run.path).config.data == os.path.abspath("x.jsonl")


ONE_CHECKPOINT = TrainConfig(**SMALL | {"epochs": 2})
MOVES = (
    4  # of files and folders: config.json, metrics.json, the old run away, the new one in its place
)


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
@pytest.mark.parametrize("reader", ["load", "load_or_train"])
def test_a_run_trained_again_survives_a_kill_before_every_move(moves, reader, toy, tmp_path):
    data = toy()
    first = fit(ONE_CHECKPOINT, data, folder=tmp_path)
    code = killed_at_move(moves, lambda: fit(ONE_CHECKPOINT, data, folder=tmp_path), first, data)
    assert code == (0 if moves == MOVES else -signal.SIGKILL)
    if reader == "load":
        found = Run.load(first.path)
    else:
        found = load_or_train(ONE_CHECKPOINT, toy(), folder=tmp_path)
    assert found.loaded
    assert (found.metrics == first.metrics) == (moves < MOVES - 1)
    assert found.metrics["test"] == first.metrics["test"]
    storage.settle(first.path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {first.path.name, f".{first.path.name}.atri-lock"}


@pytest.mark.parametrize(
    "writer",
    [
        "atri_lib.training.checkpoints.save_file",
        "atri_lib.training.run_folder.save_file",
        "pathlib.Path.write_text",
        "atri_lib.storage.write_json",
        "atri_lib.storage.write_sealed",
        "tempfile.mkdtemp",
    ],
)
def test_a_run_trained_again_survives_a_full_disk_at_every_write(
    writer, toy, tmp_path, monkeypatch
):
    first = fit(ONE_CHECKPOINT, toy(), folder=tmp_path)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer, full)
        with pytest.raises(OSError, match=f"{first.path}.*: cannot be written .*free some space"):
            fit(ONE_CHECKPOINT, toy(), folder=tmp_path)
    assert Run.load(first.path).metrics == first.metrics
    assert not list(tmp_path.rglob("*.atri-partial"))


def test_a_full_disk_says_that_a_finished_run_is_untouched(toy, tmp_path, monkeypatch):
    run = fit(ONE_CHECKPOINT, toy(), folder=tmp_path)
    monkeypatch.setattr("atri_lib.training.run_folder.save_file", out_of_room)
    with pytest.raises(
        OSError,
        match=f"^{run.path}: cannot be written .No space left on device., what was there is .*free",
    ):
        fit(ONE_CHECKPOINT, toy(), folder=tmp_path)


def out_of_room(*arguments):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["metrics.json", "config.json"])
def test_every_byte_of_settings_and_metrics_is_noticed(name, toy, tmp_path):
    run = fit(ONE_CHECKPOINT, toy(), folder=tmp_path)
    content = (run.path / name).read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (run.path / name).write_bytes(changed)
        with pytest.raises(RunError, match=f"not a complete run .*{name}"):
            Run.load(run.path)
    (run.path / name).write_bytes(content)
    assert Run.load(run.path).config == ONE_CHECKPOINT


def test_another_run_under_this_name_is_not_taken_for_it(toy, tmp_path):
    config, other = ONE_CHECKPOINT, ONE_CHECKPOINT.replace(seed=9)
    here = fit(config, toy(), folder=tmp_path).path
    shutil.rmtree(here)
    shutil.copytree(fit(other, toy(), folder=tmp_path).path, here)
    assert Run.load(here).config.seed == 9  # a copy is a run, wherever it lies
    run = load_or_train(config, toy(), folder=tmp_path)
    assert not run.loaded and run.config.seed == run.metrics["seed"] == 0
    assert load_or_train(other, toy(), folder=tmp_path).loaded


def test_a_run_behind_a_link_is_loaded_and_nothing_is_written_through_one(toy, tmp_path):
    config = ONE_CHECKPOINT
    runs = tmp_path / "runs"
    path = fit(config, toy(), folder=runs).path
    far = tmp_path / "far"
    shutil.move(path, far)
    path.symlink_to(far)
    assert load_or_train(config, toy(), folder=runs).loaded
    linked = runs / run_name(config.replace(seed=9), toy())
    linked.symlink_to(far)
    before = {file: file.read_bytes() for file in far.iterdir()}
    for again in (config, config.replace(seed=9)):
        with pytest.raises(RunError, match="a link, and .*; remove the link"):
            fit(again, toy(), folder=runs)
    assert {file: file.read_bytes() for file in far.iterdir()} == before


def test_what_somebody_has_put_into_a_run_stays_when_it_is_trained_again(toy, tmp_path):
    run = fit(ONE_CHECKPOINT, toy(), folder=tmp_path)
    (run.path / "notes.txt").write_text("mine")
    (run.path / "plots").mkdir()
    (run.path / "plots" / "loss.png").write_bytes(b"plot")
    (run.path / "plots" / "config.json").write_text("mine")
    (run.path / "latest").symlink_to("plots")
    fit(ONE_CHECKPOINT, toy(), folder=tmp_path)
    assert (run.path / "notes.txt").read_text() == "mine"
    assert (run.path / "latest").is_symlink()
    assert (run.path / "latest" / "loss.png").read_bytes() == b"plot"
    assert (run.path / "plots" / "config.json").read_text() == "mine"


def test_a_run_that_is_replaced_while_it_is_read_is_read_again(toy, tmp_path, monkeypatch):
    run = fit(ONE_CHECKPOINT, toy(), folder=tmp_path)
    read, waiting = storage.read_sealed, [1]

    def replaced(path):
        metrics = read(path)
        if waiting:
            waiting.clear()
            fit(ONE_CHECKPOINT, toy(), folder=tmp_path)
        return metrics

    monkeypatch.setattr(storage, "read_sealed", replaced)
    assert Run.load(run.path).metrics["wall_seconds"] != run.metrics["wall_seconds"]


def test_two_programs_that_train_the_same_run_again_both_succeed(toy, tmp_path):
    data = toy()
    run = fit(ONE_CHECKPOINT, data, folder=tmp_path)

    def both() -> None:
        other = os.fork()
        fit(ONE_CHECKPOINT, data, folder=tmp_path)
        if not other:
            os._exit(0)
        assert os.waitpid(other, 0)[1] == 0

    assert in_child(both, run, data) == 0
    assert Run.load(run.path).metrics["test"] == run.metrics["test"]
    assert {path.name for path in run.path.iterdir()} == {*FILES, "metrics.json"}


def test_a_run_of_another_name_in_the_folder_is_not_resumed(toy, tmp_path, monkeypatch):
    config = TrainConfig(**SMALL)
    other = fit(config.replace(seed=1), toy(), folder=tmp_path)
    path = tmp_path / run_name(config, toy())
    other.path.rename(path)
    monkeypatch.setattr(runs, "write_run", None)  # as if it were killed before its end
    with pytest.raises(TypeError):
        load_or_train(config, toy(), folder=tmp_path)
    begun = TrainConfig.from_dict(json.loads((path / "config.json").read_text()))
    assert begun.seed == 0


def test_a_pipe_in_a_runs_folder_is_left_out(toy, tmp_path):
    run = fit(TrainConfig(**SMALL), toy(), folder=tmp_path)
    os.mkfifo(run.path / "pipe")
    (run.path / "notes.txt").write_text("mine")
    again = fit(TrainConfig(**SMALL), toy(), folder=tmp_path)
    assert (again.path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["data", "init"])
def test_a_path_may_be_given_as_one(name):
    config = TrainConfig(**{name: pathlib.Path("a", "b")})
    assert getattr(config, name) == os.path.join("a", "b")
