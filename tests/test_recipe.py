"""Equal settings give equal numbers: what notices a change of them that nobody declared, and that
it does notice.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytest import approx

from atri_lib import evaluation, pooling, recipe
from atri_lib.data import fingerprints
from atri_lib.data.banks import BOOK, default_bank
from atri_lib.encoders.presets import build_encoders
from atri_lib.schemes import Cacl, Scheme
from atri_lib.storage import read_json
from atri_lib.training import TrainConfig, loop
from studies import registry
from tests import recipe_values
from tests.recipe_values import ROWS, STORED, differences

CHANGED = (
    "The numbers have changed: revert, or raise RECIPE (atri_lib/recipe.py), "
    "run `python -m tests.recipe_values` and `make experiments`"
)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def expected():
    return json.loads(STORED.read_text())


@pytest.fixture
def measured(toy, tmp_path):
    """A function of the studies whose first epochs are looked at."""
    return lambda names=(): recipe_values.measured(toy(), tmp_path, names)


def test_the_stored_values_are_of_this_recipe_and_every_number_says_what_changed(expected):
    assert expected["recipe"] == recipe.RECIPE
    assert sorted(recipe.CHANGES) == list(range(1, recipe.RECIPE + 1))
    assert all(recipe.CHANGES.values())
    assert set(ROWS) == set(registry.STUDIES)
    assert set(ROWS) == set(expected["first epochs"])


def test_schemes_steps_and_ranks_are_those_of_this_recipe(measured, expected):
    wrong = differences(measured(), expected)
    assert not wrong, f"{CHANGED} ({'; '.join(wrong)})"


# Rows of the same scheme, optimiser, alignment and kind of start as others; "stages" trains 16
# epochs before its own.
AGAIN = """
stages book_30 lengths_e5 folder folder_new fresh_8 fresh_30 dose_30_e5
fixed_counts_e5 fixed_counts_e5_new stopped stopped_new
cures_e5 cures_folder cures_unseen pictures pictures_apart stamps pixels
phrasing other_bank cldr unseen parallel_text targets_phrasing towers_apart
""".split()
FIRST = [name for name in ROWS if name not in AGAIN]


@pytest.mark.parametrize(
    "names", [FIRST, pytest.param(AGAIN, marks=pytest.mark.slow)], ids=["first", "again"]
)
def test_the_first_epoch_of_a_row_of_every_study_is_that_of_this_recipe(measured, expected, names):
    if default_bank().name != BOOK:
        pytest.skip("the book's recordings cannot be had on this machine")
    found = measured(names)
    wrong = differences(found, expected)
    assert not wrong, f"{CHANGED} ({'; '.join(wrong)})"
    first_epochs = found["first epochs"]
    assert set(first_epochs) == set(names)


@pytest.mark.parametrize("names, least", [(FIRST, 8), (AGAIN, 1)], ids=["first", "again"])
def test_stored_rows_on_the_books_own_data_begin_with_the_same_loss(expected, names, least):
    first_epochs = expected["first epochs"]
    found = 0
    for name in names:
        loss = recipe_values.stored_loss(name)
        if loss is not None:
            found += 1
            assert loss == approx(first_epochs[name], abs=1e-3), name
    assert found >= least


SETTINGS = ("scheme", "optimizer", "alignment", "schedule", "precision", "unfreeze")


def kinds(names):
    """Which values of settings these rows have."""
    found = set()
    for name in names:
        item = recipe_values.fixed_row(name)
        found.add(("start", item.first is None))
        for setting in SETTINGS:
            value = getattr(item.config, setting)
            found.add((setting, str(value)))
    return found


def test_what_is_looked_at_first_meets_every_kind_of_setting():
    assert kinds(FIRST) == kinds(ROWS)


BUILD_MODEL = recipe_values.build_model
CACL_LOSS = Cacl.loss


def heavier(*given, **options):
    return 1.001 * CACL_LOSS(*given, **options)


def in_order(clips, seed, epoch):
    return np.arange(clips)


def no_dropout(values, p=0.5, training=True, inplace=False):
    return values


def largest_of_parts(patches, parts):
    over_time = patches.transpose(1, 2)
    largest = torch.nn.functional.adaptive_max_pool1d(over_time, parts)
    return largest.transpose(1, 2)


def warmer(config, data):
    config = config.replace(temperature=1.001 * config.temperature)
    return BUILD_MODEL(config, data)


def other_generator(scheme, number):
    return np.random.default_rng((scheme.seed, number))


@pytest.mark.parametrize(
    "place, name, planted",
    [
        (Cacl, "loss", heavier),
        (loop, "_schedule", lambda name, done: 1.0),
        (loop, "clip_order", in_order),
        (torch.nn.functional, "dropout", no_dropout),
        (pooling, "equal_parts", largest_of_parts),
        (evaluation.FairRanks, "worst", property(lambda ranks: ranks.above + 1)),
        (recipe_values, "build_model", warmer),
        (Scheme, "_generator", other_generator),
    ],
)
def test_a_change_that_is_planted_is_noticed(measured, expected, monkeypatch, place, name, planted):
    monkeypatch.setattr(place, name, planted)
    assert differences(measured(), expected)


def test_a_key_holds_what_differs_from_the_neutral_settings_and_no_path():
    neutral = TrainConfig().as_dict()
    assert recipe.key_settings(neutral) == {}
    names = {recipe.FORMER.get(name, name) for name in neutral}
    assert names == {*recipe.NEUTRAL, *recipe.PATHS}  # a new setting has a neutral value
    placed = TrainConfig(data="here", init="there", clip_encoder="ced-tiny=/somewhere", epochs=7)
    assert recipe.key_settings(placed.as_dict()) == {"audio_encoder": "ced-tiny", "epochs": 7}
    assert recipe.key_settings(neutral | {"new": 3}) == {"new": 3}


def test_keys_and_older_runs_have_the_former_names():
    config = TrainConfig(clip_encoder="ced-tiny", unfreeze={"clips": 2, "text": "all"})
    former = {"audio_encoder": "ced-tiny", "unfreeze": {"audio": 2, "text": "all"}}
    assert recipe.key_settings(config.as_dict()) == former
    assert TrainConfig.from_dict(former) == config == TrainConfig.from_dict(config.as_dict())


def test_the_books_encoders_are_known_by_what_they_say():
    known = read_json(fingerprints.KNOWN)
    audio, text = build_encoders("mini")
    said = {audio: fingerprints.clip_outputs(audio), text: fingerprints.text_outputs(text)}
    for encoder, values in said.items():
        scale = np.sqrt(np.mean(values**2))
        most = fingerprints.TOLERANCE * scale / 10
        np.testing.assert_allclose(values, known[encoder.name], atol=most)


def test_an_encoder_with_other_weights_has_another_fingerprint():
    _, text = build_encoders("mini")
    before = fingerprints.text_fingerprint(text)
    first = next(text.output.parameters())
    first.data *= 1.02
    assert fingerprints.text_fingerprint(text) != before


def test_a_fingerprint_ignores_rounding_and_sees_a_change():
    values = np.random.default_rng(0).normal(size=fingerprints.PROBED)
    nearby = np.random.default_rng(1).normal(size=fingerprints.PROBED)

    def fingerprint(values: np.ndarray, **said: str) -> str:
        return fingerprints.fingerprint_of(SimpleNamespace(**said), values)

    one = fingerprint(values, name="x")
    assert one.startswith("x-")
    assert fingerprint(values + 1e-7 * nearby, name="x") == one
    assert fingerprint(values + 2e-3 * nearby, name="x") != one
    assert fingerprint(values, name="y") != one
    assert fingerprint(values, name="x", fingerprint="other weights") != one
