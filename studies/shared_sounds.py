"""Which sounds (or pictures) the test scenes of the studies hold: scenes that share one are not
independent of each other.

Stored in studies/rows/shared_sounds.json, so that no chapter needs the recordings for an interval.
"""

import functools
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from atri_lib import storage
from atri_lib.data.dataset import SPLITS
from atri_lib.data.recipes import Recipe
from atri_lib.data.scenes import make_scenes
from atri_lib.training import load_datasets
from studies.items import Item
from studies.results import FOLDER, intact
from studies.scratch import scratch_sounds

NAME = "shared_sounds.json"


@functools.cache
def groups(data: str, folder: pathlib.Path = FOLDER) -> np.ndarray | None:
    """Whether each test caption's scene holds each sound, bool [M, G], by the checksum of a run's
    data (`Result.data`); None for data without an entry. Raises ResultsError.
    """
    path = folder / NAME
    with intact(path):
        stored = storage.read_json(path)
        name = stored["data"].get(data)
        if name is None:
            return None
        scenes = stored["scenes"][name].split(", ")
        return as_groups([[int(sound) for sound in scene.split()] for scene in scenes])


def as_groups(scenes: Sequence[Sequence[int]]) -> np.ndarray:
    """Indices of the sounds of every scene -> bool [M, G]."""
    member = np.zeros((len(scenes), 1 + max(max(scene) for scene in scenes)), dtype=bool)
    for row, scene in zip(member, scenes, strict=True):
        row[list(scene)] = True
    return member


def recipes_of(item: Item) -> Sequence[Recipe]:
    """What the test scenes of a run hold; nothing for a dataset without `recipes`, whose captions
    then count as independent. Raises BankUnavailable.
    """
    if item.scratch is None:
        dataset = load_datasets(item.located(), ("test",))["test"]
        return getattr(dataset, "recipes", ())
    sizes, seed = item.scratch
    scenes = make_scenes(scratch_sounds(), dict(zip(SPLITS, sizes, strict=True)), seed)
    return scenes["test"].recipes


def note(item: Item, data: Iterable[str], folder: pathlib.Path = FOLDER) -> None:
    """Store which sounds the test scenes of a run hold, under the checksums of data that have
    these scenes. Raises BankUnavailable.
    """
    path = folder / NAME
    stored = storage.read_json(path) if path.exists() else {"scenes": {}, "data": {}}
    recipes = recipes_of(item)
    if not recipes:
        return
    scenes = ", ".join(" ".join(map(str, recipe.items)) for recipe in recipes)
    name = storage.checksum(scenes)
    stored["scenes"][name] = scenes
    stored["data"] |= dict.fromkeys(data, name)
    storage.write_json(path, stored)
    groups.cache_clear()
