"""The folder of Tux Paint's stamps: where it is installed or cached, else fetched from Debian."""

import pathlib

from atri_lib.data import debian
from atri_lib.storage import cache_dir, settle

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
    package, else from the cache, else fetched.

    A cached folder without the pictures, as earlier versions left it, is fetched anew. Raises
    BankUnavailable.
    """
    cached = cache_dir("tuxpaint") / "stamps"
    # a download that was killed may hold 161 MB, also where the recordings came otherwise since
    settle(cached)

    def holds(folder: pathlib.Path) -> bool:
        return any(wanted(path.relative_to(folder)) for path in folder.rglob("*.*"))

    def there() -> bool:
        return cached.is_dir() and (wanted is is_effect or holds(cached))

    if holds(INSTALLED):
        return INSTALLED
    if not there():
        debian.fetch(package(), cached, there)
    return cached


def package() -> debian.Package:
    """The stamps' effects and pictures, their captions and the copyright file."""
    elsewhere = f"elsewhere copy Tux Paint's stamps to {cache_dir('tuxpaint')}/stamps"
    return debian.Package(PACKAGE, 161, "the Tux Paint recordings", _place, elsewhere)


def _place(path: pathlib.PurePosixPath) -> pathlib.PurePath | None:
    """Where a file of the package goes below the folder; None for what is not needed."""
    if path.parts[-2:] == (PACKAGE, "copyright"):
        return pathlib.PurePath("copyright")
    if not path.is_relative_to(STAMPS):
        return None
    inner = path.relative_to(STAMPS)
    return inner if inner.suffix == ".txt" or is_effect(inner) or is_picture(inner) else None
