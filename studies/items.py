"""A run of a study, and how lists of runs are written: schemes times seeds."""

import dataclasses
from dataclasses import dataclass

from atri_lib.data.banks import PICTURES
from atri_lib.data.picture_scenes import APART, NAMES
from atri_lib.training import DATA_SETTINGS, TrainConfig
from studies import arms
from studies.arms import CACL, KCL, ML_CLAP
from studies.scratch import scratch_manifest

# The settings that what is loaded depends on: an open tower has no cached features.
DATA = (*DATA_SETTINGS, "unfreeze", "parallel_text")
MAIN = {
    "ML-CLAP": ML_CLAP,
    "balanced": arms.balanced(1),
    "CACL": CACL,
    "balanced 2": arms.balanced(2),
    "KCL": KCL,
}


@dataclass(frozen=True)
class Item:
    """A run of a study. first: the run whose weights it starts from, None: from its seed.

    scratch: sizes and seed of scenes of other recordings, which are written as a folder when they
    are needed; None: the scenes are those of `config`.
    """

    label: str
    config: TrainConfig
    first: TrainConfig | None = None
    scratch: tuple[tuple[int, int, int], int] | None = None

    def located(self) -> TrainConfig:
        """The config with the place of its data. Raises BankUnavailable, also for pictures, in
        whose place a study takes no drawn shapes.
        """
        if self.config.data in NAMES:
            PICTURES[self.config.data.removesuffix(APART)]()
        if self.scratch is None:
            return self.config
        return self.config.replace(data=str(scratch_manifest(*self.scratch).parent))


def with_seeds(count: int, schemes: dict[str, dict], **common) -> list[Item]:
    """Every scheme (its label: its settings) with seeds 0 ... count - 1."""
    common = {"evaluate_every": 1000, "checkpoint_every": 1000} | common
    items = []
    for label, own in schemes.items():
        for seed in range(count):
            items.append(Item(label, TrainConfig(**common | own, seed=seed)))
    return items


def after(items: list[Item], **common) -> list[Item]:
    """The same runs, each from the weights of a run of ML-CLAP with its seed."""
    (start,) = with_seeds(1, {"": ML_CLAP}, **common)
    found = []
    for item in items:
        first = start.config.replace(seed=item.config.seed)
        found.append(dataclasses.replace(item, first=first))
    return found


def of_scratch(items: list[Item], sizes: tuple[int, int, int], seed: int = 0) -> list[Item]:
    """The same runs on scenes of other recordings."""
    return [dataclasses.replace(item, scratch=(sizes, seed)) for item in items]


def some(*labels: str) -> dict[str, dict]:
    """Some of the five schemes."""
    return {label: MAIN[label] for label in labels}


def longer(*labels: str) -> dict[str, dict]:
    """Some of the five schemes for twice as many epochs."""
    return {f"{label}, 32 epochs": MAIN[label] | {"epochs": 32} for label in labels}


def aligned(*kinds: str | None, schemes: dict[str, dict]) -> dict[str, dict]:
    """Every scheme with every alignment of the text features; None: features as they were read."""
    runs = {}
    for kind in kinds:
        for label, scheme in schemes.items():
            name = f"{label}, {kind}" if kind else label
            runs[name] = scheme | {"alignment": kind}
    return runs
