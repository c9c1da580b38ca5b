"""The settings of TrainConfig as options: meaning, limits and default are those of its fields."""

import re
import textwrap
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
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
    "boolean": {"action": BooleanOptionalAction},
    "scenes": {"nargs": 3, "metavar": ("TRAIN", "VAL", "TEST")},
    "languages": {"nargs": "+", "metavar": "CODE"},
    "unfreeze": {"nargs": "+", "metavar": "SIDE=BLOCKS"},
    "scheme_settings": {"nargs": "+", "metavar": "NAME=NUMBER"},
}


def data_settings(parser: ArgumentParser) -> None:
    """The settings that the features of a dataset depend on."""
    from atri_lib.training.config import DATA_SETTINGS

    _add_settings(parser, DATA_SETTINGS, ("book", "smoke"))  # paper trains the encoders


def all_settings(parser: ArgumentParser) -> None:
    """Every setting, below what each scheme is: the first sentence of its class."""
    from atri_lib.schemes import SCHEMES
    from atri_lib.training.config import PROFILES, settings

    lines = []
    for name, scheme in SCHEMES.items():
        sentence = re.split(r"\.(?:\s|$)", scheme.__doc__)[0]
        lines.append(f"{name:14} {' '.join(sentence.split())}.")
    parser.add_argument_group("schemes", "\n".join(lines))
    _add_settings(parser, settings(), PROFILES)


def _add_settings(parser: ArgumentParser, names: Sequence[str], profiles: Sequence[str]) -> None:
    """One option for each of the settings named, and --profile, which all start from."""
    from atri_lib.training.config import PROFILES, settings

    parser.add_argument(
        "--profile", choices=profiles, help="start from these settings (default: book)"
    )
    for profile in profiles:
        changed = PROFILES[profile].items()
        changes = [f"{flag(name)} {_typed(value)}" for name, value in changed if name in names]
        if changes:
            text = textwrap.fill(" ".join(changes), 120)
            parser.add_argument_group(f"profile {profile}", text)
    group = parser.add_argument_group("settings (their defaults are the profile book's)")
    for name in names:
        about = settings()[name]
        kind = KINDS.get(name) or KINDS[about["type"]]
        group.add_argument(flag(name), help=_explained(about), **kind)


def config_of(options: Namespace):
    """The TrainConfig of the options. Raises ValueError naming a value that cannot be."""
    from atri_lib.encoders.presets import encoder_builders
    from atri_lib.training.config import TrainConfig, settings

    values = vars(options).items()
    given = {name: value for name, value in values if name in settings() and value is not None}
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


def _typed(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, dict):
        value = [f"{side}={blocks}" for side, blocks in value.items()]
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return str(value)


def _explained(about: dict) -> str:
    """The help of a setting: its meaning, its choices or limits, and its default."""
    notes = [f"{word} {about[bound]}" for bound, word in BOUNDS.items() if bound in about]
    if "enum" in about:
        notes.append(" | ".join(about["enum"]))
    default = about.get("default")
    notes.append(f"default {'none' if default in (None, {}) else _typed(default)}")
    return f"{about['description']} ({'; '.join(notes)})"
