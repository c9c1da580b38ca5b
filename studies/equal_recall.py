"""KCL stopped at the recall of ML-CLAP: does the scheme matter where ranks are equally good?

The number of KCL's epochs is chosen on the first scenes and judged on new ones
(`stopped_predictions.json`, committed before any of these runs).
"""

import numpy as np
import pandas as pd

from atri_lib import storage
from studies.results import FOLDER, ranks_of, read, recall_of
from studies.split import own_and_stable

PREDICTIONS = "stopped_predictions.json"
USUAL = "ML-CLAP"
APART = 2  # points of recall: further apart on new scenes, nothing is compared


def measures(ranks: np.ndarray) -> dict[str, float]:
    """Recall at 1 in percent, MRV, rank standard deviation, stable and own part of ranks
    [S, M, K].
    """
    parts = own_and_stable(ranks)
    found = {"T2A R@1": recall_of(ranks)}
    found["mrv"] = float(ranks.astype(float).var(axis=-1).mean())
    found["rank_std"] = float(ranks.std(axis=-1).mean())
    found["stable"] = parts.stable
    found["own"] = parts.own
    return found


def by_length(stopped: str, usual: str) -> pd.DataFrame:
    """`measures` of ML-CLAP, from the study `usual`, and of KCL after each number of epochs."""
    rows = {USUAL: measures(ranks_of(read(usual), USUAL))}
    runs = read(stopped)
    for label in dict.fromkeys(run.label for run in runs):
        rows[label] = measures(ranks_of(runs, label))
    return pd.DataFrame.from_dict(rows, orient="index")


def chosen_length() -> str:
    """The label of KCL's runs whose recall is nearest to ML-CLAP's on the first scenes."""
    recall = by_length("stopped", "dose_16")["T2A R@1"]
    return (recall.drop(USUAL) - recall[USUAL]).abs().idxmin()


def verdicts() -> pd.DataFrame:
    """ML-CLAP and KCL stopped, on new scenes: one row per measure that has a prediction.

    ratio: KCL / ML-CLAP; verdict: "held" where it is within the committed tolerance of one, else
    "refuted"; "not comparable" where the recalls are more than APART points apart.
    """
    new = by_length("stopped_new", "fresh_16")
    usual = new.loc[USUAL]
    stopped = new.loc[chosen_length()]
    near = abs(stopped["T2A R@1"] - usual["T2A R@1"]) <= APART
    committed = storage.read_json(FOLDER / PREDICTIONS)["tolerance"]
    table = pd.DataFrame({"ML-CLAP": usual, "KCL, stopped": stopped}).loc[list(committed)]
    table["ratio"] = table["KCL, stopped"] / table["ML-CLAP"]
    table["tolerance"] = committed
    held = (table.ratio - 1).abs() <= table.tolerance
    table["verdict"] = np.where(held, "held", "refuted") if near else "not comparable"
    return table
