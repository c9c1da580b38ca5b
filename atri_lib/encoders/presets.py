"""The encoders of each preset, by name."""

from collections.abc import Callable
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


def _sonar() -> nn.Module:
    from atri_lib.encoders.sonar import SonarText

    return SonarText.pretrained()


def _ced(size: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from atri_lib.encoders.ced import CED

        return CED.pretrained(size)

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

    Raises ValueError naming the choices; each encoder raises its own error when its weights cannot be had.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset={preset!r}: use one of {', '.join(PRESETS)}")
    audio, text = audio or PRESETS[preset].audio, text or PRESETS[preset].text
    for name, known in ((audio, AUDIO_ENCODERS), (text, TEXT_ENCODERS)):
        if name not in known:
            raise ValueError(f"unknown encoder {name!r}: use one of {', '.join(known)}")
    return AUDIO_ENCODERS[audio](), TEXT_ENCODERS[text]()
