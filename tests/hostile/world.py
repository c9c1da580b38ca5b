"""The small world of the cases: a dataset of tones, runs trained on it with encoders of a few
lines, sounds, captions and an index.
"""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import soundfile
import torch
import transformers
from hostile.machine import interrupted

from atri_lib.commands import doctor
from atri_lib.data import recorded, translation
from atri_lib.encoders import EfficientNetLite0, presets
from atri_lib.languages import CODES
from atri_lib.search import Searcher, index_folder
from atri_lib.training import TrainConfig, load_data, load_or_train

# Loaded once, not in each child.
PRELOADED = (transformers.AutoModelForSeq2SeqLM, translation, doctor, recorded)


class Ear(torch.nn.Module):
    """Patches of 1,000 samples: their mean, deviation and rate of sign changes."""

    dim, name = 3, "toy ear"

    def forward(self, clips):
        patches = clips[:, : clips.shape[1] // 1000 * 1000].reshape(len(clips), -1, 1000)
        changes = (patches[..., 1:] * patches[..., :-1] < 0).float().mean(-1)
        return torch.stack([patches.mean(-1), patches.std(-1), changes], -1)


class Eye(Ear):
    """The mean colour of the left and of the right half of a picture."""

    name, probes = "toy eye", staticmethod(EfficientNetLite0.probes)

    def forward(self, clips):
        return torch.stack([half.float().mean((1, 2)) for half in clips.chunk(2, dim=2)], 1)


class Reader(Ear):
    """The length of a sentence, and its language."""

    dim, name = 2, "toy reader"

    def embed(self, sentences, language="eng"):
        rows = [[len(sentence), CODES.index(language)] for sentence in sentences]
        return torch.tensor(rows).float()

    def unknown_pieces(self, sentences, language="eng"):
        return [[] for _ in sentences]


def write_tones(folder: pathlib.Path) -> None:
    lines = []
    folder.mkdir()
    for split, count in {"train": 8, "val": 4, "test": 4}.items():
        for i in range(count):
            tone = 0.3 * np.sin((0.05 + 0.01 * len(split)) * (i + 1) * np.arange(4000))
            soundfile.write(folder / f"{split}{i}.wav", tone, 16000)
            captions = {code: f"{code} {split} tone {'very ' * i}high" for code in CODES}
            lines.append({"audio": f"{split}{i}.wav", "split": split, "captions": captions})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))


def make_world(folder: pathlib.Path, patch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder with everything in it, which becomes the current one."""
    surroundings(folder, patch)
    write_tones(folder / "scenes")
    run = train_runs()
    write_sounds(folder / "sounds")
    index, _ = index_folder(Searcher(run), "sounds")
    index.save("index")
    (folder / "captions.txt").write_text("A dog barks.\nRain.\n")
    (folder / "latin1.txt").write_bytes("Küche\n".encode("latin-1"))
    (folder / "empty.txt").write_text(" \n")
    os.mkfifo(folder / "pipe")
    return folder


def surroundings(folder: pathlib.Path, patch: pytest.MonkeyPatch) -> None:
    """Encoders named toy and eye, a cache of its own, no network."""
    published = presets._builder

    def builder(given, known):
        if given == "eye":
            return Eye
        if given != "toy":
            return published(given, known)
        if known is presets.CLIP_ENCODERS:
            return Ear
        return Reader

    patch.setattr(presets, "_builder", builder)
    patch.setenv("ATRI_CACHE", str(folder / "cache"))
    patch.setenv("ATRI_PROGRESS", "0")
    for name in ("ATRI_HUB", "RANK"):
        patch.delenv(name, raising=False)
    patch.setenv("HF_HUB_CACHE", "hub")
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    patch.chdir(folder)


def train_runs():
    """`run` and `other` link to finished runs of two seeds, `begun` to an interrupted one."""
    config = TrainConfig(
        clip_encoder="toy",
        text_encoder="toy",
        data="scenes",
        epochs=2,
        batch_size=4,
        width=4,
        hidden=4,
    )  # as hostile.case.SMALL
    data = load_data(config)
    run = load_or_train(config, data, folder="runs")
    with pytest.MonkeyPatch.context() as stop, pytest.raises(KeyboardInterrupt):
        stop.setattr("atri_lib.training.runs.score", interrupted)
        load_or_train(config.replace(seed=1, checkpoint_every=1), data, folder="runs")
    other = load_or_train(config.replace(seed=2), data, folder="runs")
    (checkpoint,) = pathlib.Path("runs").glob("*/checkpoint.safetensors")
    os.symlink(run.path, "run")
    os.symlink(other.path, "other")
    os.symlink(checkpoint.parent, "begun")
    return run


def write_sounds(folder: pathlib.Path) -> None:
    folder.mkdir()
    for i, name in enumerate(("a.wav", "雨.wav", "esc\x1b[31m.wav")):
        shutil.copy(f"scenes/test{i}.wav", folder / name)
    (folder / "._a.wav").write_bytes(b"macOS")
