"""The encoders of each preset, by name."""

import functools
from collections.abc import Callable, Mapping

from torch import nn

from atri_lib import encoders

# name -> what gives the pretrained encoder; only then is its module imported, with the packages it needs
AUDIO_ENCODERS = {"yamnet": lambda: encoders.YAMNet.pretrained()} | {
    f"ced-{size}": lambda *source, size=size: encoders.CED.pretrained(size, *source)
    for size in ("tiny", "mini", "small", "base")
}
TEXT_ENCODERS = {
    "use": lambda: encoders.MultilingualUSE.pretrained(),
    "e5": lambda: encoders.E5.pretrained(),
    "sonar": lambda *source: encoders.SonarText.pretrained(*source),
}
PRESETS = {"mini": ("yamnet", "use"), "paper": ("ced-base", "sonar")}  # audio, text


def build_encoders(preset: str, audio: str | None = None, text: str | None = None) -> tuple[nn.Module, nn.Module]:
    """The pretrained (audio, text) encoders of a preset, either one replaced by name.

    A name is one of AUDIO_ENCODERS or TEXT_ENCODERS; ced-SIZE and sonar take their checkpoint from the hub, or from
    where "ced-tiny=PATH" says: a file, a folder or another hub id. Raises ValueError naming the choices; each encoder
    raises its own error when its weights cannot be had.
    """
    return tuple(build() for build in encoder_builders(preset, audio, text))


def encoder_builders(preset: str, audio: str | None = None, text: str | None = None) -> list[Callable[[], nn.Module]]:
    """What build_encoders calls: the names are checked, no weights are read. Raises ValueError naming the choices."""
    if preset not in PRESETS:
        raise ValueError(f"preset={preset!r}: use one of {', '.join(PRESETS)}")
    own_audio, own_text = PRESETS[preset]
    return [_builder(audio or own_audio, AUDIO_ENCODERS), _builder(text or own_text, TEXT_ENCODERS)]


def _builder(given: str, known: Mapping[str, Callable[..., nn.Module]]) -> Callable[[], nn.Module]:
    name, equals, source = given.partition("=")
    if name not in known:
        raise ValueError(f"unknown encoder {name!r}: use one of {', '.join(known)}")
    if equals and (not source or not name.startswith(("ced", "sonar"))):
        raise ValueError(f"encoder {given!r}: only ced-SIZE=PATH and sonar=PATH name a checkpoint")
    return functools.partial(known[name], *([source] if source else []))
