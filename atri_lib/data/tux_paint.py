"""The folder of Tux Paint's stamps: where it is installed or cached, else fetched from Debian."""

import pathlib

from atri_lib.data import debian
from atri_lib.storage import cache_dir

PACKAGE = "tuxpaint-stamps-default"
STAMPS = pathlib.PurePosixPath("usr/share/tuxpaint/stamps")
INSTALLED = pathlib.Path("/", STAMPS)


def is_effect(path: pathlib.PurePath) -> bool:
    """Whether a path below `stamps` is a sound effect: not a spoken description, a symbol's name or
    a game's rule.
    """
    return (
        path.suffix == ".ogg"
        and not path.name.startswith(".")  # macOS leaves "._name" beside a file
        and "_desc" not in path.stem
        and not path.stem.startswith("dreydl")
        and path.parts[0] != "symbols"
    )


def is_picture(path: pathlib.PurePath) -> bool:
    """Whether a path below `stamps` is a picture of something: not of a symbol or a flag."""
    other = {"symbols", "flags", "roadsigns"} & set(path.parts)
    return path.suffix == ".png" and not path.name.startswith(".") and not other


def find_stamps(wanted=is_effect) -> pathlib.Path:
    """The `stamps` folder with what is wanted, `is_effect` or `is_picture`: of the installed
    package, else from the cache, else fetched. Raises BankUnavailable.

    A cached folder without the pictures, as earlier versions left it, is fetched anew.
    """

    def holds(folder: pathlib.Path) -> bool:
        return any(wanted(path.relative_to(folder)) for path in folder.rglob("*.*"))

    return debian.find(package(), INSTALLED, holds)


def package() -> debian.Package:
    """The stamps' effects and pictures, their captions and the copyright file."""
    cached = cache_dir("tuxpaint") / "stamps"
    return debian.Package(PACKAGE, 161, "the Tux Paint recordings", STAMPS, _is_needed, cached)


def _is_needed(path: pathlib.PurePath) -> bool:
    return path.suffix == ".txt" or is_effect(path) or is_picture(path)
