"""Which sounds (or pictures) the test scenes of the studies hold: scenes that share one are not
independent of each other.

Stored in studies/rows/shared_sounds.json, so that no chapter needs the recordings for an interval.
"""

import functools
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from atri_lib import evaluation, storage
from atri_lib.data.dataset import SPLITS
from atri_lib.data.recipes import Recipe
from atri_lib.data.scenes import make_scenes
from atri_lib.evaluation.significance import Difference, independent
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


def two_way_interval(a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None) -> Difference:
    """`evaluation.two_way_interval` where clips that share something (a sound) are not independent.

    groups: bool [N, G], what the clips hold; None: they share nothing. Their variance and its
    degrees of freedom are exact where all of the clips' variance is that of the groups. Raises
    ValueError also for groups that are none. Sources: Fafchamps and Gubert 2007, with the
    correction for few groups of Bell and McCaffrey 2002.
    """
    if groups is None:
        return evaluation.two_way_interval(a, b)
    among_clips = functools.partial(_of_groups, np.asarray(groups))
    return evaluation.two_way_interval(a, b, among_clips)


def _of_groups(groups: np.ndarray, by_clip: np.ndarray) -> tuple[float, float]:
    """Variance of the mean of clips that share groups, [N, G], and its degrees of freedom.

    by_clip: [N], distances from the mean. Products are summed over the pairs of clips that share a
    group.
    """
    clips = len(by_clip)
    if groups.dtype != bool or groups.shape[:1] != (clips,):
        raise ValueError(
            f"groups must be bool, a row per clip [{clips}, G], got {groups.dtype} {groups.shape}"
        )
    together, factor, freedom = _sharing(groups.tobytes(), clips)
    products = float(by_clip @ together @ by_clip)
    shared = factor * products / clips**2
    return max(independent(by_clip)[0], shared), freedom


@functools.lru_cache(maxsize=1)  # many contrasts have the same groups
def _sharing(groups: bytes, clips: int) -> tuple[np.ndarray, float, float]:
    """Of groups bool [N, G]: which clips share one, [N, N]; by which factor the sum over such pairs
    is too small, since the clips' own mean was taken off; its degrees of freedom.

    If every group had an effect of variance 1, and nothing else varied, that sum would be a
    quadratic form of these effects: its mean is the trace of `form`, its variance twice the squared
    norm. Of two groups apart it has one degree of freedom.
    """
    held = np.frombuffer(groups, dtype=bool).reshape(clips, -1)
    member = held[:, held.any(axis=0)].astype(float)
    together = (member @ member.T > 0).astype(float)
    centred = member - member.mean(axis=0)
    form = centred.T @ together @ centred
    expected = float(np.trace(form))
    apart = member.any(axis=1).all() and not together.all()
    freedom = expected**2 / float(np.square(form).sum()) if apart else 0.0
    if expected <= 0 or freedom < 0.99:
        raise ValueError("every clip must be in a group, and enough of them apart for an interval")
    members = member.sum(axis=0)
    factor = float(np.square(members).sum()) / expected
    return together, factor, freedom
