"""What was predicted of the studies of pictures, with limits, and how it is judged."""

import numpy as np
import pytest

from atri_lib import storage
from studies import picture_figures
from studies.results import FOLDER, ResultsError

LIMITS = storage.read_json(FOLDER / picture_figures.PREDICTIONS)["limits"]


@pytest.fixture
def predictions(monkeypatch, tmp_path):
    """Where the file of predictions is looked for."""
    monkeypatch.setattr(picture_figures, "FOLDER", tmp_path)
    return tmp_path / picture_figures.PREDICTIONS


def test_every_prediction_has_limits_and_a_figure_that_can_be_computed():
    assert {row["figure"] for row in LIMITS} == set(picture_figures.FIGURES)
    for row in LIMITS:
        assert row["low"] < row["high"]


@pytest.mark.parametrize(("measured", "verdict"), [(0.6, "held"), (0.8, "refuted")])
def test_a_figure_is_judged_by_its_limits(monkeypatch, predictions, measured, verdict):
    first = LIMITS[0]
    apart = next(row for row in LIMITS if row["figure"] == "apart")
    storage.write_json(predictions, {"limits": [first, apart]})
    predictions.with_name("pictures.jsonl").touch()
    monkeypatch.setitem(picture_figures.FIGURES, first["figure"], lambda: measured)
    found = picture_figures.verdicts()
    assert found.verdict.tolist() == [verdict, "not run"]
    assert np.isnan(found.measured[1])


@pytest.mark.parametrize("text", ["", "{}", '{"limits": 3}', '{"limits": [{}]}'])
def test_a_damaged_file_of_predictions_is_named(predictions, text):
    predictions.write_text(text)
    with pytest.raises(ResultsError, match="picture_predictions.json.*restore"):
        picture_figures.verdicts()
