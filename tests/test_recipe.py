"""Equal settings give equal numbers: what notices a change of them that nobody declared, and that
it does notice.
"""

import json

import numpy as np
import pytest
import torch

from atri_lib import evaluation, pooling, recipe
from atri_lib.data import fingerprints
from atri_lib.data.banks import BOOK, default_bank
from atri_lib.encoders.presets import build_encoders
from atri_lib.schemes import Cacl, Scheme
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


def test_the_stored_values_are_of_this_recipe_and_every_number_says_what_changed(expected):
    assert expected["recipe"] == recipe.RECIPE == max(recipe.CHANGES)
    assert sorted(recipe.CHANGES) == list(range(1, recipe.RECIPE + 1)) and all(
        recipe.CHANGES.values()
    )
    assert set(ROWS) == set(registry.STUDIES) == set(expected["first epochs"])


def test_schemes_steps_and_ranks_are_those_of_this_recipe(toy, tmp_path, expected):
    wrong = differences(recipe_values.measured(toy(), tmp_path, []), expected)
    assert not wrong, f"{CHANGED} ({'; '.join(wrong)})"


# Rows of the same scheme, optimiser, alignment and kind of start as others; "stages" trains 16
# epochs before its own.
AGAIN = (
    "stages",
    "book_30",
    "lengths_e5",
    "folder",
    "folder_new",
    "fresh_8",
    "fresh_30",
    "dose_30_e5",
    "fixed_counts_e5",
    "fixed_counts_e5_new",
    "stopped",
    "stopped_new",
    "cures_e5",
    "cures_folder",
    "cures_unseen",
    "pictures",
    "pictures_apart",
    "stamps",
    "pixels",
    "phrasing",
    "other_bank",
    "cldr",
    "unseen",
    "parallel_text",
    "targets_phrasing",
    "towers_apart",
)
FIRST = tuple(name for name in ROWS if name not in AGAIN)


@pytest.mark.parametrize(
    "names", [FIRST, pytest.param(AGAIN, marks=pytest.mark.slow)], ids=["first", "again"]
)
def test_the_first_epoch_of_a_row_of_every_study_is_that_of_this_recipe(
    toy, tmp_path, expected, names
):
    if default_bank().name != BOOK:
        pytest.skip("the book's recordings cannot be had on this machine")
    found = recipe_values.measured(toy(), tmp_path, list(names))
    wrong = differences(found, expected)
    assert not wrong, f"{CHANGED} ({'; '.join(wrong)})"
    assert set(found["first epochs"]) == set(names)
    stored = {name: recipe_values.stored_loss(name) for name in names}
    own = {name: loss for name, loss in stored.items() if loss is not None}
    assert len(own) >= (8 if names == FIRST else 1)  # the studies on the book's own data
    for name, loss in own.items():
        assert loss == pytest.approx(expected["first epochs"][name], abs=1e-3), name


def test_what_is_looked_at_first_meets_every_kind_of_setting():
    def kinds(names):
        items = [recipe_values.fixed_row(name) for name in names]
        return {
            setting: {str(getattr(item.config, setting)) for item in items}
            for setting in ("scheme", "optimizer", "alignment", "schedule", "precision", "unfreeze")
        } | {"start": {item.first is not None for item in items}}

    assert kinds(FIRST) == kinds(ROWS)


# What is planted -> how.
PLANTED = {
    "a loss's weight": lambda patch: patch.setattr(
        Cacl, "loss", lambda self, *rest, **more: 1.001 * CACL_LOSS(self, *rest, **more)
    ),
    "the schedule": lambda patch: patch.setattr(loop, "_schedule", lambda name, done: 1.0),
    "the order of clips": lambda patch: patch.setattr(
        loop,
        "_epoch_order",
        lambda seed, epoch, source, ordered_as: (
            torch.arange(len(source)),
            torch.arange(len(source)),
        ),
    ),
    "dropout": lambda patch: patch.setattr(
        torch.nn.functional, "dropout", lambda values, p=0.5, training=True, inplace=False: values
    ),
    "pooling": lambda patch: patch.setattr(
        pooling,
        "equal_parts",
        lambda patches, parts: torch.nn.functional.adaptive_max_pool1d(
            patches.transpose(1, 2), parts
        ).transpose(1, 2),
    ),
    "a tie in ranks": lambda patch: patch.setattr(
        evaluation.FairRanks, "worst", property(lambda ranks: ranks.above + 1)
    ),
    "the temperature": lambda patch: patch.setattr(
        recipe_values,
        "build_model",
        lambda config, data: BUILD_MODEL(
            config.replace(temperature=1.001 * config.temperature), data
        ),
    ),
    "the draw of languages": lambda patch: patch.setattr(
        Scheme, "_generator", lambda self, number: np.random.default_rng((self.seed, number))
    ),
}
BUILD_MODEL, CACL_LOSS = recipe_values.build_model, Cacl.loss


@pytest.mark.parametrize("change", PLANTED)
def test_a_change_that_is_planted_is_noticed(toy, tmp_path, expected, monkeypatch, change):
    PLANTED[change](monkeypatch)
    assert differences(recipe_values.measured(toy(), tmp_path, []), expected)


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
    audio, text = build_encoders("mini")
    known = fingerprints.known_outputs()
    for encoder, outputs in (
        (audio, fingerprints.clip_outputs),
        (text, fingerprints.text_outputs),
    ):
        values = outputs(encoder)
        scale = np.sqrt(np.mean(values**2))
        np.testing.assert_allclose(
            values, known[encoder.name], atol=fingerprints.TOLERANCE * scale / 10
        )
    before = fingerprints.text_fingerprint(text)
    with torch.no_grad():
        text.output.get_parameter(next(name for name, _ in text.output.named_parameters())).mul_(
            1.02
        )
    assert fingerprints.text_fingerprint(text) != before


def test_a_fingerprint_ignores_rounding_and_sees_a_change():
    values = np.random.default_rng(0).normal(size=fingerprints.PROBED)
    nearby = np.random.default_rng(1).normal(size=fingerprints.PROBED)
    one = fingerprints.fingerprint_of("x", values)
    assert one.startswith("x-")
    assert fingerprints.fingerprint_of("x", values + 1e-7 * nearby) == one
    assert fingerprints.fingerprint_of("x", values + 2e-3 * nearby) != one
    assert fingerprints.fingerprint_of("y", values) != one
    assert fingerprints.fingerprint_of("x", values, "other weights") != one
