"""What was predicted of the studies of pictures, with limits, and how it is judged."""

import numpy as np
import pytest

from atri_lib import storage
from studies import picture_figures
from studies.results import FOLDER, ResultsError

LIMITS = storage.read_json(FOLDER / picture_figures.PREDICTIONS)["limits"]


def test_every_prediction_has_limits_and_a_figure_that_can_be_computed():
    assert {row["figure"] for row in LIMITS} == set(picture_figures.FIGURES)
    assert all(row["low"] < row["high"] for row in LIMITS)


@pytest.mark.parametrize(("measured", "verdict"), [(0.6, "held"), (0.8, "refuted")])
def test_a_figure_is_judged_by_its_limits(monkeypatch, tmp_path, measured, verdict):
    rows = [LIMITS[0], next(row for row in LIMITS if row["figure"] == "apart")]
    storage.write_json(tmp_path / picture_figures.PREDICTIONS, {"limits": rows})
    (tmp_path / "pictures.jsonl").touch()
    monkeypatch.setattr(picture_figures, "FOLDER", tmp_path)
    monkeypatch.setitem(picture_figures.FIGURES, rows[0]["figure"], lambda: measured)
    found = picture_figures.verdicts()
    assert found.verdict.tolist() == [verdict, "not run"]
    assert np.isnan(found.measured[1])


@pytest.mark.parametrize(
    "text", ["{}", '{"limits": null}', '{"limits": [{}]}', "", '{"limits": 3}']
)
def test_a_damaged_file_of_predictions_is_named(monkeypatch, tmp_path, text):
    (tmp_path / picture_figures.PREDICTIONS).write_text(text)
    monkeypatch.setattr(picture_figures, "FOLDER", tmp_path)
    with pytest.raises(ResultsError, match="picture_predictions.json.*restore"):
        picture_figures.verdicts()
