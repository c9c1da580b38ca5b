"""Everything a run depends on, in one frozen record whose fields say what they mean and what they
may be.
"""

import functools
import pathlib
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from atri_lib.encoders.alignment import KINDS
from atri_lib.encoders.presets import PRESETS
from atri_lib.languages import CODES
from atri_lib.recipe import TODAY, renamed
from atri_lib.schemes import SCHEMES, SETTINGS, Scheme
from atri_lib.storage import read_json

# name -> settings that differ from the defaults
PROFILES = read_json(pathlib.Path(__file__).with_name("profiles.json"))
# The settings that the features of a dataset depend on.
DATA_SETTINGS = (
    "languages",
    "preset",
    "text_encoder",
    "clip_encoder",
    "data",
    "scenes",
    "data_seed",
    "parts",
)


# What the values of settings may be


def _english_first(codes: tuple[str, ...]) -> tuple[str, ...]:
    if codes[:1] != ("eng",) or len(set(codes)) < len(codes):
        raise ValueError("English (eng) comes first, and no language twice")
    return codes


Filled = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1e30)]  # numbers of single precision end soon after
Languages = Annotated[tuple[Literal[CODES], ...], AfterValidator(_english_first)]
SchemeName = Annotated[str, Field(json_schema_extra={"enum": [*SCHEMES]})]


class TrainConfig(
    BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
):
    """scheme, m, languages: who is contrasted; preset, data, scenes: with what; the rest: how it is
    optimised.

    The text below a field is its meaning, as its help says it (`settings` lists them with unit and
    limits). Raises ValueError naming the field for a value that cannot work.
    """

    # Who is contrasted
    scheme: SchemeName = "kcl"
    """what a step contrasts, or your own as module:Class"""
    scheme_settings: dict[str, int | float] = {}
    """settings that a scheme of your own declares, radius=3"""
    m: PositiveInt | None = None
    """languages a step sees, for the schemes that leave it open"""
    hold: PositiveInt | None = None
    """epochs a clip keeps its language, for hold"""
    block: PositiveInt | None = None
    """clips in a row that share their language, for block; 100 unless given"""
    text_text: Share | None = None
    """share of text against text in the loss of cacl, cacl_unbiased"""
    anchor: PositiveInt | None = None
    """place of the language that cacl contrasts with all others; 1: English"""
    languages: Languages = CODES
    """languages trained with, English first"""
    seed: Seed = 0
    """start, order of clips and draws of languages follow from it"""

    # With what
    preset: Literal[tuple(PRESETS)] = "mini"
    """encoders: mini (laptop), paper (GPU, models of a hub)"""
    text_encoder: Filled | None = None
    """instead of the preset's: use, e5, sonar, sonar=PATH, or your own module:Class"""
    clip_encoder: Filled | None = None
    """instead of the preset's: yamnet, ced-SIZE, ced-SIZE=PATH, efficientnet-lite0, or your own
    module:Class
    """
    data: Filled | None = None
    """manifest, its folder, pictures or stamps; else scenes of sounds are composed"""
    scenes: tuple[PositiveInt, PositiveInt, PositiveInt] = (2000, 250, 500)
    """scenes to compose: train, val, test"""
    data_seed: Seed = 0
    """the scenes follow from it"""

    # How it is optimised
    epochs: PositiveInt = 30
    """passes over the training clips"""
    batch_size: Annotated[int, Field(ge=2)] = 100
    """clips a step contrasts; a contrastive loss needs 2"""
    optimizer: Literal["adam", "sgd"] = "adam"
    """how weights follow the gradient"""
    learning_rate: Rate = 1e-3
    """step size at the start"""
    schedule: Literal["cosine", "constant"] = "cosine"
    """step size over the run"""
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 0.1
    """divides the cosines (the paper: 0.07)"""
    learn_temperature: bool = False
    """train the temperature too"""
    width: PositiveInt = 256
    """dimensions of the shared space"""
    hidden: PositiveInt = 512
    """units between the two layers of a projection"""
    parts: PositiveInt = 3
    """stretches of time that a clip's features are averaged in"""
    dropout: Share = 0.1
    """share of the hidden units left out in a step"""
    unfreeze: dict[Literal["clips", "text"], NonNegativeInt | Literal["all"]] = {}
    """last blocks of a tower to train, clips=2 text=all; none: projections on cached features"""
    alignment: Literal[tuple(KINDS)] | None = None
    """map that brings translations together before training; none: features as read"""
    parallel_text: Filled | None = None
    """captions without clips, a .jsonl file, that the alignment is fitted on too"""
    text_chunk: NonNegativeInt = 0
    """captions a forward pass; 0: all. Same gradients, less memory"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """numbers that towers compute with"""
    init: Filled | None = None
    """run folder whose weights are the start"""
    evaluate_every: PositiveInt = 5
    """epochs between two scores on val"""
    checkpoint_every: PositiveInt = 5
    """epochs between two checkpoints"""

    def __init__(self, /, **values) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = first["loc"][0]
            fault = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
            about = settings().get(name, {"description": "no such setting"})
            message = f"{name}={values[name]!r}: {fault} ({about['description']})"
            raise ValueError(message) from error
        self.build_scheme(clips=2)  # refuses what cannot be
        if self.alignment and self.unfreeze.get("text"):
            raise ValueError(
                f"alignment={self.alignment!r} maps the features of a frozen text tower: "
                "leave out unfreeze text, or the alignment"
            )
        if self.parallel_text and not self.alignment:
            raise ValueError(
                "parallel_text is what an alignment is fitted on: "
                "give alignment, as in alignment='ridge'"
            )

    def build_scheme(self, clips: int) -> Scheme:
        """The scheme over that many clips, with the settings given; those left at None are the
        scheme's own.
        """
        build = SCHEMES[self.scheme]
        own = {name: getattr(self, name) for name in SETTINGS} | self.scheme_settings
        return build(clips=clips, languages=len(self.languages), seed=self.seed, **own)

    @classmethod
    def for_profile(cls, profile: str = "book", **changes) -> "TrainConfig":
        """The settings of a chapter's profile ("book", "smoke", "paper") with some fields
        changed.
        """
        if profile not in PROFILES:
            raise ValueError(f"profile={profile!r}: use one of {', '.join(PROFILES)}")
        return cls(**PROFILES[profile] | changes)

    def replace(self, **changes) -> "TrainConfig":
        """A copy with some fields changed."""
        return TrainConfig(**self.as_dict() | changes)

    def as_dict(self) -> dict:
        """Plain values, for config.json and keys."""
        return self.model_dump()

    @classmethod
    def from_dict(cls, values: dict) -> "TrainConfig":
        """The inverse of as_dict, also of an earlier version's; raises ValueError naming any field
        this version does not know.
        """
        values = renamed(values, TODAY)
        if isinstance(sides := values.get("unfreeze"), dict):
            values["unfreeze"] = renamed(sides, TODAY)
        return cls(**values)


@functools.cache
def settings() -> dict[str, dict]:
    """The JSON schema of every field, by name: description, default, type, and enum or bounds."""
    described = {}
    for name, about in TrainConfig.model_json_schema()["properties"].items():
        kinds = about.get("anyOf", [{}])  # the other kind is None
        described[name] = about | kinds[0]
        described[name]["description"] = about["description"].replace("\n", " ")
    return described
