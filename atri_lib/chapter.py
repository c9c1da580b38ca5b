"""The parameters that every chapter takes, checked in one place before anything is computed."""

import os
import pathlib
import re
from typing import NamedTuple

from atri_lib.encoders.presets import PRESETS
from atri_lib.training.config import PROFILES

LARGEST_SEED = 2**31 - 1


class Parameters(NamedTuple):
    """What a chapter was asked for, in the order of its parameters cell."""

    profile: str
    seed: int
    preset: str
    data: str | None


def check_parameters(
    profile: str, seed: int | str, preset: str = "mini", data: str | os.PathLike | None = None
) -> Parameters:
    """The four parameters of a chapter, the seed as an integer and the data as a path's text.

    Raises ValueError in one line, with the choices, for the first that cannot be.
    """
    if profile not in tuple(PROFILES):
        raise ValueError(f"profile={profile!r}: use one of {', '.join(PROFILES)}")
    number = int(seed) if isinstance(seed, str) and re.fullmatch(r"[0-9]{1,10}", seed) else seed
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= LARGEST_SEED:
        raise ValueError(f"seed={seed!r}: use a whole number from 0 to {LARGEST_SEED}")
    if preset not in tuple(PRESETS):
        raise ValueError(f"preset={preset!r}: use one of {', '.join(PRESETS)}")
    files = [pathlib.Path(data), pathlib.Path(data, "manifest.jsonl")] if isinstance(data, (str, os.PathLike)) else []
    if data is not None and not any(path.is_file() for path in files):
        raise ValueError(f"data={data!r}: use None, or the path of a manifest that exists")
    return Parameters(profile, number, preset, None if data is None else os.fspath(data))
