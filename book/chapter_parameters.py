"""The parameters that every chapter takes, checked in one place before anything is computed."""

import ast
import difflib
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

from atri_lib.encoders.presets import PRESETS
from atri_lib.training.config import PROFILES

LARGEST_SEED = 2**31 - 1
INJECTED = "# Parameters\n"  # the first line of the cell that papermill adds


class Parameters(NamedTuple):
    """What a chapter was asked for, in the order of its parameters cell."""

    profile: str
    seed: int
    preset: str
    data: str | None


DEFAULTS = Parameters(profile="book", seed=0, preset="mini", data=None)


def check_parameters(
    profile: str,
    seed: int | str,
    preset: str = "mini",
    data: str | os.PathLike | None = None,
    unused: Sequence[str] = (),
) -> Parameters:
    """The four parameters of a chapter, the seed as an integer and the data as a path's text.

    unused: names of parameters that the chapter does not use; one that was set all the same is said
    in a printed line. Raises ValueError in one line, with the choices, for the first that cannot
    be, and for a name that papermill was given and that is none of the four (`-p profil smoke`).
    """
    for name, value in injected(_cells_that_ran()).items():
        if name not in Parameters._fields:
            near = difflib.get_close_matches(name, Parameters._fields, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            choices = ", ".join(Parameters._fields)
            raise ValueError(
                f"{name}={value}: not a parameter of this chapter{meant}: use {choices}"
            )
    for name, value, known in (("profile", profile, PROFILES), ("preset", preset, PRESETS)):
        if value not in list(known):
            raise ValueError(f"{name}={value!r}: use one of {', '.join(known)}")
    number = int(seed) if isinstance(seed, str) and re.fullmatch(r"[0-9]{1,10}", seed) else seed
    if type(number) is not int or not 0 <= number <= LARGEST_SEED:
        raise ValueError(f"seed={seed!r}: use a whole number from 0 to {LARGEST_SEED}")
    if data is not None and not is_manifest(data):
        raise ValueError(f"data={data!r}: use None, or the path of a manifest that exists")
    checked = Parameters(profile, number, preset, None if data is None else os.fspath(data))
    for name in unused:
        value = getattr(checked, name)
        if value != getattr(DEFAULTS, name):
            print(f"{name}={value!r}: this chapter does not use {name}, so it changes nothing here")
    return checked


def is_manifest(data) -> bool:
    """Whether this is the path of a manifest, or of a folder with one."""
    if not isinstance(data, str | os.PathLike):
        return False
    return pathlib.Path(data).is_file() or pathlib.Path(data, "manifest.jsonl").is_file()


def injected(cells: Sequence[str]) -> dict[str, str]:
    """What papermill set, name -> source of its value, in the sources of the cells that were
    run.
    """
    found = {}
    for source in cells:
        if not source.startswith(INJECTED):
            continue
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign):
                found[ast.unparse(statement.targets[0])] = ast.unparse(statement.value)
    return found


def _cells_that_ran() -> Sequence[str]:
    """Sources of the cells of this notebook so far; none outside a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell.user_ns.get("In", []) if shell else []
