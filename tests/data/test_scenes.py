"""Scenes: one seed decides all, splits do not leak, audio is what the recipe says, impossible
wishes are refused.
"""

import copy
import dataclasses
import itertools
import pickle
import re
import time

import numpy as np
import pytest

from atri_lib.data.items import Bank
from atri_lib.data.recipes import Recipe
from atri_lib.data.scenes import SECONDS, make_scenes
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.languages import CODES

SIZES = {"train": 400, "val": 50, "test": 100}


@pytest.fixture(scope="module")
def bank():
    return synthetic_sounds()


@pytest.fixture(scope="module")
def scenes(bank):
    return make_scenes(bank, SIZES)


def test_sizes_and_order_of_splits_are_as_asked(scenes):
    assert {split: len(dataset) for split, dataset in scenes.items()} == SIZES


def test_sentences_are_listed_once_and_the_bank_is_named(scenes):
    val = scenes["val"]
    assert val.sentences("jpn") is val.sentences("jpn") and len(val.sentences("jpn")) == 50
    assert val.owner.tolist() == list(range(50)) and val.origin == "synthetic"


def test_one_seed_gives_the_same_bytes_and_another_does_not(bank, scenes):
    again, other = make_scenes(bank, SIZES), make_scenes(bank, SIZES, seed=1)
    for split in SIZES:
        assert again[split].checksum == scenes[split].checksum != other[split].checksum
        assert again[split].captions == scenes[split].captions
        for index in (7, 3):  # in another order than below
            assert again[split].clip(index).tobytes() == scenes[split].clip(index).tobytes()
    assert scenes["train"].clip(3).tobytes() != other["train"].clip(3).tobytes()


def heard(dataset):
    """Every pair of sounds of every scene by brute force, and what is said of sounds alone."""
    pairs = {
        (a, b) for recipe in dataset.recipes for a in recipe.items for b in recipe.items if a < b
    }
    return pairs, {
        (recipe.items, recipe.far) for recipe in dataset.recipes if len(recipe.items) == 1
    }


def test_no_two_sounds_are_heard_together_in_two_splits(scenes):
    for first, second in itertools.combinations(scenes.values(), 2):
        pairs, alone = (
            mine & theirs for mine, theirs in zip(heard(first), heard(second), strict=True)
        )
        assert not pairs and not alone
        stated = [
            frozenset.union(*(recipe.combinations for recipe in split.recipes))
            for split in (first, second)
        ]
        assert not stated[0] & stated[1]
    assert any(len(recipe.items) == 3 for recipe in scenes["test"].recipes)


def test_kinds_of_scenes_are_as_frequent_in_every_split(scenes):
    for dataset in scenes.values():
        together = np.mean([recipe.layout == "together" for recipe in dataset.recipes])
        assert abs(together - dataset.style.layouts[3]) < 3 * np.sqrt(0.21 / len(dataset))


def test_a_split_does_not_depend_on_the_others(bank, scenes):
    alone = make_scenes(bank, {"test": 30})["test"]
    assert alone.recipes == scenes["test"].recipes[:30]
    assert alone.clip(5).tobytes() == scenes["test"].clip(5).tobytes()


def test_every_possible_scene_can_be_drawn(bank):
    with pytest.raises(ValueError, match="sounds give only") as error:
        make_scenes(bank, {"val": 10**6})
    possible = int(re.search(r"only (\d+)", str(error.value))[1])
    assert (
        len({recipe.said for recipe in make_scenes(bank, {"val": possible})["val"].recipes})
        == possible
    )


def test_every_scene_of_a_split_is_said_differently_in_every_language(scenes):
    for dataset in scenes.values():
        assert len({recipe.said for recipe in dataset.recipes}) == len(dataset)
        for code in CODES:
            assert len(set(dataset.sentences(code))) == len(dataset)


def test_waveforms_are_five_seconds_of_unclipped_sound(scenes):
    for index in range(40):
        wave = scenes["test"].clip(index)
        assert wave.dtype == np.float32 and wave.shape == (80_000,)
        assert np.isfinite(wave).all() and 0.01 < np.abs(wave).max() <= 0.99


def rendered(dataset, recipe):
    one = copy.copy(dataset)
    one.recipes = (recipe,)
    one.style = dataclasses.replace(dataset.style, noise=(80.0, 80.0))
    return one.clip(0)


def test_far_is_quieter_and_duller_than_near(scenes):
    dataset = scenes["test"]
    for sound in range(8):
        near, far = (
            rendered(dataset, Recipe("single", (sound,), (away,), 0)) for away in (False, True)
        )
        assert np.sqrt(np.mean(far**2)) < 0.6 * np.sqrt(np.mean(near**2))


def test_a_sequence_has_its_sounds_in_order(scenes):
    dataset = scenes["test"]
    forward, backward = (
        rendered(dataset, Recipe("sequence", order, (False, False), 0))
        for order in ((0, 9), (9, 0))
    )
    alone = rendered(dataset, Recipe("single", (0,), (False,), 0))[:8000]

    def likeness(wave):
        return np.abs(np.correlate(wave, alone[2000:6000], "valid")).max()

    assert likeness(forward[:40_000]) > 2 * likeness(forward[40_000:])
    assert likeness(backward[40_000:]) > 2 * likeness(backward[:40_000])


def test_rendering_is_a_hundred_times_faster_than_real_time(scenes):
    started = time.perf_counter()
    for index in range(30):
        scenes["test"].clip(index)
    assert time.perf_counter() - started < 30 * SECONDS / 100


def test_too_many_scenes_are_refused_with_the_number_possible(bank):
    small = Bank("few", bank.items[:3])
    with pytest.raises(ValueError, match=r"3 sounds give only \d+"):
        make_scenes(small, {"train": 100, "test": 10})
    with pytest.raises(ValueError, match="not in tuple"):
        make_scenes(bank, {"dev": 3})


def test_far_sounds_are_made_once_for_all_splits(monkeypatch):
    made = []
    monkeypatch.setattr("atri_lib.data.scenes.distant", lambda wave, level: made.append(1) or wave)
    bank = synthetic_sounds()
    splits = make_scenes(bank, {"train": 4, "val": 2}, seed=0)
    assert not made  # captions need none
    far = set()
    for split in [*splits.values(), *splits.values()]:
        for index, recipe in enumerate(split.recipes):
            split.clip(index)
            far |= {number for number, away in recipe.placed if away}
    assert far and len(made) == len(far)
    assert pickle.loads(pickle.dumps(splits["val"])).captions == splits["val"].captions
