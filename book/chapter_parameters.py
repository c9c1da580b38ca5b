"""The parameters that every chapter takes, checked in one place before anything is computed."""

import os
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import IPython

from atri_lib.encoders.presets import PRESETS
from atri_lib.training.config import PROFILES

LARGEST_SEED = 2**31 - 1
INJECTED = "# Parameters\n"  # the first line of the cell that papermill adds


class Parameters(NamedTuple):
    """What a chapter was asked for, in the order of its parameters cell."""

    profile: str = "book"
    seed: int = 0
    preset: str = "mini"
    data: str | None = None


def check_parameters(
    profile: str,
    seed: int,
    preset: str = "mini",
    data: str | os.PathLike | None = None,
    unused: Sequence[str] = (),
) -> Parameters:
    """The four parameters of a chapter, the data as a path's text.

    unused: names of parameters that the chapter does not use; one that was set all the same is said
    in a printed line. Raises ValueError in one line, with the choices, for the first that cannot
    be, and for a name that papermill was given and that is none of the four (`-p profil smoke`).
    """
    for name in injected():
        if name not in Parameters._fields:
            known = ", ".join(Parameters._fields)
            raise ValueError(f"{name}: not a parameter of this chapter: use {known}")
    for name, value, known in (("profile", profile, PROFILES), ("preset", preset, PRESETS)):
        if value not in list(known):
            raise ValueError(f"{name}={value!r}: use one of {', '.join(known)}")
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed={seed!r}: use a whole number from 0 to {LARGEST_SEED}")
    if data is not None:
        places = [pathlib.Path(str(data)), pathlib.Path(str(data), "manifest.jsonl")]
        if not any(place.is_file() for place in places):
            raise ValueError(f"data={data!r}: use None, or the path of a manifest that exists")
    checked = Parameters(profile, seed, preset, data and str(data))
    for name in unused:
        value = getattr(checked, name)
        if value != Parameters._field_defaults[name]:
            print(f"{name}={value!r}: this chapter does not use {name}, so it changes nothing here")
    return checked


def injected() -> list[str]:
    """The names that papermill has set in this notebook; none outside a notebook."""
    shell = IPython.get_ipython()
    cells = shell.user_ns.get("In", []) if shell else []
    set_here = "".join(cell for cell in cells if cell.startswith(INJECTED))
    return re.findall(r"(?m)^(\w+) = ", set_here)
