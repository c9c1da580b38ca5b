"""What the values of settings may be, as types that pydantic checks."""

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt
from pydantic.fields import FieldInfo

from atri_lib.languages import language
from atri_lib.schemes import SCHEMES

LARGEST_RATE = 1e30  # numbers of single precision end soon after


def meaning(text: str) -> FieldInfo:
    """What a setting means, as its help and its errors say it."""
    return Field(description=text)


def _english_first(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        language(code)
    if codes[:1] != ("eng",) or len(set(codes)) < len(codes):
        raise ValueError("English (eng) comes first, and no language twice")
    return codes


def _known_scheme(name: str) -> str:
    SCHEMES[name]  # raises ValueError that names the choices
    return name


def _as_text(path: object) -> object:
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _filled(text: str) -> str:
    if not text:
        raise ValueError("it is empty; give a value, or leave it out")
    return text


def _single_precision(rate: float) -> float:
    if rate > LARGEST_RATE:
        raise ValueError(
            f"it should be at most {LARGEST_RATE}, numbers of single precision end soon after"
        )
    return rate


Filled = Annotated[str, AfterValidator(_filled)]
Path = Annotated[Filled, BeforeValidator(_as_text)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[int, Field(ge=1)]
SchemeName = Annotated[
    str,
    AfterValidator(_known_scheme),
    Field(json_schema_extra={"enum": [*SCHEMES]}),
]
AtLeastTwo = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    AfterValidator(_single_precision),
    Field(json_schema_extra={"maximum": LARGEST_RATE}),
]
Temperature = Annotated[float, Field(ge=1e-3, le=1e3, allow_inf_nan=False)]
Languages = Annotated[tuple[str, ...], AfterValidator(_english_first)]
Sizes = tuple[Positive, Positive, Positive]
Blocks = NonNegativeInt | Literal["all"]
Towers = dict[Literal["clips", "text"], Blocks]
