"""The encoders by name: from the package, from a preset, and without loading what is not used."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from atri_lib import encoders
from atri_lib.__main__ import main
from atri_lib.encoders import presets
from atri_lib.languages import CODES


def test_every_encoder_can_be_imported_from_the_package():
    from atri_lib.encoders import (
        CED,
        E5,
        DualEncoder,
        EfficientNetLite0,
        MultilingualUSE,
        SonarText,
        YAMNet,
    )

    found = {
        entry.__name__: entry
        for entry in (CED, E5, DualEncoder, EfficientNetLite0, MultilingualUSE, SonarText, YAMNet)
    }
    assert sorted(found) == sorted(encoders.__all__)
    assert all(getattr(encoders, name) is entry for name, entry in found.items())


def test_a_name_that_is_none_is_an_attribute_error_and_submodules_are_found():
    with pytest.raises(AttributeError, match="no attribute 'Yamnet'"):
        encoders.Yamnet  # noqa: B018
    from atri_lib.encoders import yamnet

    assert yamnet.YAMNet is encoders.YAMNet


def test_the_package_and_one_encoder_load_no_more_than_they_need():
    loaded = "[name in sys.modules for name in ('torch', 'transformers', 'sentencepiece')]"
    code = (
        f"import sys, atri_lib.encoders; print({loaded}); "
        f"from atri_lib.encoders import YAMNet; print({loaded})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[False, False, False]", "[True, False, False]"]


@pytest.mark.parametrize(
    "side, names", [("clips", presets.CLIP_ENCODERS), ("text", presets.TEXT_ENCODERS)]
)
def test_a_preset_calls_the_encoder_of_that_name_with_the_checkpoint_given(
    monkeypatch, side, names
):
    class Fake:
        def __init__(self, name):
            self.name = name

        def pretrained(self, *arguments):
            return self.name, arguments

    for name in encoders.__all__:
        monkeypatch.setattr(encoders, name, Fake(name), raising=False)
    position = ("clips", "text").index(side)
    found = {name: presets.build_encoders("mini", **{side: name})[position] for name in names}
    if side == "clips":
        sizes = ("tiny", "mini", "small", "base")
        small = {"yamnet": ("YAMNet", ()), "efficientnet-lite0": ("EfficientNetLite0", ())}
        assert found == small | {f"ced-{size}": ("CED", (size,)) for size in sizes}
    else:
        assert found == {
            "use": ("MultilingualUSE", ()),
            "e5": ("E5", ()),
            "sonar": ("SonarText", ()),
        }
    assert presets.build_encoders("paper", "ced-mini=here", "sonar=a/b") == (
        ("CED", ("mini", "here")), ("SonarText", ("a/b",)),
    )  # fmt: skip


OWN = """
import torch

class Ear(torch.nn.Module):
    name, dim, fingerprint = "ear", 2, "ear-1"

    def __init__(self, scale="1"):
        super().__init__()
        self.scale = float(scale)

    def forward(self, waveform):
        patches = waveform[:, :4000].unflatten(1, (4, 1000))
        return self.scale * torch.stack([patches.std(-1), patches.abs().amax(-1)], -1)


class Reader(torch.nn.Module):
    name, dim, fingerprint = "reader", 3, "reader-1"

    def embed(self, sentences, language="eng"):
        rows = [[len(s), s.count("e"), len(set(s))] for s in sentences]
        return torch.tensor(rows).float()


class NoWidth(Reader):
    dim = None
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder that Python finds modules in, with a module of encoders, and a small manifest beside
    it.
    """
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "outside_encoders.py").write_text(OWN)
    (tmp_path / "data").mkdir()
    lines = []
    for split, count in {"train": 6, "val": 3, "test": 4}.items():
        for i in range(count):
            tone = 0.1 * np.sin(0.05 * (len(lines) + 1) * np.arange(4000))
            soundfile.write(tmp_path / "data" / f"{split}{i}.wav", tone, 16000)
            captions = {code: f"{code} {split} {'very ' * i}high" for code in CODES}
            lines.append(
                json.dumps({"audio": f"{split}{i}.wav", "split": split, "captions": captions})
            )
    (tmp_path / "data" / "manifest.jsonl").write_text("\n".join(lines))
    yield tmp_path
    sys.modules.pop("outside_encoders", None)


def test_encoders_from_outside_are_trained_with_kept_in_the_run_and_found_again(outside, capsys):
    data = str(outside / "data")
    small = ["--epochs", "2", "--batch-size", "3", "--width", "4", "--hidden", "4", "--parts", "2"]
    own = [
        "--clip-encoder",
        "outside_encoders:Ear=2.5",
        "--text-encoder",
        "outside_encoders:Reader",
    ]
    assert (
        main(["train", "--data", data, "--folder", str(outside / "runs"), "--json", *small, *own])
        == 0
    )
    run = json.loads(capsys.readouterr().out)["run"]
    config = json.loads(pathlib.Path(run, "config.json").read_text())
    assert [config[f"{side}_encoder"] for side in ("clip", "text")] == own[1::2]
    assert main(["evaluate", run, "--data", data, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["languages"]) >= set(CODES)
    assert main(["search", "--run", run, "--folder", data, "high", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 5
    (outside / "outside_encoders.py").unlink()
    sys.modules.pop("outside_encoders")
    assert main(["search", "--run", run, "--folder", data, "high"]) == 1
    assert "outside_encoders cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("side", "given", "message"),
    [
        ("text", "outside_encoders:NoWidth", "it has no dim .int."),
        ("text", "outside_encoders:Ear", "it has no embed .callable."),
        ("clips", "outside_encoders:Ear=loud", "could not convert string to float: 'loud'"),
        (
            "clips",
            "outside_encoders:Nose",
            "Nose of outside_encoders is no subclass of torch.nn.Module",
        ),
        ("clips", "outside_encoders.more:Ear", "outside_encoders.more cannot be imported"),
        ("clips", "outside_encoders:Ear:Ear", "Ear:Ear of outside_encoders is no subclass"),
    ],
)
def test_an_encoder_from_outside_that_lacks_something_is_told_what(outside, side, given, message):
    with pytest.raises(ValueError, match=message):
        own = {"clips": "outside_encoders:Ear", "text": "outside_encoders:Reader"}
        presets.build_encoders("mini", **own | {side: given})


def write_clap(folder):
    """A CLAP checkpoint of a few thousand random weights, as transformers writes one."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

    pieces = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces.train_from_iterator(
        ["a dog barks", "rain falls"] * 3, vocab_size=300, special_tokens=special
    )
    pieces.save_model(str(folder))
    tokenizer = RobertaTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    audio = {
        "hidden_size": 8,
        "patch_embeds_hidden_size": 4,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
    }
    audio |= {"patch_stride": [4, 4], "num_classes": 3}
    torch.manual_seed(0)
    config = ClapConfig(
        text_config=text | {"intermediate_size": 32}, audio_config=audio, projection_dim=8
    )
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)


def test_the_example_wraps_a_clap_model_of_transformers(tmp_path, monkeypatch):
    write_clap(tmp_path)
    monkeypatch.syspath_prepend(pathlib.Path(__file__).resolve().parents[2] / "examples")
    names = [f"clap_encoder:{side}={tmp_path}" for side in ("ClapAudio", "ClapText")]
    audio, text = (encoder.eval() for encoder in presets.build_encoders("mini", *names))
    sounds = torch.from_numpy(
        np.random.default_rng(0).normal(size=(2, 11 * 16000)).astype(np.float32)
    )
    with torch.no_grad():
        patches = audio(sounds)
        alone = audio(sounds[:1])
    assert (
        patches.shape == (2, 2, audio.dim) and audio.dim == text.dim == 8
    )  # a patch for each begun 10 s
    torch.testing.assert_close(alone, patches[:1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(2, 2))
    sentences = ["a dog barks", "rain"]
    vectors = text.embed(sentences, language="eng")
    torch.testing.assert_close(
        vectors[1:], text.embed(sentences[1:], language="eng"), rtol=1e-4, atol=1e-5
    )
    assert vectors.shape == (2, 8) and not torch.allclose(vectors[0], vectors[1], atol=1e-4)
    with pytest.raises(ValueError, match="sentence 0 has .* tokens, at most 512"):
        text.tokenize(["bark " * 390])
