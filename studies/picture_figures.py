"""Figures of the studies of pictures that were predicted with limits, beside what they are for
sounds.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from atri_lib import storage
from studies.results import FOLDER, ResultsError, ranks_of, read
from studies.split import agreement, own_and_stable, profiles
from studies.split_law import fit_line, schedules

PREDICTIONS = "picture_predictions.json"
LINE = ("balanced", "ML-CLAP", "hold 4", "hold all")


def ranks(study: str, label: str) -> np.ndarray:
    """Text-to-clip ranks of a study's label, [S, M, K]. Raises ResultsError."""
    return ranks_of(read(study), label)


def recall(study: str, label: str) -> float:
    """Recall at 1 in percent, the mean over seeds, captions and languages."""
    return 100 * float((ranks(study, label) == 1).mean())


def share(label: str) -> float:
    """Stable part of the disagreement over both parts."""
    return own_and_stable(ranks("pictures", label)).stable_share


def own(label: str) -> float:
    """Own part of a label on the scenes of pictures."""
    return own_and_stable(ranks("pictures", label)).own


def stable(label: str) -> float:
    """Stable part of a label on the scenes of pictures."""
    return own_and_stable(ranks("pictures", label)).stable


def language_profile(study: str, label: str) -> np.ndarray:
    """Mean over captions and seeds of log rank minus its mean over the languages: [K]."""
    return profiles(ranks(study, label)).mean(axis=(0, 1))


def law():
    """The line of the own part in the accumulated error, of the four schedules."""
    return fit_line(schedules("pictures"), "V", LINE)


FIGURES: dict[str, Callable[[], float]] = {
    "share ML-CLAP": lambda: share("ML-CLAP"),
    "share balanced": lambda: share("balanced"),
    "share KCL": lambda: share("KCL"),
    "r2": lambda: law().r2,
    "slope": lambda: law().slope / law().intercept,
    "stable hold all": lambda: stable("hold all") / stable("balanced"),
    "own ML-CLAP": lambda: own("ML-CLAP") / own("balanced"),
    "agreement schemes": lambda: agreement(ranks("pictures", "ML-CLAP"), ranks("pictures", "KCL")),
    "agreement encoders": lambda: agreement(ranks("pictures", "KCL"), ranks("pixels", "KCL")),
    "languages": lambda: np.corrcoef(
        language_profile("pictures", "ML-CLAP"), language_profile("dose_16", "ML-CLAP")
    )[0, 1],
    "recall KCL": lambda: recall("pictures", "KCL"),
    "pixels": lambda: recall("pixels", "KCL") / recall("pictures", "KCL"),
    "apart": lambda: recall("pictures_apart", "KCL") / recall("pictures", "KCL"),
}


def _predictions() -> list[dict]:
    """The rows of the file. Raises ResultsError that names it."""
    path = FOLDER / PREDICTIONS
    try:
        rows = storage.read_json(path)["limits"]
        for row in rows:
            if row["figure"] not in FIGURES or not row["low"] <= row["high"]:
                raise ValueError(f"{row['figure']!r} is no figure with limits")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path}: damaged ({error}); restore the repository's file") from error
    return rows


def verdicts() -> pd.DataFrame:
    """What was predicted, its limits, what it is for sounds, what was measured, and the verdict:
    "held" within the limits, else "refuted", and "not run" where a study is not stored. Raises
    ResultsError.
    """
    rows = []
    for row in _predictions():
        studies = {"apart": "pictures_apart", "pixels": "pixels", "agreement encoders": "pixels"}
        needed = studies.get(row["figure"], "pictures")
        measured = np.nan
        verdict = "not run"
        if (FOLDER / f"{needed}.jsonl").exists():
            measured = float(FIGURES[row["figure"]]())
            verdict = "held" if row["low"] <= measured <= row["high"] else "refuted"
        rows.append(row | {"measured": measured, "verdict": verdict})
    return pd.DataFrame(rows)
