"""Everything a run depends on, in one frozen record."""

import dataclasses
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class TrainConfig:
    """scheme, m, languages: who is contrasted; preset, data, scenes: with what; the rest: how it is optimised.

    data: path of a manifest, or None for scenes of sizes (train, val, test) composed with data_seed.
    m, hold, text_text: settings of the schemes that have them (languages a step sees; epochs a clip keeps its language;
    weight of the text-text part of cacl and cacl_unbiased, 1/3 in the paper); None is the scheme's own.
    text_chunk: captions per forward pass of the text side (0: all at once); a chunk keeps memory independent of K with
    the same gradients. init: a run folder whose weights are the start.
    unfreeze: blocks of each tower to train, {"audio": 2, "text": "all"}; empty trains projections on cached features.
    Raises ValueError naming the field for a value that cannot work.
    """

    scheme: str = "kcl"
    m: int | None = None
    hold: int | None = None
    text_text: float | None = None
    languages: tuple[str, ...] = CODES
    seed: int = 0
    preset: str = "mini"
    text_encoder: str | None = None
    audio_encoder: str | None = None
    data: str | None = None
    scenes: tuple[int, int, int] = (2000, 250, 500)
    data_seed: int = 0
    epochs: int = 30
    batch_size: int = 100
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    temperature: float = 0.1
    learn_temperature: bool = False
    width: int = 256
    hidden: int = 512
    parts: int = 3
    dropout: float = 0.1
    unfreeze: dict = field(default_factory=dict)
    text_chunk: int = 0
    precision: str = "fp32"
    init: str | None = None
    evaluate_every: int = 5
    checkpoint_every: int = 5

    def __post_init__(self) -> None:
        for code in self.languages:
            language(code)
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(f"languages={self.languages}: at least English, and none twice")
        choices = {
            "scheme": tuple(SCHEMES), "optimizer": ("adam", "sgd"), "schedule": ("cosine", "constant"),
            "precision": ("fp32", "bf16"),
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: use one of {', '.join(allowed)}")
        if self.languages[0] != "eng":
            raise ValueError(f"languages={self.languages}: English (eng) comes first")
        if self.batch_size < 2:
            raise ValueError(f"batch_size={self.batch_size}: a contrastive loss needs at least 2 clips in a batch")
        for name in ("epochs", "evaluate_every", "checkpoint_every", "learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be positive")
        if len(self.scenes) != 3:
            raise ValueError(f"scenes={self.scenes}: three sizes, of train, val and test")
        if self.text_chunk < 0 or not 0 <= self.dropout < 1 or min(self.width, self.hidden, self.parts) < 1:
            raise ValueError(
                f"text_chunk={self.text_chunk}, dropout={self.dropout}, width={self.width}, hidden={self.hidden}, "
                f"parts={self.parts}: a chunk is not negative, dropout below 1, the others at least 1"
            )
        for side, blocks in self.unfreeze.items():
            if side not in ("audio", "text"):
                raise ValueError(f"unfreeze names {side!r}: use 'audio' or 'text'")
            if blocks != "all" and not (isinstance(blocks, int) and blocks >= 0):
                raise ValueError(f"unfreeze {side}={blocks!r}: a number of blocks, or 'all'")
        self.build_scheme(clips=2)  # refuses what cannot be

    def build_scheme(self, clips: int) -> Scheme:
        """The scheme over that many clips, with the settings given."""
        settings = {name: getattr(self, name) for name in SETTINGS}
        return SCHEMES[self.scheme](clips=clips, languages=len(self.languages), seed=self.seed, **settings)

    @classmethod
    def for_profile(cls, profile: str = "book", **changes) -> "TrainConfig":
        """The settings of a chapter's profile ("book", "smoke", "paper") with some fields changed."""
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
        unknown = set(values) - {entry.name for entry in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(f"config has unknown fields {sorted(unknown)}: it was written by another version")
        lists = {name: tuple(values[name]) for name in ("languages", "scenes") if name in values}
        return cls(**(values | lists))
