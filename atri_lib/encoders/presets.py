"""The encoders of each preset, by name."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn


def _yamnet() -> nn.Module:
    from atri_lib.encoders.yamnet import YAMNet

    return YAMNet.pretrained()


def _use() -> nn.Module:
    from atri_lib.encoders.use import MultilingualUSE

    return MultilingualUSE.pretrained()


def _e5() -> nn.Module:
    from atri_lib.encoders.e5 import E5

    return E5.pretrained()


def _sonar(source: str | None = None) -> nn.Module:
    from atri_lib.encoders.sonar import PUBLISHED, SonarText

    return SonarText.pretrained(source or PUBLISHED)


def _ced(size: str) -> Callable[..., nn.Module]:
    def build(source: str | None = None) -> nn.Module:
        from atri_lib.encoders.ced import CED

        return CED.pretrained(size, source)

    return build


AUDIO_ENCODERS = {"yamnet": _yamnet} | {f"ced-{size}": _ced(size) for size in ("tiny", "mini", "small", "base")}
TEXT_ENCODERS = {"use": _use, "e5": _e5, "sonar": _sonar}


@dataclass(frozen=True)
class Preset:
    """Names of the two encoders a preset joins."""

    audio: str
    text: str


PRESETS = {"mini": Preset("yamnet", "use"), "paper": Preset("ced-base", "sonar")}


def build_encoders(preset: str, audio: str | None = None, text: str | None = None) -> tuple[nn.Module, nn.Module]:
    """The pretrained (audio, text) encoders of a preset, either one replaced by name.

    A name is one of AUDIO_ENCODERS or TEXT_ENCODERS; ced-SIZE and sonar take their checkpoint from the hub, or from
    where "ced-tiny=PATH" says: a file, a folder or another hub id. Raises ValueError naming the choices; each encoder
    raises its own error when its weights cannot be had.
    """
    audio_builder, text_builder = encoder_builders(preset, audio, text)
    return audio_builder(), text_builder()


def encoder_builders(preset: str, audio: str | None = None, text: str | None = None) -> list[Callable[[], nn.Module]]:
    """What build_encoders calls: the names are checked, no weights are read. Raises ValueError naming the choices."""
    if preset not in PRESETS:
        raise ValueError(f"preset={preset!r}: use one of {', '.join(PRESETS)}")
    chosen = ((audio or PRESETS[preset].audio, AUDIO_ENCODERS), (text or PRESETS[preset].text, TEXT_ENCODERS))
    return [_builder(name, known) for name, known in chosen]


def _builder(given: str, known: Mapping[str, Callable[..., nn.Module]]) -> Callable[[], nn.Module]:
    name, equals, source = given.partition("=")
    if name not in known:
        raise ValueError(f"unknown encoder {name!r}: use one of {', '.join(known)}")
    if equals and (not source or not name.startswith(("ced", "sonar"))):
        raise ValueError(f"encoder {given!r}: only ced-SIZE=PATH and sonar=PATH name a checkpoint")
    return functools.partial(known[name], source) if source else known[name]
