"""The studies of the chapter on size and direction, on toy data; what their parts claim."""

import json

import numpy as np
import pytest
import torch

from atri_lib.training import TrainConfig
from studies import rank_margins, training_replay, weight_displacement, weights_to_ranks

SMALL = {"epochs": 2, "batch_size": 20, "hidden": 8, "width": 6}


@pytest.fixture
def toys(toy, monkeypatch):
    """Toy data in place of every study's."""
    data = toy()
    monkeypatch.setattr(weights_to_ranks, "load_data", lambda config: data)
    monkeypatch.setattr(weights_to_ranks, "_book_checksum", lambda: data.checksum)
    return data


def test_reading_gives_what_scoring_gives(toys):
    from atri_lib.training.scoring import score

    follower = training_replay.Trainee(TrainConfig(**SMALL), toys)
    found, wanted = (
        weight_displacement.read(follower, follower.start),
        score(follower.model, toys.splits["test"]).summary,
    )
    assert found.summary()["mrv"] == pytest.approx(wanted["mrv"]) and found.gap == pytest.approx(
        wanted["gap"]
    )
    assert found.summary()["recall"] == pytest.approx(wanted["T2A R@1"])
    assert weight_displacement.read(follower, follower.start, "train", clips=7).margins.shape == (
        7,
        8,
        7,
    )


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


def test_linear_reading_is_the_reading_of_a_short_way_and_not_of_a_long_one(toys):
    follower = training_replay.Trainee(TrainConfig(**SMALL), toys)
    way = weight_displacement.random_like(follower.start, seed=0)
    own = np.isinf(weight_displacement.read(follower, follower.start).margins)
    misses = []
    for size in (1e-2, 1.0):
        exact = weight_displacement.read(follower, follower.start + size * way)
        guess = weight_displacement.read_linear(follower, follower.start, size * way)
        misses.append(np.abs(exact.margins[~own] - guess.margins[~own]).max())
        assert abs(exact.gap - guess.gap) < 10 * size**2
    assert misses[0] < 5e-3 and misses[1] > 10 * misses[0]


def test_a_random_way_is_as_long_in_every_piece():
    way = torch.arange(1.0, 11.0)
    other = weight_displacement.random_like(way, seed=0, pieces=[4, 6])
    assert other[:4].norm() == pytest.approx(way[:4].norm().item())
    assert weight_displacement.random_like(way, seed=0).norm() == pytest.approx(way.norm().item())
    assert not torch.equal(other, way)


def test_common_and_between_add_up_to_the_change():
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(2, 5, 3, 6))
    before[:, :, 0] = after[:, :, 0] = np.inf
    common, between = weight_displacement.common_and_between(before, after)
    np.testing.assert_allclose((common + between)[..., 1:], after[..., 1:] - before[..., 1:])
    np.testing.assert_allclose(between.mean(axis=1), 0, atol=1e-12)
    assert (common[..., 0] == 0).all()
    same = weight_displacement.common_and_between(
        before, before + generator.normal(size=(5, 1, 6))
    )[1]
    np.testing.assert_allclose(same, 0, atol=1e-12)  # what all languages share is not between them


def test_prediction_and_measurement_describe_the_same_arms(toys):
    config = TrainConfig(**SMALL)
    predicted, measured = (
        weights_to_ranks.predict(config)["arms"],
        weights_to_ranks.measure(config)["arms"],
    )
    assert set(predicted) == set(measured) == {"KCL", *weights_to_ranks.ARMS}
    assert predicted["KCL"] == measured["KCL"]
    assert predicted["ML-CLAP"]["length"] == pytest.approx(measured["ML-CLAP"]["length"], rel=0.5)
    assert predicted["ML-CLAP"]["sharp"]["mrv"] > 0


def test_course_and_descent_and_candidates_fill_their_files(toys, monkeypatch, tmp_path):
    monkeypatch.setattr(weights_to_ranks, "FOLDER", tmp_path)
    monkeypatch.setattr(weights_to_ranks, "memory", lambda *_: {})  # of 500 clips
    studies = {"course": {}, "long": {}, "candidates": {"epochs": 4}}
    studies["descent"] = {"optimizer": "sgd", "learning_rate": 0.1}
    for name, changes in studies.items():
        monkeypatch.setitem(
            weights_to_ranks.STUDIES,
            name,
            (getattr(weights_to_ranks, name), TrainConfig(**(SMALL | changes))),
        )
    weights_to_ranks.main(list(studies))
    course, long, candidates, descent = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in studies
    )
    assert len(course["lengths"]["Latin"]["predicted"]) == 2
    first = course["moves"][0]
    assert first["move"] == "nowhere" and first["length"] == first["between"] == 0
    assert long["parts"][0]["epoch"] == 2 and long["parts"][0]["draw"]["square"] >= 1
    assert descent["rate"] in (0.1, 0.3, 1.0)
    assert candidates["key"] == weights_to_ranks.key_of("candidates")
    assert [row["run"] for row in candidates["runs"]][-1] == "KCL, 3 epochs"


def test_no_better_than_the_ideal_run_where_margins_do_not_move(toys):
    follower = training_replay.Trainee(TrainConfig(**SMALL), toys)
    before = weight_displacement.read(follower, follower.start)
    row = weights_to_ranks.effect(
        before, follower, follower.start, torch.zeros_like(follower.start)
    )
    assert row["mrv"] == row["only_common"] == row["only_between"] == before.summary()["mrv"]
    assert (rank_margins.ranks_of(before.margins) >= 1).all()


def test_the_files_of_the_studies_fit_this_code_and_are_small():
    files = sorted(weights_to_ranks.FOLDER.glob("*.json"))
    assert {"predict_11", "measure_11", "course", "descent", "candidates"} <= {
        path.stem for path in files
    }
    assert not weights_to_ranks.stale(), (
        "made with another RECIPE, settings or data: make experiments"
    )
    assert sum(path.stat().st_size for path in files) < 300_000
