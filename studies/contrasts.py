"""Runs of two labels compared: paired differences with intervals, and what was predicted of them
beside it.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from atri_lib import storage
from atri_lib.evaluation.significance import Difference
from studies import shared_sounds, split
from studies.results import FOLDER, Result, ResultsError, intact, ranks_of, read

# Of ranks [S, M, K], per seed and caption [S, M]; the mean over both is the measure.
MEASURES = {
    "mrv": lambda ranks: ranks.astype(float).var(-1),
    "rank_std": lambda ranks: ranks.astype(float).std(-1),
    "T2A R@1": lambda ranks: 100.0 * (ranks == 1).mean(-1),
}
PARTS = ("own", "stable")  # of disagreement, studies.split: measures of all seeds together
LOWER_IS_BETTER = {"mrv": 1, "rank_std": 1, "T2A R@1": -1, "own": 1, "stable": 1}
PREDICTION = ("study", "measure", "better", "worse")


def contrast(
    results: Sequence[Result], a: str, b: str, measure: str, folder: pathlib.Path = FOLDER
) -> Difference:
    """a - b of two labels over the same seeds, with its `shared_sounds.two_way_interval`: seeds and
    captions are random, and captions whose scenes share a sound are not independent.

    measure: a key of MEASURES, or one of PARTS. folder: where the sounds of the scenes are noted.
    Raises ResultsError.
    """
    values = values_of(results, a, b, measure)
    data = next(result.data for result in results if result.label == a)
    return shared_sounds.two_way_interval(*values, shared_sounds.groups(data, folder))


def values_of(
    results: Sequence[Result], a: str, b: str, measure: str
) -> tuple[np.ndarray, np.ndarray]:
    """What each seed says of each caption under two labels, [S, M] each; the mean over both is the
    measure. Raises ResultsError.
    """
    ranks = [ranks_of(results, label) for label in (a, b)]
    left, right = (one.shape for one in ranks)
    if left != right:
        raise ResultsError(
            f"{a!r} and {b!r} have not the same seeds and captions: {left} and {right}"
        )
    if measure in PARTS:
        return tuple(split.pseudo_values(one, measure) for one in ranks)
    return tuple(MEASURES[measure](one) for one in ranks)


def effect_size(results: Sequence[Result], a: str, b: str, measure: str) -> float:
    """Mean over seeds of a - b, divided by its standard deviation over seeds (Cohen's d for pairs);
    nan for one of PARTS, which no single seed has.
    """
    if measure in PARTS:
        return float("nan")
    left = MEASURES[measure](ranks_of(results, a)).mean(1)
    right = MEASURES[measure](ranks_of(results, b)).mean(1)
    spread = (left - right).std(ddof=1)
    if spread == 0:
        return 0.0
    return float((left - right).mean() / spread)


def read_predictions(folder: pathlib.Path = FOLDER) -> list[dict]:
    """What was predicted of the studies: study, measure, better and worse of each. Raises
    ResultsError.
    """
    path = folder / "predictions.json"
    with intact(path):
        predictions = storage.read_json(path)["predictions"]
        for number, prediction in enumerate(predictions, start=1):
            _check_prediction(prediction, number)
    return predictions


def _check_prediction(prediction: dict, number: int) -> None:
    for name in PREDICTION:
        if not prediction.get(name):
            raise ValueError(f"prediction {number} has no {name}")
    measure = prediction["measure"]
    if measure not in LOWER_IS_BETTER:
        known = ", ".join(LOWER_IS_BETTER)
        raise ValueError(f"prediction {number}: measure {measure!r} is none of {known}")


def verdicts(study: str, folder: pathlib.Path = FOLDER) -> pd.DataFrame:
    """Every prediction on a study (predictions.json) beside what was measured: a row each.

    difference, low, high, p: of better - worse with its 95 % interval; effect: as `effect_size`
    has it; verdict: "held" where the interval is on the predicted side of zero, "refuted" where it
    is on the other, else "open". Raises ResultsError.
    """
    results = read(study, folder)
    rows = []
    for prediction in read_predictions(folder):
        if prediction["study"] != study:
            continue
        measure, better, worse = (prediction[name] for name in PREDICTION[1:])
        found = contrast(results, better, worse, measure, folder)
        row = {"measure": measure, "better": better, "worse": worse}
        row["difference"] = found.difference
        row["low"] = found.low
        row["high"] = found.high
        row["p"] = found.p_value
        row["effect"] = effect_size(results, better, worse, measure)
        row["verdict"] = _verdict(found, LOWER_IS_BETTER[measure])
        rows.append(row)
    return pd.DataFrame(rows)


def tally(folder: pathlib.Path = FOLDER, rate: float = 0.05) -> pd.DataFrame:
    """How every prediction that was ever committed came out, by study and in total: predictions,
    held, open, refuted; wrong side: those whose difference has the other sign, whatever its
    interval; Holm: held also after a correction for all predictions of the study (Holm 1979);
    first held: by the interval of the first rule (first_verdicts.json), missing where it was never
    used.

    A study without stored rows is left out.
    """
    names = dict.fromkeys(prediction["study"] for prediction in read_predictions(folder))
    studies = [name for name in names if (folder / f"{name}.jsonl").exists()]
    table = pd.concat({name: verdicts(name, folder) for name in studies}, names=["study"])
    by_study = table.groupby("study", sort=False)
    counts = by_study.verdict.value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=["held", "open", "refuted"], fill_value=0)
    counts.insert(0, "predictions", counts.sum(axis=1))
    table["wrong side"] = table.measure.map(LOWER_IS_BETTER) * table.difference > 0
    table["Holm"] = (table.verdict == "held") & (by_study.p.transform(holm) <= rate)
    counts = counts.join(table.groupby("study", sort=False)[["wrong side", "Holm"]].sum())
    first = first_verdicts(folder)
    held = [first[study].count("held") if study in first else None for study in counts.index]
    counts["first held"] = pd.array(held, dtype="Int64")
    counts.loc["all"] = counts.sum()
    return counts


def first_verdicts(folder: pathlib.Path = FOLDER) -> dict[str, list[str]]:
    """By study, in the order of the predictions: the verdicts by the interval that was committed
    with them, a percentile bootstrap that resamples seeds and captions, crossed. Raises
    ResultsError.
    """
    path = folder / "first_verdicts.json"
    if not path.exists():
        return {}
    with intact(path):
        stored = storage.read_json(path)["verdicts"]
        return {study: said.split(", ") for study, said in stored.items()}


def holm(p: pd.Series) -> pd.Series:
    """p-values of one family, corrected by Holm's method (Holm 1979): at most 1."""
    ordered = p.sort_values()
    left = np.arange(len(p), 0, -1)  # hypotheses that are not yet rejected
    return (ordered * left).cummax().clip(upper=1)


def _verdict(found: Difference, sign: int) -> str:
    """sign: 1 if the better has less of the measure, -1 if it has more."""
    low, high = sorted((sign * found.low, sign * found.high))
    if high < 0:
        return "held"
    if low > 0:
        return "refuted"
    return "open"
