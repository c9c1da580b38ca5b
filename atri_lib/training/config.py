"""Everything a run depends on, in one frozen record whose fields say what they mean and what they
may be.
"""

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import NonNegativeInt, TypeAdapter, ValidationError

from atri_lib.encoders.alignment import KINDS
from atri_lib.languages import CODES
from atri_lib.recipe import FORMER
from atri_lib.schemes import SCHEMES, SETTINGS, Scheme
from atri_lib.training.limits import (
    AtLeastTwo,
    Filled,
    Languages,
    Path,
    Positive,
    Rate,
    SchemeName,
    Seed,
    Share,
    Sizes,
    Temperature,
    Towers,
    meaning,
)

PROFILES = {
    "book": {},
    "smoke": {
        "scenes": (240, 40, 60),
        "epochs": 2,
        "batch_size": 60,
    },
    "paper": {
        "preset": "paper",
        "epochs": 10,
        "batch_size": 24,
        "learning_rate": 5e-6,
        "schedule": "constant",
        "temperature": 0.07,
        "unfreeze": {"clips": "all", "text": "all"},
        "text_chunk": 24,
        "precision": "bf16",
    },
}
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


@dataclass(frozen=True)
class TrainConfig:
    """scheme, m, languages: who is contrasted; preset, data, scenes: with what; the rest: how it is
    optimised.

    Each field carries its meaning, unit and limits (`settings` lists them). Raises ValueError
    naming the field for a value that cannot work.
    """

    # Who is contrasted
    scheme: Annotated[
        SchemeName,
        meaning("what a step contrasts, or your own as module:Class"),
    ] = "kcl"
    scheme_settings: Annotated[
        dict[str, int | float],
        meaning("settings that a scheme of your own declares, radius=3"),
    ] = field(default_factory=dict)
    m: Annotated[
        Positive | None, meaning("languages a step sees, for the schemes that leave it open")
    ] = None
    hold: Annotated[Positive | None, meaning("epochs a clip keeps its language, for hold")] = None
    block: Annotated[
        Positive | None,
        meaning("clips in a row that share their language, for block; 100 unless given"),
    ] = None
    text_text: Annotated[
        Share | None, meaning("share of text against text in the loss of cacl, cacl_unbiased")
    ] = None
    anchor: Annotated[
        Positive | None,
        meaning("place of the language that cacl contrasts with all others; 1: English"),
    ] = None
    languages: Annotated[Languages, meaning("languages trained with, English first")] = CODES
    seed: Annotated[
        Seed, meaning("start, order of clips and draws of languages follow from it")
    ] = 0

    # With what
    preset: Annotated[
        str,
        meaning("encoders: mini (laptop), paper (GPU, models of a hub)"),
    ] = "mini"
    text_encoder: Annotated[
        Filled | None,
        meaning("instead of the preset's: use, e5, sonar, sonar=PATH, or your own module:Class"),
    ] = None
    clip_encoder: Annotated[
        Filled | None,
        meaning(
            "instead of the preset's: yamnet, ced-SIZE, ced-SIZE=PATH, efficientnet-lite0, "
            "or your own module:Class"
        ),
    ] = None
    data: Annotated[
        Path | None,
        meaning("manifest, its folder, pictures or stamps; else scenes of sounds are composed"),
    ] = None
    scenes: Annotated[Sizes, meaning("scenes to compose: train, val, test")] = (2000, 250, 500)
    data_seed: Annotated[Seed, meaning("the scenes follow from it")] = 0

    # How it is optimised
    epochs: Annotated[Positive, meaning("passes over the training clips")] = 30
    batch_size: Annotated[
        AtLeastTwo, meaning("clips a step contrasts; a contrastive loss needs 2")
    ] = 100
    optimizer: Annotated[Literal["adam", "sgd"], meaning("how weights follow the gradient")] = (
        "adam"
    )
    learning_rate: Annotated[Rate, meaning("step size at the start")] = 1e-3
    schedule: Annotated[Literal["cosine", "constant"], meaning("step size over the run")] = "cosine"
    temperature: Annotated[Temperature, meaning("divides the cosines (the paper: 0.07)")] = 0.1
    learn_temperature: Annotated[bool, meaning("train the temperature too")] = False
    width: Annotated[Positive, meaning("dimensions of the shared space")] = 256
    hidden: Annotated[Positive, meaning("units between the two layers of a projection")] = 512
    parts: Annotated[
        Positive, meaning("stretches of time that a clip's features are averaged in")
    ] = 3
    dropout: Annotated[Share, meaning("share of the hidden units left out in a step")] = 0.1
    unfreeze: Annotated[
        Towers,
        meaning(
            "last blocks of a tower to train, clips=2 text=all; none: projections on "
            "cached features"
        ),
    ] = field(default_factory=dict)
    alignment: Annotated[
        Literal[tuple(KINDS)] | None,
        meaning("map that brings translations together before training; none: features as read"),
    ] = None
    parallel_text: Annotated[
        Path | None,
        meaning("captions without clips, a .jsonl file, that the alignment is fitted on too"),
    ] = None
    text_chunk: Annotated[
        NonNegativeInt, meaning("captions a forward pass; 0: all. Same gradients, less memory")
    ] = 0
    precision: Annotated[Literal["fp32", "bf16"], meaning("numbers that towers compute with")] = (
        "fp32"
    )
    init: Annotated[Path | None, meaning("run folder whose weights are the start")] = None
    evaluate_every: Annotated[Positive, meaning("epochs between two scores on val")] = 5
    checkpoint_every: Annotated[Positive, meaning("epochs between two checkpoints")] = 5

    def __post_init__(self) -> None:
        for name, validator in _validators().items():
            given = getattr(self, name)
            try:
                checked = validator.validate_python(given)
            except ValidationError as error:
                described = settings()[name]["description"]
                raise ValueError(f"{name}={given!r}: {fault(error)} ({described})") from error
            object.__setattr__(self, name, checked)
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
        return cls(**(PROFILES[profile] | changes))

    def replace(self, **changes) -> "TrainConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict:
        """Plain values, for config.json and keys."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "TrainConfig":
        """The inverse of as_dict, also of an earlier version's; raises ValueError naming any field
        this version does not know.
        """
        values = _renamed(values)
        unknown = set(values) - set(settings())
        if unknown:
            raise ValueError(
                f"config has unknown fields {sorted(unknown)}: it was written by another version"
            )
        return cls(**values)


def _renamed(values: dict) -> dict:
    """Settings of an earlier version under today's names."""
    today = {former: name for name, former in FORMER.items()}
    renamed = {today.get(name, name): value for name, value in values.items()}
    if isinstance(sides := renamed.get("unfreeze"), dict):
        renamed["unfreeze"] = {today.get(side, side): blocks for side, blocks in sides.items()}
    return renamed


@functools.cache
def settings() -> dict[str, dict]:
    """The JSON schema of every field, by name: description, default, type, and enum or bounds."""
    schema = TypeAdapter(TrainConfig).json_schema()
    described = {}
    for name, about in schema["properties"].items():
        kinds = about.get("anyOf", [{}])
        described[name] = about | kinds[0]  # the other kind is None
    return described


@functools.cache
def _validators() -> dict[str, TypeAdapter]:
    return {entry.name: TypeAdapter(entry.type) for entry in dataclasses.fields(TrainConfig)}


def fault(error: ValidationError) -> str:
    """The first fault that pydantic found, in one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    place = first["loc"]
    return f"{place[0]}: {message}" if place else message
