"""The paper's setting in its published formats, on tiny checkpoints: the command line, processes,
bf16, kills.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from atri_lib.encoders.ced import CED
from atri_lib.encoders.dual import DualEncoder
from atri_lib.encoders.presets import build_encoders
from atri_lib.encoders.sonar import SonarText
from atri_lib.languages import CODES
from atri_lib.schemes import SCHEMES
from atri_lib.training import Run, TrainConfig, build_model, load_data, load_or_train
from atri_lib.training.step import backward
from studies.random_checkpoints import write_ced, write_sonar
from studies.two_stages import two_stages

SPLITS = {"train": 12, "val": 4, "test": 4}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> pathlib.Path:
    """ced/ and sonar/ as published, and corpus/: tones with captions that say how high they are."""
    folder = tmp_path_factory.mktemp("published")
    write_ced(folder / "ced")
    write_sonar(folder / "sonar", dropout=0.0, attention_dropout=0.0, activation_dropout=0.0)
    (folder / "corpus").mkdir()
    lines = []
    for split, count in SPLITS.items():
        for i in range(count):
            name = f"{split}{i}.wav"
            time = np.arange(4000) + len(split)  # no clip is in two splits
            soundfile.write(folder / "corpus" / name, 0.3 * np.sin(0.05 * (i + 1) * time), 16000)
            captions = {code: f"{code} tone {'very ' * i}high" for code in CODES}
            lines.append(json.dumps({"audio": name, "split": split, "captions": captions}))
    (folder / "corpus" / "manifest.jsonl").write_text("\n".join(lines))
    return folder


def settings(published: pathlib.Path, **changes) -> dict:
    values = {
        "clip_encoder": f"ced-tiny={published / 'ced'}",
        "text_encoder": f"sonar={published / 'sonar'}",
        "data": str(published / "corpus"),
        "unfreeze": {"clips": "all", "text": "all"},
        "epochs": 1,
        "batch_size": 6,
        "learning_rate": 1e-3,
        "width": 8,
        "hidden": 16,
        "parts": 1,
        "dropout": 0.0,
        "checkpoint_every": 1,
    }
    return values | changes


def command(published: pathlib.Path, folder: pathlib.Path, **changes) -> list[str]:
    """`-m atri_lib train` with these settings as options."""
    values = settings(published, **changes)
    options = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in values.items()
        if name != "unfreeze"
    ]
    return [
        "-m",
        "atri_lib",
        "train",
        *options,
        "--unfreeze",
        "clips=all",
        "text=all",
        f"--folder={folder}",
        "--json",
    ]


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "weights.safetensors")


def test_a_checkpoint_elsewhere_is_named_after_the_encoder(published):
    audio, text = build_encoders(
        "paper", f"ced-tiny={published / 'ced'}", f"sonar={published / 'sonar'}"
    )
    assert (audio.dim, text.dim) == (192, 32)
    for wrong in ("ced-tiny=", "yamnet=elsewhere"):
        with pytest.raises(ValueError, match="only ced-SIZE=PATH"):
            build_encoders("mini", wrong)
    with pytest.raises(ValueError, match="unknown encoder 'ced-huge'"):
        build_encoders("paper", "ced-huge=here")


def test_both_stages_run_on_open_towers_and_chunks_change_nothing(published, tmp_path):
    data = load_data(TrainConfig(**settings(published)))
    first = load_or_train(
        TrainConfig(scheme="ml_clap", **settings(published)), data, folder=tmp_path
    )
    second = settings(published, init=str(first.path))
    runs = [
        load_or_train(TrainConfig(text_chunk=n, **second), data, folder=tmp_path) for n in (0, 6, 4)
    ]
    assert runs[0].history["loss"].iloc[0] < np.log(6) * 1.5
    for run in runs[1:]:
        assert run.history["loss"].iloc[0] == pytest.approx(
            runs[0].history["loss"].iloc[0], rel=1e-4
        )
    start, end = weights(first), weights(runs[0])
    assert any(name.startswith("audio_tower.blocks.0") for name in end)
    moved = "text_tower.encoder.layers.0.fc1.weight"
    assert not torch.equal(start[moved], end[moved])


def test_runs_from_the_same_data_do_not_train_each_others_towers(published, tmp_path):
    data = load_data(TrainConfig(**settings(published)))
    before = data.clip_encoder.fingerprint, data.text_encoder.fingerprint
    shared = [
        load_or_train(TrainConfig(seed=seed, **settings(published)), data, folder=tmp_path)
        for seed in (0, 1)
    ]
    assert (data.clip_encoder.fingerprint, data.text_encoder.fingerprint) == before
    alone = load_or_train(TrainConfig(seed=1, **settings(published)), folder=tmp_path / "alone")
    assert all(
        torch.equal(value, weights(alone)[name]) for name, value in weights(shared[1]).items()
    )
    first, second = (run.model(data) for run in shared)
    assert not torch.equal(first.audio_tower.norm.weight, second.audio_tower.norm.weight)


def test_bf16_trains_near_the_full_precision_loss(published, tmp_path):
    data = load_data(TrainConfig(**settings(published)))
    runs = {
        (precision, chunk): load_or_train(
            TrainConfig(precision=precision, text_chunk=chunk, **settings(published)),
            data,
            folder=tmp_path,
        )
        for precision, chunk in (("fp32", 0), ("bf16", 0), ("bf16", 4))
    }
    losses = {key: run.history["loss"].iloc[0] for key, run in runs.items()}
    assert losses["bf16", 0] == pytest.approx(losses["fp32", 0], rel=0.05)
    assert losses["bf16", 4] == pytest.approx(losses["bf16", 0], rel=0.02)
    assert losses["bf16", 0] != losses["fp32", 0]
    assert all(
        value.dtype == torch.float32
        for value in weights(runs["bf16", 0]).values()
        if value.is_floating_point()
    )


def test_bf16_chunks_give_the_gradients_of_the_whole(published):
    config = TrainConfig(**settings(published))
    data, gradients = load_data(config), []
    source = data.splits["train"]
    rows = torch.arange(6)
    for chunk in (0, 4):
        model, scheme = build_model(config, data), config.build_scheme(len(source))
        texts = [source.captions(rows, torch.full_like(rows, k)) for k in range(len(CODES))]
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=not chunk):
            backward(model, scheme, source.clips(rows), texts, chunk)
        gradients.append(
            dict(model.named_parameters())["text_tower.encoder.layers.0.fc1.weight"].grad.flatten()
        )
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_a_clip_is_embedded_alike_whatever_lies_beside_it(published):
    config = TrainConfig(**settings(published))
    model = build_model(config, load_data(config)).eval()
    generator = torch.Generator().manual_seed(0)
    clips = [torch.randn(length, generator=generator) for length in (16_000, 4_000, 9_000, 4_000)]
    with torch.no_grad():
        together = model.encode_clips(clips)
        alone = torch.cat([model.encode_clips(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_two_stages_start_every_scheme_from_the_same_weights(published, tmp_path):
    runs = two_stages(TrainConfig(**settings(published)), ("cacl", "kcl"), folder=tmp_path)
    (start,) = {run.config.init for run in runs.values()}
    assert Run.load(start).config.scheme == "ml_clap"
    assert {scheme: run.config.scheme for scheme, run in runs.items()} == {
        "cacl": "cacl",
        "kcl": "kcl",
    }


@pytest.mark.slow
def test_a_killed_command_taken_up_again_ends_with_the_same_weights(published, tmp_path):
    environment = os.environ | {"ATRI_PROGRESS": "0"}
    whole = load_or_train(TrainConfig(**settings(published, epochs=15)), folder=tmp_path / "whole")
    line = [sys.executable, *command(published, tmp_path / "killed", epochs=15)]
    worker = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while (
        not list((tmp_path / "killed").glob("*/checkpoint.safetensors"))
        and time.monotonic() < deadline
    ):
        assert worker.poll() is None, "the command ended before its first checkpoint"
        time.sleep(0.02)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    (folder,) = [path for path in (tmp_path / "killed").iterdir() if path.is_dir()]
    assert (folder / "checkpoint.safetensors").exists() and not (folder / "metrics.json").exists()
    resumed = Run.resume(folder)
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(resumed).items())


@pytest.mark.slow
def test_two_processes_of_accelerate_train_like_one(published, tmp_path):
    # On CPUs `accelerate launch --num_processes 2` starts one process (it leaves the rest to MPI);
    # torchrun starts two.
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    found, environment = {}, os.environ | {"ATRI_PROGRESS": "0", "ACCELERATE_USE_CPU": "true"}
    for name, start in (("one", []), ("two", launch)):
        line = [sys.executable, *start, *command(published, tmp_path / name, text_chunk=2)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)  # one line: one process speaks
    one, two = (Run.load(found[name]["run"]) for name in ("one", "two"))
    assert one.history["loss"].iloc[0] == pytest.approx(two.history["loss"].iloc[0], rel=1e-5)
    for name, value in weights(one).items():
        torch.testing.assert_close(
            weights(two)[name], value, rtol=0, atol=3e-4
        )  # Adam turns rounding into steps


@pytest.mark.slow
def test_one_step_at_full_size_fits_24_gib():
    """CED-Base and SONAR with random weights, everything trained, two clips in eight languages, one
    step of Adam.
    """
    import resource

    torch.manual_seed(0)
    towers = {"audio_tower": CED("base"), "text_tower": SonarText.from_config()}
    model = DualEncoder(
        768,
        1024,
        width=1024,
        hidden=1024,
        parts=1,
        unfreeze={"clips": "all", "text": "all"},
        **towers,
    )
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=5e-6, fused=True)
    shape = (2, 24)
    texts = [
        {"ids": torch.randint(4, 256000, shape), "mask": torch.ones(shape, dtype=torch.bool)}
        for _ in CODES
    ]
    loss = backward(
        model,
        SCHEMES["kcl"](clips=2, languages=8),
        0.1 * torch.randn(2, 160_000),
        texts,
        text_chunk=2,
    )
    assert loss.isfinite() and all(parameter.grad.isfinite().all() for parameter in trained)
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in trained)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 24 * 2**20  # KiB
