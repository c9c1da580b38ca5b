"""The settings of TrainConfig as options: meaning, limits and default are those of its fields."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace

# By the type in the JSON schema. Values go to TrainConfig as they are typed, and it reads them.
KINDS = {
    "integer": {"metavar": "INT"},
    "number": {"metavar": "FLOAT"},
    "string": {"metavar": "TEXT"},
    "boolean": {"action": BooleanOptionalAction},
    "array": {"nargs": "+", "metavar": "VALUE"},
    "object": {"nargs": "+", "metavar": "NAME=VALUE"},
}
# What the help tells of the JSON schema, besides the description.
NOTES = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "default": "default",
}


def add_settings(parser: ArgumentParser, command: str) -> None:
    """The settings that `features` depends on or, for `train`, all, below what each scheme is: the
    first sentence of its class.
    """
    from atri_lib.schemes import SCHEMES
    from atri_lib.training.config import DATA_SETTINGS, settings

    names = DATA_SETTINGS
    if command == "train":
        names = settings()
        lines = []
        for name, scheme in SCHEMES.items():
            first, *_ = " ".join(scheme.__doc__.split()).split(". ")
            lines.append(f"{name:14} {first.rstrip('.')}.")
        parser.add_argument_group("schemes", "\n".join(lines))
    group = parser.add_argument_group("settings (their defaults are the profile book's)")
    for name in names:
        about = settings()[name]
        notes = [f"{word} {about[key]}" for key, word in NOTES.items() if key in about]
        if "enum" in about:
            notes.insert(0, " | ".join(about["enum"]))
        text = f"{about['description']} ({'; '.join(notes)})"
        group.add_argument(flag(name), help=text, **KINDS[about["type"]])


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
