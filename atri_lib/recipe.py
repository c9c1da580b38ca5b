"""What stored numbers follow from: one integer that people raise, and the settings.

The spelling of the code does not enter.

Stored results, cached runs and cached features carry a key made here. Code may be renamed, moved
and rewritten freely: as long as equal settings give equal numbers, no key changes. When they do
not, `tests/test_recipe.py` fails; then revert, or raise RECIPE, say below what changed, and run
`make experiments`.
"""

import pathlib
from collections.abc import Mapping

from atri_lib.storage import read_json

RECIPE = 1
CHANGES = {
    1: "The first number. It stands for the code of November 2026, "
    "which made the 1,125 stored runs.",
}

# The settings as they were when RECIPE was introduced. A setting at its neutral value is in no key,
# so a new setting, entered here with the value that leaves everything as it was, makes no stored
# result stale. Never change a value.
NEUTRAL = read_json(pathlib.Path(__file__).with_name("neutral_settings.json"))
PATHS = ("data", "init", "parallel_text")  # what lies there enters keys by its content
ENCODERS = ("text_encoder", "audio_encoder")  # NAME=PATH: the name enters
# What keys and older runs call a setting, or the clips' side of one: there the clips were sounds.
FORMER = {"clip_encoder": "audio_encoder", "clips": "audio"}
TODAY = {former: name for name, former in FORMER.items()}


def renamed(values: Mapping, names: Mapping) -> dict:
    """The same values by other names; those that are not in `names` keep theirs."""
    return {names.get(name, name): value for name, value in values.items()}


def key_settings(settings: Mapping) -> dict:
    """The settings that a key holds: those that differ from NEUTRAL, as JSON values, by their
    former names and without any path.
    """
    kept = {}
    for name, value in renamed(settings, FORMER).items():
        if name in PATHS:
            continue
        if name in ENCODERS and value is not None:
            value = value.partition("=")[0]
        if isinstance(value, tuple):
            value = list(value)
        if name == "unfreeze":
            value = renamed(value, FORMER)
        if name not in NEUTRAL or value != NEUTRAL[name]:
            kept[name] = value
    return kept
