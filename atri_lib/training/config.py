"""Everything a run depends on, in one frozen record whose fields say what they mean and what they
may be.
"""

import dataclasses
import functools
import os
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
)

from atri_lib.languages import CODES, language
from atri_lib.schemes import SCHEMES, SETTINGS, Scheme

PROFILES = {
    "book": {},
    "smoke": {"scenes": (240, 40, 60), "epochs": 2, "batch_size": 60},
    "paper": {
        "preset": "paper", "epochs": 10, "batch_size": 24, "learning_rate": 5e-6, "schedule": "constant",
        "temperature": 0.07, "unfreeze": {"audio": "all", "text": "all"}, "text_chunk": 24, "precision": "bf16",
    },
}  # fmt: skip


LARGEST_RATE = 1e30


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
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class TrainConfig:
    """scheme, m, languages: who is contrasted; preset, data, scenes: with what; the rest: how it is
    optimised.

    Each field carries its meaning, unit and limits (`settings` lists them). Raises ValueError
    naming the field for a value that cannot work.
    """

    scheme: Annotated[
        str,
        AfterValidator(_known_scheme),
        Field(
            json_schema_extra={"enum": [*SCHEMES]},
            description="what a step contrasts, or your own as module:Class",
        ),
    ] = "kcl"
    scheme_settings: Annotated[
        dict[str, int | float],
        Field(description="settings that a scheme of your own declares, radius=3"),
    ] = field(default_factory=dict)
    m: Annotated[
        Positive | None,
        Field(description="languages a step sees, for the schemes that leave it open"),
    ] = None
    hold: Annotated[
        Positive | None, Field(description="epochs a clip keeps its language, for hold")
    ] = None
    block: Annotated[
        Positive | None,
        Field(description="clips in a row that share their language, for block; 100 unless given"),
    ] = None
    text_text: Annotated[
        float | None,
        Field(
            ge=0, lt=1, description="share of text against text in the loss of cacl, cacl_unbiased"
        ),
    ] = None
    anchor: Annotated[
        Positive | None,
        Field(description="place of the language that cacl contrasts with all others; 1: English"),
    ] = None
    languages: Annotated[
        tuple[str, ...],
        AfterValidator(_english_first),
        Field(description="languages trained with, English first"),
    ] = CODES
    seed: Annotated[
        Seed, Field(description="start, order of clips and draws of languages follow from it")
    ] = 0
    preset: Annotated[
        str, Field(description="encoders: mini (laptop), paper (GPU, models of a hub)")
    ] = "mini"
    text_encoder: Annotated[
        Filled | None,
        Field(
            description="instead of the preset's: use, e5, sonar, sonar=PATH, or your own module:Class"
        ),
    ] = None
    audio_encoder: Annotated[
        Filled | None,
        Field(
            description="instead of the preset's: yamnet, ced-SIZE, ced-SIZE=PATH, or your own module:Class"
        ),
    ] = None
    data: Annotated[
        Path | None, Field(description="manifest, or its folder; else scenes are composed")
    ] = None
    scenes: Annotated[
        tuple[Positive, Positive, Positive], Field(description="scenes to compose: train, val, test")
    ] = (2000, 250, 500)  # fmt: skip
    data_seed: Annotated[Seed, Field(description="the scenes follow from it")] = 0
    epochs: Annotated[Positive, Field(description="passes over the training clips")] = 30
    batch_size: Annotated[
        int, Field(ge=2, description="clips a step contrasts; a contrastive loss needs 2")
    ] = 100
    optimizer: Annotated[
        Literal["adam", "sgd"], Field(description="how weights follow the gradient")
    ] = "adam"
    learning_rate: Annotated[
        PositiveFloat,
        AfterValidator(_single_precision),
        Field(json_schema_extra={"maximum": LARGEST_RATE}, description="step size at the start"),
    ] = 1e-3
    schedule: Annotated[
        Literal["cosine", "constant"], Field(description="step size over the run")
    ] = "cosine"
    temperature: Annotated[
        float,
        Field(
            ge=1e-3,
            le=1e3,
            allow_inf_nan=False,
            description="divides the cosines (the paper: 0.07)",
        ),
    ] = 0.1
    learn_temperature: Annotated[bool, Field(description="train the temperature too")] = False
    width: Annotated[Positive, Field(description="dimensions of the shared space")] = 256
    hidden: Annotated[
        Positive, Field(description="units between the two layers of a projection")
    ] = 512
    parts: Annotated[
        Positive, Field(description="stretches of time that a clip's features are averaged in")
    ] = 3
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="share of the hidden units left out in a step")
    ] = 0.1
    unfreeze: Annotated[
        dict[Literal["audio", "text"], NonNegativeInt | Literal["all"]],
        Field(
            description="last blocks of a tower to train, audio=2 text=all; none: projections on cached features"
        ),
    ] = field(default_factory=dict)
    text_chunk: Annotated[
        NonNegativeInt,
        Field(description="captions a forward pass; 0: all. Same gradients, less memory"),
    ] = 0
    precision: Annotated[
        Literal["fp32", "bf16"], Field(description="numbers that towers compute with")
    ] = "fp32"
    init: Annotated[Path | None, Field(description="run folder whose weights are the start")] = None
    evaluate_every: Annotated[Positive, Field(description="epochs between two scores on val")] = 5
    checkpoint_every: Annotated[Positive, Field(description="epochs between two checkpoints")] = 5

    def __post_init__(self) -> None:
        for name, validator in _validators().items():
            given = getattr(self, name)
            try:
                object.__setattr__(self, name, validator.validate_python(given))
            except ValidationError as error:
                raise ValueError(
                    f"{name}={given!r}: {fault(error)} ({settings()[name]['description']})"
                ) from error
        self.build_scheme(clips=2)  # refuses what cannot be

    def build_scheme(self, clips: int) -> Scheme:
        """The scheme over that many clips, with the settings given; those left at None are the
        scheme's own.
        """
        own = {name: getattr(self, name) for name in SETTINGS}
        return SCHEMES[self.scheme](
            clips=clips,
            languages=len(self.languages),
            seed=self.seed,
            **own | self.scheme_settings,
        )

    @classmethod
    def for_profile(cls, profile: str = "book", **changes) -> "TrainConfig":
        """The settings of a chapter's profile ("book", "smoke", "paper") with some fields
        changed.
        """
        if profile not in PROFILES:
            raise ValueError(f"profile={profile!r}: use one of {', '.join(PROFILES)}")
        return cls(**(PROFILES[profile] | changes))

    def replace(self, **changes) -> "TrainConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict:
        """Plain values, for config.json and keys."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "TrainConfig":
        """The inverse of as_dict; raises ValueError naming any field this version does not know."""
        if unknown := set(values) - set(settings()):
            raise ValueError(
                f"config has unknown fields {sorted(unknown)}: it was written by another version"
            )
        return cls(**values)


@functools.cache
def settings() -> dict[str, dict]:
    """The JSON schema of every field, by name: description, default, type, and enum or bounds."""
    properties = TypeAdapter(TrainConfig).json_schema()["properties"]
    return {name: about | about.get("anyOf", [{}])[0] for name, about in properties.items()}


@functools.cache
def _validators() -> dict[str, TypeAdapter]:
    return {entry.name: TypeAdapter(entry.type) for entry in dataclasses.fields(TrainConfig)}


def fault(error: ValidationError) -> str:
    """The first fault that pydantic found, in one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"{first['loc'][0]}: {message}" if first["loc"] else message
