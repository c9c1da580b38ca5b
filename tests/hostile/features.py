"""Features that are kept, and scenes that are made."""

from hostile.case import ENCODED, Case
from hostile.changes import Change, everywhere, piped, written

from atri_lib.data import banks


def ten_thousand_deep(name: str) -> Change:
    return written(name, '{"a":' * 10**5)


def nothing_fetched() -> None:
    """Asking for the recordings ends in a traceback."""
    banks.default_bank = None


CASES = [
    Case("features of open towers", "features --profile paper", "invalid choice: 'paper'", 2),
    Case("features of five epochs", "features --epochs 5", "unrecognized arguments: --epochs 5", 2),
    Case(
        "a pipe that describes features",
        f"features {ENCODED}",
        "origin",
        0,
        prepare=everywhere("cache/features/*/about.json", piped),
    ),
    Case(
        "features described ten thousand deep",
        f"features {ENCODED}",
        "origin",
        0,
        prepare=everywhere("cache/features/*/about.json", ten_thousand_deep),
    ),
    Case(
        "features that are a pipe",
        f"features {ENCODED}",
        "origin",
        0,
        prepare=everywhere("cache/features/*/values.npy", piped),
    ),
    Case("no training scenes", "scenes --out x --train 0", "'0' is not a whole number from 1", 2),
    Case("scenes without a place", "scenes", "the following arguments are required: --out", 2),
    Case(
        "scenes over a folder",
        "scenes --out sounds",
        "sounds is not an empty folder, .*; remove it or choose another",
        inside=nothing_fetched,
    ),
    Case("a squared number of scenes", "scenes --out x --train ²", "'²' is not a whole number", 2),
    Case("a seed below 0", "scenes --out x --seed -1", "--seed: '-1' is not a whole number", 2),
    Case("half a scene", "scenes --out x --val 0.5", "'0.5' is not a whole number", 2),
    Case(
        "features of nothing",
        "features --data nowhere",
        "nowhere: no such manifest|nowhere.*no such",
    ),
    Case("features of text", "features --data captions.txt", "captions.txt:1: no JSON"),
    Case(
        "features of an unknown encoder",
        "features --clip-encoder bert",
        "unknown encoder 'bert': use one of",
    ),
    Case("features without English", "features --languages fra", "English .eng. comes first"),
    Case("features of no parts", "features --parts 0", "parts='0': it should be greater"),
]
