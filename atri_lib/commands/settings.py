"""The settings of TrainConfig as options: meaning, limits and default are those of its fields."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Sequence

BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
# By the type in the JSON schema. Values go to TrainConfig as they are typed, and it reads them.
KINDS = {
    "integer": {"metavar": "INT"},
    "number": {"metavar": "FLOAT"},
    "string": {"metavar": "TEXT"},
    "boolean": {"action": BooleanOptionalAction},
    "array": {"nargs": "+", "metavar": "VALUE"},
    "object": {"nargs": "+", "metavar": "NAME=VALUE"},
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
        first, *_ = " ".join(scheme.__doc__.split()).split(". ")
        lines.append(f"{name:14} {first.rstrip('.')}.")
    parser.add_argument_group("schemes", "\n".join(lines))
    _add_settings(parser, settings(), PROFILES)


def _add_settings(parser: ArgumentParser, names: Sequence[str], profiles: Sequence[str]) -> None:
    """One option for each of the settings named, and --profile, which all start from."""
    from atri_lib.training.config import PROFILES, settings

    lines = []
    for profile in profiles:
        changes = [f"{name}={value}" for name, value in PROFILES[profile].items()]
        lines.append(f"{profile:6} {', '.join(changes)}")
    group = parser.add_argument_group("profiles (settings to start from)", "\n".join(lines))
    group.add_argument("--profile", choices=profiles, help="default: book")
    group = parser.add_argument_group("settings (their defaults are the profile book's)")
    for name in names:
        about = settings()[name]
        group.add_argument(flag(name), help=_explained(about), **KINDS[about["type"]])


def config_of(options: Namespace):
    """The TrainConfig of the options. Raises ValueError naming a value that cannot be."""
    from atri_lib.encoders.presets import encoder_builders
    from atri_lib.training.config import TrainConfig, settings

    given = {}
    for name, value in vars(options).items():
        if name in settings() and value is not None:
            given[name] = value
            if settings()[name]["type"] == "object":
                given[name] = dict(pair.partition("=")[::2] for pair in value)
    config = TrainConfig.for_profile(options.profile or "book", **given)
    # A wrong name of an encoder is refused now, not after the data.
    encoder_builders(config.preset, config.clip_encoder, config.text_encoder)
    return config


def flag(name: str) -> str:
    """The option of a setting."""
    return "--" + name.replace("_", "-")


def _explained(about: dict) -> str:
    """The help of a setting: its meaning, its choices or limits, and its default."""
    notes = []
    for bound, word in BOUNDS.items():
        if bound in about:
            notes.append(f"{word} {about[bound]}")
    if "enum" in about:
        notes.append(" | ".join(about["enum"]))
    notes.append(f"default {about.get('default')}")
    return f"{about['description']} ({'; '.join(notes)})"
