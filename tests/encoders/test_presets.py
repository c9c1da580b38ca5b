"""The encoders by name: from the package, from a preset, and without loading what is not used."""

import subprocess
import sys

import pytest

from atri_lib import encoders
from atri_lib.encoders import presets


def test_every_encoder_can_be_imported_from_the_package():
    from atri_lib.encoders import CED, E5, DualEncoder, MultilingualUSE, SonarText, YAMNet

    found = {entry.__name__: entry for entry in (CED, E5, DualEncoder, MultilingualUSE, SonarText, YAMNet)}
    assert sorted(found) == sorted(encoders.__all__)
    assert all(getattr(encoders, name) is entry for name, entry in found.items())


def test_a_name_that_is_none_is_an_attribute_error_and_submodules_are_found():
    with pytest.raises(AttributeError, match="no attribute 'Yamnet'"):
        encoders.Yamnet  # noqa: B018
    from atri_lib.encoders import yamnet

    assert yamnet.YAMNet is encoders.YAMNet


def test_the_package_and_one_encoder_load_no_more_than_they_need():
    loaded = "[name in sys.modules for name in ('torch', 'transformers', 'sentencepiece')]"
    code = f"import sys, atri_lib.encoders; print({loaded}); from atri_lib.encoders import YAMNet; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[False, False, False]", "[True, False, False]"]


@pytest.mark.parametrize("side, names", [("audio", presets.AUDIO_ENCODERS), ("text", presets.TEXT_ENCODERS)])
def test_a_preset_calls_the_encoder_of_that_name_with_the_checkpoint_given(monkeypatch, side, names):
    class Fake:
        def __init__(self, name):
            self.name = name

        def pretrained(self, *arguments):
            return self.name, arguments

    for name in encoders.__all__:
        monkeypatch.setattr(encoders, name, Fake(name), raising=False)
    position = ("audio", "text").index(side)
    found = {name: presets.build_encoders("mini", **{side: name})[position] for name in names}
    if side == "audio":
        sizes = ("tiny", "mini", "small", "base")
        assert found == {"yamnet": ("YAMNet", ())} | {f"ced-{size}": ("CED", (size,)) for size in sizes}
    else:
        assert found == {"use": ("MultilingualUSE", ()), "e5": ("E5", ()), "sonar": ("SonarText", ())}
    assert presets.build_encoders("paper", "ced-mini=here", "sonar=a/b") == (
        ("CED", ("mini", "here")), ("SonarText", ("a/b",)),
    )  # fmt: skip
    with pytest.raises(ValueError, match="preset='maxi': use one of mini, paper"):
        presets.build_encoders("maxi")
