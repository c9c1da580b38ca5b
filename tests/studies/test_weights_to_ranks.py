"""The studies of the chapter on size and direction, on toy data; what their parts claim."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from pytest import approx

from atri_lib import storage
from atri_lib.training import TrainConfig
from atri_lib.training.scoring import score
from studies import (
    displacement_effects,
    displacement_studies,
    own_from_ideal,
    systematic_part,
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
    summary = found.summary()
    assert summary["mrv"] == approx(wanted["mrv"])
    assert summary["recall"] == approx(wanted["T2A R@1"])
    assert summary["gap"] == approx(wanted["gap"])
    first = weight_displacement.read(training, training.start, "train", clips=7)
    assert first.margins.shape == (7, 8, 7)


def test_taking_draws_apart_finds_what_was_put_in():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(4000, generator=generator)
    draws = [shared + 2 * torch.randn(4000, generator=generator) for _ in range(6)]
    parts = weight_displacement.take_apart(draws)
    assert parts.systematic == approx(shared.norm().item(), rel=0.1)
    assert parts.own == approx(2 * 4000**0.5, rel=0.05)
    assert parts.cosine == approx(0.2, abs=0.03)
    assert parts.length**2 == approx(parts.systematic**2 + parts.own**2)
    with pytest.raises(ValueError, match="at least 2 draws"):
        weight_displacement.take_apart(draws[:1])


def test_linear_reading_is_the_reading_of_a_short_displacement_and_not_of_a_long_one(training):
    start = training.start
    direction = weight_displacement.random_like(start, seed=0)
    misses = []
    for size in (1e-2, 1.0):
        exact = weight_displacement.read(training, start + size * direction)
        guess = weight_displacement.read_linear(training, start, size * direction)
        others = np.isfinite(exact.margins)
        off = exact.margins[others] - guess.margins[others]
        misses.append(np.abs(off).max())
        assert abs(exact.gap - guess.gap) < 10 * size**2
    assert misses[0] < 5e-3
    assert misses[1] > 10 * misses[0]


@pytest.mark.parametrize("sizes, first", [(None, 10), ([4, 6], 4)])
def test_a_random_displacement_is_as_long_in_every_piece(sizes, first):
    displacement = torch.arange(1.0, 11.0)
    found = weight_displacement.random_like(displacement, seed=0, sizes=sizes)
    assert not torch.equal(found, displacement)
    assert found.norm() == approx(displacement.norm())
    assert found[:first].norm() == approx(displacement[:first].norm())


def test_common_and_between_add_up_to_the_change():
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(2, 5, 3, 6))
    before[:, :, 0] = np.inf
    after[:, :, 0] = np.inf
    common, between = weight_displacement.common_and_between(before, after)
    change = after[..., 1:] - before[..., 1:]
    assert_allclose((common + between)[..., 1:], change)
    assert_allclose(between.mean(axis=1), 0, atol=1e-12)
    assert (common[..., 0] == 0).all()
    shared = generator.normal(size=(5, 1, 6))
    _, nothing = weight_displacement.common_and_between(before, before + shared)
    assert_allclose(nothing, 0, atol=1e-12)


def test_prediction_and_measurement_describe_the_same_arms(training):
    given = training.config, training.data
    predicted = displacement_studies.predict(*given)["arms"]
    measured = displacement_studies.measure(*given)["arms"]
    arms = {"KCL", *weights_to_ranks.ARMS}
    assert set(predicted) == arms
    assert set(measured) == arms
    assert predicted["KCL"] == measured["KCL"]
    arm = predicted["ML-CLAP"]
    assert arm["length"] == approx(measured["ML-CLAP"]["length"], rel=0.5)
    assert arm["sharp"]["mrv"] > 0


def test_own_parts_are_predicted_and_trained_for_the_same_draws(training, monkeypatch):
    shuffled = "2 each, shuffled"
    arms = {shuffled: own_from_ideal.ARMS[shuffled], "KCL": {"scheme": "kcl"}}
    monkeypatch.setattr(own_from_ideal, "ARMS", arms)
    monkeypatch.setattr(own_from_ideal, "TRAINED", tuple(arms))
    given = training.config, training.data
    found = own_from_ideal.predict(*given) | own_from_ideal.measure(*given)
    for reading in ("moved", "linear", "trained"):
        assert found[reading][shuffled] > 0
        assert found[reading]["KCL"] == approx(0, abs=1e-9)  # no languages are drawn


@pytest.mark.parametrize("study, encoder", [("own", None), ("own_e5", "e5")])
@pytest.mark.parametrize("reading", own_from_ideal.READINGS)
def test_stored_predictions_of_own_parts_are_compared_with_every_stored_arm(
    study, encoder, reading
):
    predicted = weights_to_ranks.read(study)
    table = own_from_ideal.compare(predicted, reading, encoder)
    assert set(own_from_ideal.FIXED_COUNTS) <= set(table.index) <= set(own_from_ideal.ARMS)
    expected = np.where(table.off.abs() <= own_from_ideal.WITHIN, "held", "refuted")
    assert (table.verdict == expected).all()
    for held in own_from_ideal.holds(table).values():
        assert held in (True, False)


@pytest.fixture
def compute(toy, monkeypatch, tmp_path):
    """A function that computes a study on toy data, small, and returns its file's content."""
    data = toy()
    monkeypatch.setattr(weights_to_ranks, "load_data", lambda config: data)
    monkeypatch.setattr(weights_to_ranks, "_data_checksum", lambda *named: data.checksum)
    monkeypatch.setattr(weights_to_ranks, "FOLDER", tmp_path)
    monkeypatch.setattr(systematic_part, "memory", lambda *_: {})  # of 500 clips

    def computed(name, **changes):
        config = TrainConfig(**(SMALL | changes))
        study = weights_to_ranks.STUDIES[name]._replace(config=config)
        monkeypatch.setitem(weights_to_ranks.STUDIES, name, study)
        weights_to_ranks.compute(name)
        return weights_to_ranks.read(name)

    return computed


def test_a_course_has_lengths_and_begins_nowhere(compute):
    found = compute("course")
    assert len(found["lengths"]["Latin"]["predicted"]) == 2
    first = found["moves"][0]
    assert first["move"] == "nowhere"
    assert first["length"] == 0
    assert first["between"] == 0


def test_a_long_course_has_its_parts(compute):
    part = compute("long")["parts"][0]
    assert part["epoch"] == 2
    assert part["draw"]["square"] >= 1


def test_a_descent_says_its_rate(compute):
    found = compute("descent", optimizer="sgd", learning_rate=0.1)
    assert found["rate"] in (0.1, 0.3, 1.0)


def test_candidates_have_a_key_and_end_with_a_shorter_run(compute):
    found = compute("candidates", epochs=4)
    assert found["key"] == weights_to_ranks.key_of("candidates")
    assert found["runs"][-1]["run"] == "KCL, 3 epochs"


@pytest.mark.parametrize("change", ["digit", "no key", "nothing"])
def test_a_damaged_file_of_a_study_is_named(tmp_path, monkeypatch, change):
    monkeypatch.setattr(weights_to_ranks, "FOLDER", tmp_path)
    path = tmp_path / "course.json"
    key = {} if change == "no key" else {"key": "a"}
    storage.write_sealed(path, {"seconds": 7} | key)
    written = path.read_text()
    if change == "digit":
        path.write_text(written.replace("7", "8"))
    if change == "nothing":
        path.write_text("")
    with pytest.raises(ValueError, match="course.json.*python -m studies weights_to_ranks/course"):
        weights_to_ranks.read("course")
    with pytest.raises(ValueError, match="course.json"):
        weights_to_ranks.stale()


def test_memory_counts_every_pair_once_by_since_and_by_times(training):
    scheme = training.scheme("ml_clap")
    runs = {"KCL": training.start}
    found = systematic_part.memory(training, runs, scheme, clips=10)["KCL"]
    assert set(found["since"]) <= {"-1", "0", "1"}
    for kind in ("since", "times"):
        assert sum(row["pairs"] for row in found[kind].values()) == 10 * 8


def test_no_better_than_the_ideal_run_where_margins_do_not_move(training):
    start = training.start
    before = weight_displacement.read(training, start)
    row = displacement_effects.effect(before, training, start, torch.zeros_like(start))
    expected = before.summary()["mrv"]
    for measure in ("mrv", "only_common", "only_between"):
        assert row[measure] == expected


def test_the_files_of_the_studies_fit_this_code_and_are_small():
    stale = weights_to_ranks.stale()
    assert not stale, "made with another RECIPE, settings or data: make experiments"
    sizes = [path.stat().st_size for path in weights_to_ranks.FOLDER.glob("*.json")]
    assert sum(sizes) < 300_000
