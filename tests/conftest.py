"""What the tests share: tiny datasets with features that can be learned, and a cache of their
own.
"""

import functools
import os
import pathlib
import sys

os.environ["ACCELERATE_USE_CPU"] = "true"  # bit for bit, on any machine
if "PYTEST_XDIST_WORKER" in os.environ:
    # The other cores belong to the other workers.
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
sys.path.insert(
    0, str(pathlib.Path(__file__).resolve().parent.parent / "book")
)  # the build's scripts

import numpy as np
import pytest
import torch

from atri_lib.data.debian import package
from atri_lib.data.items import BankUnavailable
from atri_lib.data.manifest import write_manifest
from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.encoders import presets
from atri_lib.languages import CODES
from atri_lib.training import Source, TrainConfig, TrainingData, load_data, sources

# The files that take longest, longest first: begun last, one would keep one core busy alone.
LONGEST = (
    "test_kernels.py",
    "test_hostile.py",
    "test_commands.py",
    "test_install.py",
    "test_runs.py",
    "test_parallel_runs.py",
    "test_recipe.py",
    "test_twin_runs.py",
    "test_mean_square_law.py",
    "test_cost.py",
)


def pytest_collection_modifyitems(items):
    """The longest files first; the others stay in their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def encoders_are_read_once():
    """Those of our own, for all data that the tests of a process load: seconds each. Runs train
    copies of them. What a test puts in their place is made anew.
    """
    ours = {*presets.CLIP_ENCODERS.values(), *presets.TEXT_ENCODERS.values()}
    read_once = {builder: functools.cache(builder) for builder in ours}

    def builders(*names):
        return [read_once.get(builder, builder) for builder in presets.encoder_builders(*names)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "encoder_builders", builders)
        yield


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No progress bars among the test results."""
    monkeypatch.setenv("ATRI_PROGRESS", "0")


@pytest.fixture(scope="session")
def recordings():
    """The folder of the book's recordings, fetched if need be."""
    try:
        return package("stamps").find("*.ogg")
    except BankUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def toy():
    """The functions below, for tests that choose their own sizes."""
    return toy_data


def toy_source(clips: int, seed: int, languages: int = 8, captions_per_clip: int = 1) -> Source:
    """Clips whose features [N, 6, 12] and captions [K, M, 10] are noisy linear views of the same
    latent vectors.
    """
    shared = np.random.default_rng(0)
    to_clips, to_text = shared.normal(size=(5, 72)), shared.normal(size=(languages, 5, 10))
    generator = np.random.default_rng((seed, clips))
    latent = generator.normal(size=(clips, 5))
    owner = np.repeat(np.arange(clips), captions_per_clip)
    features = (latent @ to_clips + 0.1 * generator.normal(size=(clips, 72))).reshape(clips, 6, 12)
    text = latent[owner] @ to_text + 0.1 * generator.normal(size=(languages, len(owner), 10))
    return Source(
        dataset=_Sized(clips),
        clip_features=torch.from_numpy(features).float(),
        text=torch.from_numpy(text).float(),
        languages=CODES[:languages],
        owner=torch.from_numpy(owner),
        text_encoder=None,
        device=torch.device("cpu"),
    )


class _Sized:
    origin = "toy"

    def __init__(self, clips: int) -> None:
        self._clips = clips

    def __len__(self) -> int:
        return self._clips


def toy_data(clips: int = 60, languages: int = 8, captions_per_clip: int = 1) -> TrainingData:
    """Three splits of toy_source with encoders that only have a width."""
    splits = {
        split: toy_source(count, seed, languages, captions_per_clip)
        for seed, (split, count) in enumerate({"train": clips, "val": 20, "test": 30}.items())
    }
    return TrainingData(splits, _Width(12), _Width(10), f"toy-{clips}-{languages}")


class _Width(torch.nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim


@pytest.fixture
def project(tmp_path):
    """A folder that looks like this project to the book's build."""
    (tmp_path / "atri_lib" / "data").mkdir(parents=True)
    (tmp_path / "atri_lib" / "losses.py").write_text('"""Losses."""\n')
    (tmp_path / "atri_lib" / "__init__.py").write_text('"""The library."""\n')
    (tmp_path / "atri_lib" / "data" / "__init__.py").write_text("\n")
    (tmp_path / "atri_lib" / "data" / "names.json").write_text("{}")
    (tmp_path / "requirements.txt").write_text("# pins\nnumpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    """A config for a few synthetic scenes as a manifest, with a cache of its own, and its data."""
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    scenes = make_scenes(synthetic_sounds(), {"train": 24, "val": 6, "test": 8}, seed=0)
    write_manifest(scenes, tmp_path / "scenes")
    config = TrainConfig(
        data=str(tmp_path / "scenes"),
        epochs=2,
        batch_size=12,
        evaluate_every=2,
        checkpoint_every=1,
        width=8,
        hidden=16,
    )
    return config, load_data(config)
