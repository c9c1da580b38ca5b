"""Figures of the studies of pictures that were predicted with limits, beside what they are for
sounds.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from atri_lib import storage
from studies.results import FOLDER, intact, ranks_of, read, recall_of
from studies.split import Split, agreement, own_and_stable, profiles
from studies.split_law import fit_line, schedules

PREDICTIONS = "picture_predictions.json"
LINE = ("balanced", "ML-CLAP", "hold 4", "hold all")


def ranks(study: str, label: str) -> np.ndarray:
    """Text-to-clip ranks of a study's label, [S, M, K]. Raises ResultsError."""
    return ranks_of(read(study), label)


def recall(study: str, label: str) -> float:
    """Recall at 1 in percent, the mean over seeds, captions and languages."""
    return recall_of(ranks(study, label))


def parts(label: str) -> Split:
    """Own and stable part of a label on the scenes of pictures."""
    return own_and_stable(ranks("pictures", label))


def language_profile(study: str, label: str) -> np.ndarray:
    """Mean over captions and seeds of log rank minus its mean over the languages: [K]."""
    return profiles(ranks(study, label)).mean(axis=(0, 1))


def law():
    """The line of the own part in the accumulated error, of the four schedules."""
    return fit_line(schedules("pictures"), "V", LINE)


FIGURES: dict[str, Callable[[], float]] = {}
FIGURES["share ML-CLAP"] = lambda: parts("ML-CLAP").stable_share
FIGURES["share balanced"] = lambda: parts("balanced").stable_share
FIGURES["share KCL"] = lambda: parts("KCL").stable_share
FIGURES["r2"] = lambda: law().r2
FIGURES["slope"] = lambda: law().slope / law().intercept
FIGURES["stable hold all"] = lambda: parts("hold all").stable / parts("balanced").stable
FIGURES["own ML-CLAP"] = lambda: parts("ML-CLAP").own / parts("balanced").own
FIGURES["agreement schemes"] = lambda: agreement(
    ranks("pictures", "ML-CLAP"), ranks("pictures", "KCL")
)
FIGURES["agreement encoders"] = lambda: agreement(ranks("pictures", "KCL"), ranks("pixels", "KCL"))
FIGURES["languages"] = lambda: np.corrcoef(
    language_profile("pictures", "ML-CLAP"), language_profile("dose_16", "ML-CLAP")
)[0, 1]
FIGURES["recall KCL"] = lambda: recall("pictures", "KCL")
FIGURES["pixels"] = lambda: recall("pixels", "KCL") / recall("pictures", "KCL")
FIGURES["apart"] = lambda: recall("pictures_apart", "KCL") / recall("pictures", "KCL")
STUDY = {"apart": "pictures_apart"}  # that a figure needs, where it is not "pictures"
STUDY["pixels"] = "pixels"
STUDY["agreement encoders"] = "pixels"


def _predictions() -> list[dict]:
    """The rows of the file. Raises ResultsError that names it."""
    path = FOLDER / PREDICTIONS
    with intact(path):
        rows = storage.read_json(path)["limits"]
        for row in rows:
            if row["figure"] not in FIGURES or not row["low"] <= row["high"]:
                raise ValueError(f"{row['figure']!r} is no figure with limits")
    return rows


def verdicts() -> pd.DataFrame:
    """What was predicted, its limits, what it is for sounds, what was measured, and the verdict:
    "held" within the limits, else "refuted", and "not run" where a study is not stored. Raises
    ResultsError.
    """
    rows = []
    for row in _predictions():
        needed = STUDY.get(row["figure"], "pictures")
        measured = np.nan
        verdict = "not run"
        if (FOLDER / f"{needed}.jsonl").exists():
            measured = float(FIGURES[row["figure"]]())
            verdict = "held" if row["low"] <= measured <= row["high"] else "refuted"
        found = {"measured": measured, "verdict": verdict}
        rows.append(row | found)
    return pd.DataFrame(rows)
