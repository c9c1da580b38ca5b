"""A scheme, encoders and a data set of one's own, from a module outside the library."""

import json
import pathlib
import sys

import numpy as np
import pytest

from atri_lib.__main__ import main
from atri_lib.data.manifest import ManifestError
from atri_lib.schemes import SCHEMES
from atri_lib.training import TrainConfig, load_datasets

MODULE = '''
import numpy as np
import torch
from pydantic import PositiveInt

from atri_lib.data.dataset import Dataset
from atri_lib.languages import CODES
from atri_lib.schemes import Pool, Scheme


class Turns(Scheme):
    """Every clip meets the languages in their order, each for `stay` epochs."""

    name = "turns"
    stay: PositiveInt = 2

    @staticmethod
    def pools(k, m):
        return (Pool(k, 1, 1),)

    def languages(self, epoch):
        return np.full((self.clips, 1), epoch // self.stay % self.k)


class Pairs(Turns):
    name = "pairs"

    @staticmethod
    def pools(k, m):
        return (Pool(k, 2, 1 / 2),)


class Aimless(Scheme):
    name = "aimless"


class Tones(Dataset):
    """Sine tones of 0.25 s; tone number i has 220 + 40 i hertz."""

    origin = "tones"

    def __init__(self, split):
        self.numbers = {"train": range(8), "val": range(8, 12), "test": range(12, 16)}[split]
        self.checksum = f"tones {list(self.numbers)}"
        self.ids = tuple(f"tone {number}" for number in self.numbers)
        said = [{code: (f"{code} {number}",) for code in CODES} for number in self.numbers]
        self.captions = tuple(said)

    def clip(self, index):
        time = np.arange(4000) / 16_000
        hertz = 220 + 40 * self.numbers[index]
        return (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


class Former(Dataset):
    def waveform(self, index):
        return np.zeros(4000, np.float32)


class Ear(torch.nn.Module):
    name, dim, fingerprint = "ear", 2, "ear-1"

    def forward(self, waveform):
        patches = waveform[:, :4000].unflatten(1, (4, 1000))
        return torch.stack([patches.diff(dim=-1).std(-1), patches.abs().amax(-1)], -1)


class Reader(torch.nn.Module):
    name, dim, fingerprint = "reader", 3, "reader-1"

    def embed(self, sentences, language="eng"):
        return torch.tensor([[len(s), s.count("1"), s.count("e")] for s in sentences]).float()
'''
SMALL = ["--epochs", "2", "--batch-size", "4", "--width", "4", "--hidden", "4", "--parts", "2"]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder that Python finds modules in, and a cache of its own."""
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("raise ValueError('two\\nlines')")
    yield tmp_path
    sys.modules.pop("mine", None)


def test_a_run_with_everything_from_outside_is_trained_evaluated_and_searched(outside, capsys):
    own = ["--clip-encoder", "mine:Ear", "--text-encoder", "mine:Reader", "--data", "mine:Tones"]
    scheme = ["--scheme", "mine:Turns", "--scheme-settings", "stay=3"]
    runs = outside / "runs"
    command = ["train", *own, *scheme, *SMALL, "--folder", str(runs)]
    main(command)
    (run,) = runs.glob("turns-0-*")
    text = (run / "config.json").read_text()
    kept = json.loads(text)
    assert kept["scheme"] == "mine:Turns"
    assert kept["scheme_settings"] == {"stay": 3}
    assert kept["data"] == "mine:Tones"
    capsys.readouterr()
    main(["evaluate", str(run), "--json"])
    shown = capsys.readouterr()
    assert "T2A R@1" in shown.out
    main(command)
    found_again = list(runs.glob("turns-0-*"))
    assert found_again == [run]


def test_a_scheme_from_outside_has_its_settings_in_the_config_and_the_key(outside):
    config = TrainConfig(scheme="mine:Turns", scheme_settings={"stay": 3})
    scheme = config.build_scheme(clips=2)
    drawn = [scheme.languages(epoch)[0, 0] for epoch in range(7)]
    assert drawn == [0, 0, 0, 1, 1, 1, 2]
    written = json.dumps(config.as_dict())
    read = json.loads(written)
    assert TrainConfig.from_dict(read) == config


def test_a_folder_that_is_there_is_no_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("my:tones").mkdir()
    with pytest.raises(ManifestError, match="my:tones"):
        load_datasets(TrainConfig(data="my:tones"))


def test_a_scheme_from_outside_is_found_by_its_name(outside):
    kind = SCHEMES["mine:Turns"]
    scheme = kind(clips=2, languages=8)
    expected = np.zeros((2, 8))
    expected[:, 0] = 0.5
    assert (scheme.distribution(0) == expected).all()


@pytest.mark.parametrize(
    "scheme, settings, message",
    [
        ("mine:Turns", {"hop": 3}, "turns has no setting hop"),
        ("mine:Turns", {"stay": 0}, "turns: stay=0: Input should be greater"),
        ("mine:Ear", {}, "Ear of mine is no subclass of atri_lib.schemes.Scheme"),
        ("nowhere:Turns", {}, "scheme 'nowhere:Turns': nowhere cannot be imported"),
        ("kcl", {"stay": 3}, "kcl has no setting stay"),
        ("mine:Pairs", {}, "m=2, got m=1: .*of your own with a field m: PositiveInt = 2"),
        ("mine:Aimless", {}, "with all its methods, languages is missing, pools is missing;"),
        ("broken:Turns", {}, r"broken cannot be imported \(ValueError: two lines\)"),
    ],
)
def test_a_scheme_that_cannot_be_is_refused_in_one_line(outside, scheme, settings, message):
    with pytest.raises(ValueError, match=message) as raised:
        TrainConfig(scheme=scheme, scheme_settings=settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "data, message",
    [
        ("mine:Ear", "Ear of mine is no subclass of atri_lib.data.dataset.Dataset"),
        ("mine:Former", "Former of mine is no subclass of .*Dataset .*methods, clip is missing;"),
        ("nowhere:Tones", "data 'nowhere:Tones': nowhere cannot be imported"),
    ],
)
def test_data_that_cannot_be_is_refused_in_one_line(outside, data, message):
    config = TrainConfig(data=data)
    with pytest.raises(ValueError, match=message):
        load_datasets(config)
