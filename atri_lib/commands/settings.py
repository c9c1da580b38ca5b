"""The settings of TrainConfig as options: meaning, limits and default are those of its fields."""

import argparse
import textwrap
from collections.abc import Sequence

BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
KINDS = {
    "integer": {"type": int, "metavar": "INT"},
    "number": {"type": float, "metavar": "FLOAT"},
    "string": {"metavar": "TEXT"},
    "boolean": {"action": argparse.BooleanOptionalAction},
    "scenes": {"nargs": 3, "metavar": ("TRAIN", "VAL", "TEST")},
    "languages": {"nargs": "+", "metavar": "CODE"},
    "unfreeze": {"nargs": "+", "metavar": "SIDE=BLOCKS"},
    "scheme_settings": {"nargs": "+", "metavar": "NAME=NUMBER"},
}


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str] | None = None) -> None:
    """One option for every setting, or for those named, and --profile, which all start from."""
    from atri_lib.training.config import PROFILES, settings

    names = tuple(settings()) if names is None else names
    profiles = []
    for name, changed in PROFILES.items():
        if "unfreeze" in names or "unfreeze" not in changed:
            profiles.append(name)
    parser.add_argument(
        "--profile", choices=profiles, help="start from these settings (default: book)"
    )
    for profile in profiles[1:]:
        changes = []
        for name, value in PROFILES[profile].items():
            if name in names:
                changes.append(as_typed(name, value))
        parser.add_argument_group(f"profile {profile}", textwrap.fill(" ".join(changes), 120))
    group = parser.add_argument_group("settings (their defaults are the profile book's)")
    for name in names:
        about = settings()[name]
        kind = KINDS[name if name in KINDS else about["type"]]
        group.add_argument(flag(name), help=_explained(about), **kind)


def add_schemes(parser: argparse.ArgumentParser) -> None:
    """What each scheme is, in one line: the first sentence of its class."""
    from atri_lib.schemes import SCHEMES

    width = max(map(len, SCHEMES)) + 2
    lines = []
    for name, scheme in SCHEMES.items():
        paragraph = " ".join(scheme.__doc__.split("\n\n")[0].split())
        sentence, stop, _ = paragraph.partition(". ")
        lines.append(name.ljust(width) + sentence + (stop and "."))
    parser.add_argument_group("schemes", "\n".join(lines))


def given_settings(options: argparse.Namespace) -> dict:
    """The settings that were given on the command line, by name."""
    from atri_lib.training.config import settings

    values = vars(options).items()
    return {name: value for name, value in values if name in settings() and value is not None}


def config_of(options: argparse.Namespace):
    """The TrainConfig of the options. Raises ValueError naming a value that cannot be."""
    from atri_lib.encoders.presets import encoder_builders
    from atri_lib.training.config import TrainConfig

    given = given_settings(options)
    for name in ("unfreeze", "scheme_settings"):
        if name in given:
            given[name] = dict(pair.partition("=")[::2] for pair in given[name])
    config = TrainConfig.for_profile(options.profile or "book", **given)
    # A wrong name of an encoder is refused now, not after the data.
    encoder_builders(config.preset, config.clip_encoder, config.text_encoder)
    return config


def flag(name: str) -> str:
    """The option of a setting."""
    return "--" + name.replace("_", "-")


def as_typed(name: str, value: object) -> str:
    """A setting as it is typed: "--scenes 240 40 60"."""
    return f"{flag(name)} {_words(value)}".rstrip()


def _words(value: object) -> str:
    """A value as it is typed; nothing for none."""
    if value is None:
        return ""
    if isinstance(value, dict):
        value = [f"{side}={blocks}" for side, blocks in value.items()]
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return str(value)


def _explained(about: dict) -> str:
    """The help of a setting: its meaning, its choices or limits, and its default."""
    notes = []
    if "enum" in about:
        notes.append(" | ".join(about["enum"]))
    for bound, word in BOUNDS.items():
        if bound in about:
            notes.append(f"{word} {about[bound]}")
    notes.append(f"default {_words(about.get('default')) or 'none'}")
    return f"{about['description']} ({'; '.join(notes)})"
