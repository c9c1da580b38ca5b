"""The studies of the chapter on size and direction, on toy data; what their parts claim."""

import json

import numpy as np
import pytest
import torch

from atri_lib import storage
from atri_lib.training import TrainConfig
from atri_lib.training.scoring import score
from studies import (
    displacement_effects,
    displacement_studies,
    own_from_ideal,
    rank_margins,
    weight_displacement,
    weights_to_ranks,
)
from studies.training_replay import ProjectionTraining

SMALL = {"epochs": 2, "batch_size": 20, "hidden": 8, "width": 6}


@pytest.fixture
def training(toy):
    return ProjectionTraining(TrainConfig(**SMALL), toy())


def test_reading_gives_what_scoring_gives(training):
    found = weight_displacement.read(training, training.start)
    wanted = score(training.model, training.data.splits["test"]).summary
    assert found.summary()["mrv"] == pytest.approx(wanted["mrv"])
    assert found.summary()["recall"] == pytest.approx(wanted["T2A R@1"])
    assert found.gap == pytest.approx(wanted["gap"])
    first = weight_displacement.read(training, training.start, "train", clips=7)
    assert first.margins.shape == (7, 8, 7)


def test_taking_draws_apart_finds_what_was_put_in():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(4000, generator=generator)
    draws = [shared + 2 * torch.randn(4000, generator=generator) for _ in range(6)]
    parts = weight_displacement.take_apart(draws)
    assert parts.systematic == pytest.approx(shared.norm().item(), rel=0.1)
    assert parts.own == pytest.approx(2 * 4000**0.5, rel=0.05)
    assert parts.cosine == pytest.approx(0.2, abs=0.03)
    assert parts.length**2 == pytest.approx(parts.systematic**2 + parts.own**2)
    with pytest.raises(ValueError, match="at least 2 draws"):
        weight_displacement.take_apart(draws[:1])


def test_linear_reading_is_the_reading_of_a_short_displacement_and_not_of_a_long_one(training):
    start = training.start
    displacement = weight_displacement.random_like(start, seed=0)
    own = np.isinf(weight_displacement.read(training, start).margins)
    misses = []
    for size in (1e-2, 1.0):
        exact = weight_displacement.read(training, start + size * displacement)
        guess = weight_displacement.read_linear(training, start, size * displacement)
        misses.append(np.abs(exact.margins[~own] - guess.margins[~own]).max())
        assert abs(exact.gap - guess.gap) < 10 * size**2
    assert misses[0] < 5e-3
    assert misses[1] > 10 * misses[0]


def test_a_random_displacement_is_as_long_in_every_piece():
    displacement = torch.arange(1.0, 11.0)
    whole = weight_displacement.random_like(displacement, seed=0)
    pieces = weight_displacement.random_like(displacement, seed=0, sizes=[4, 6])
    assert whole.norm() == pytest.approx(displacement.norm().item())
    assert pieces[:4].norm() == pytest.approx(displacement[:4].norm().item())
    assert not torch.equal(pieces, displacement)


def test_common_and_between_add_up_to_the_change():
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(2, 5, 3, 6))
    before[:, :, 0] = after[:, :, 0] = np.inf
    common, between = weight_displacement.common_and_between(before, after)
    np.testing.assert_allclose((common + between)[..., 1:], after[..., 1:] - before[..., 1:])
    np.testing.assert_allclose(between.mean(axis=1), 0, atol=1e-12)
    assert (common[..., 0] == 0).all()
    shared = generator.normal(size=(5, 1, 6))
    _, nothing = weight_displacement.common_and_between(before, before + shared)
    np.testing.assert_allclose(nothing, 0, atol=1e-12)


def test_prediction_and_measurement_describe_the_same_arms(training):
    predicted = displacement_studies.predict(training.config, training.data)["arms"]
    measured = displacement_studies.measure(training.config, training.data)["arms"]
    assert set(predicted) == set(measured) == {"KCL", *weights_to_ranks.ARMS}
    assert predicted["KCL"] == measured["KCL"]
    assert predicted["ML-CLAP"]["length"] == pytest.approx(measured["ML-CLAP"]["length"], rel=0.5)
    assert predicted["ML-CLAP"]["sharp"]["mrv"] > 0


def test_own_parts_are_predicted_and_trained_for_the_same_draws(training, monkeypatch):
    arms = {"2 each, shuffled": own_from_ideal.ARMS["2 each, shuffled"], "KCL": {"scheme": "kcl"}}
    monkeypatch.setattr(own_from_ideal, "ARMS", arms)
    monkeypatch.setattr(own_from_ideal, "TRAINED", tuple(arms))
    predicted = own_from_ideal.predict(training.config, training.data)
    trained = own_from_ideal.measure(training.config, training.data)["trained"]
    for found in (predicted["moved"], predicted["linear"], trained):
        assert found["2 each, shuffled"] > 0
        assert found["KCL"] == pytest.approx(0, abs=1e-9)  # no languages are drawn


@pytest.mark.parametrize("study, encoder", [("own", None), ("own_e5", "e5")])
def test_stored_predictions_of_own_parts_are_compared_with_every_stored_arm(study, encoder):
    predicted = weights_to_ranks.read(study)
    for reading in own_from_ideal.READINGS:
        table = own_from_ideal.compare(predicted, reading, encoder)
        assert set(own_from_ideal.FIXED_COUNTS) <= set(table.index) <= set(own_from_ideal.ARMS)
        assert ((table.off.abs() <= own_from_ideal.WITHIN) == (table.verdict == "held")).all()
        assert set(own_from_ideal.holds(table).values()) <= {True, False}


def test_course_and_descent_and_candidates_fill_their_files(toy, monkeypatch, tmp_path):
    data = toy()
    monkeypatch.setattr(weights_to_ranks, "load_data", lambda config: data)
    monkeypatch.setattr(weights_to_ranks, "_data_checksum", lambda *named: data.checksum)
    monkeypatch.setattr(weights_to_ranks, "FOLDER", tmp_path)
    monkeypatch.setattr(displacement_studies, "memory", lambda *_: {})  # of 500 clips
    changes = {
        "course": {},
        "long": {},
        "candidates": {"epochs": 4},
        "descent": {"optimizer": "sgd", "learning_rate": 0.1},
    }
    for name, own in changes.items():
        small = weights_to_ranks.STUDIES[name]._replace(config=TrainConfig(**(SMALL | own)))
        monkeypatch.setitem(weights_to_ranks.STUDIES, name, small)
    for name in changes:
        weights_to_ranks.compute(name)
    found = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in changes}
    assert len(found["course"]["lengths"]["Latin"]["predicted"]) == 2
    first = found["course"]["moves"][0]
    assert first["move"] == "nowhere"
    assert first["length"] == first["between"] == 0
    part = found["long"]["parts"][0]
    assert part["epoch"] == 2
    assert part["draw"]["square"] >= 1
    assert found["descent"]["rate"] in (0.1, 0.3, 1.0)
    assert found["candidates"]["key"] == weights_to_ranks.key_of("candidates")
    assert found["candidates"]["runs"][-1]["run"] == "KCL, 3 epochs"


@pytest.mark.parametrize("change", ["digit", "no key", "nothing"])
def test_a_damaged_file_of_a_study_is_named(tmp_path, monkeypatch, change):
    monkeypatch.setattr(weights_to_ranks, "FOLDER", tmp_path)
    path = tmp_path / "course.json"
    storage.write_sealed(path, {"seconds": 7} if change == "no key" else {"key": "a", "seconds": 7})
    if change == "digit":
        path.write_text(path.read_text().replace("7", "8"))
    if change == "nothing":
        path.write_text("")
    with pytest.raises(ValueError, match="course.json.*python -m studies weights_to_ranks/course"):
        weights_to_ranks.read("course")
    with pytest.raises(ValueError, match="course.json"):
        weights_to_ranks.stale()


def test_memory_counts_every_pair_once_by_since_and_by_times(training):
    scheme = training.scheme("ml_clap")
    found = displacement_studies.memory(training, {"KCL": training.start}, scheme, clips=10)["KCL"]
    assert set(found["since"]) <= {"-1", "0", "1"}
    for kind in ("since", "times"):
        assert sum(row["pairs"] for row in found[kind].values()) == 10 * 8


def test_no_better_than_the_ideal_run_where_margins_do_not_move(training):
    start = training.start
    before = weight_displacement.read(training, start)
    row = displacement_effects.effect(before, training, start, torch.zeros_like(start))
    assert row["mrv"] == row["only_common"] == row["only_between"] == before.summary()["mrv"]
    assert (rank_margins.ranks_of(before.margins) >= 1).all()


def test_the_files_of_the_studies_fit_this_code_and_are_small():
    files = sorted(weights_to_ranks.FOLDER.glob("*.json"))
    expected = {"predict_11", "measure_11", "course", "descent", "candidates"}
    assert expected <= {path.stem for path in files}
    stale = weights_to_ranks.stale()
    assert not stale, "made with another RECIPE, settings or data: make experiments"
    assert sum(path.stat().st_size for path in files) < 300_000
