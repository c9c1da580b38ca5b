"""The data that a config names: scenes of sounds or pictures, a manifest, a class from outside."""

import os
from collections.abc import Sequence

from atri_lib.data.banks import default_bank
from atri_lib.data.dataset import SPLITS, Dataset
from atri_lib.data.manifest import load_manifest, load_parallel_text
from atri_lib.data.picture_scenes import NAMES, picture_scenes
from atri_lib.data.scenes import make_scenes
from atri_lib.outside import is_outside, outside_arguments, outside_class
from atri_lib.training.config import TrainConfig


def are_pictures(data: str | None) -> bool:
    """Whether data are scenes of pictures, by one of their names, not a path."""
    return data in NAMES and not os.path.exists(data)


def load_datasets(config: TrainConfig, splits: Sequence[str] = SPLITS) -> dict[str, Dataset]:
    """The datasets a config names, by split: a manifest's, those of a class from outside
    (`module:Class`, called with the name of each split), scenes of pictures ("pictures"), or scenes
    composed from the sounds at hand.
    """
    sizes = dict(zip(SPLITS, config.scenes, strict=True))
    if config.data is None:
        datasets = make_scenes(default_bank(), sizes, config.data_seed)
    elif are_pictures(config.data):
        datasets = picture_scenes(config.data, sizes, config.data_seed)
    elif is_outside(config.data) and not os.path.exists(config.data):
        datasets = {split: _from_outside(config.data, "data", split) for split in splits}
    else:
        datasets = load_manifest(config.data, config.languages)
    missing = [split for split in splits if split not in datasets]
    if missing:
        raise ValueError(
            f"{config.data}: no lines with split {', '.join(missing)}, "
            f"but {', '.join(splits)} are needed"
        )
    return {split: datasets[split] for split in splits}


def parallel_text(config: TrainConfig) -> list[Dataset]:
    """The captions without clips that a config names, one dataset or none: a file's
    (`load_parallel_text`), or those of a class from outside, called with "train".
    """
    if config.parallel_text is None:
        return []
    if not is_outside(config.parallel_text) or os.path.exists(config.parallel_text):
        return [load_parallel_text(config.parallel_text, config.languages)]
    dataset = _from_outside(config.parallel_text, "parallel_text", "train")
    if missing := [code for code in config.languages if code not in dataset.languages]:
        raise ValueError(f"{config.parallel_text} has no captions in {', '.join(missing)}")
    return [dataset]


def _from_outside(given: str, setting: str, split: str) -> Dataset:
    kind = outside_class(given, Dataset, setting, "atri_lib.data.dataset.Dataset")
    return kind(split, *outside_arguments(given))
