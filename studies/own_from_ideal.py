"""The own part of disagreement of many schedules, predicted from one KCL run.

The KCL run's linear response (`training_replay`) gives the displacement of any draw of languages,
and the ranks at the displaced weights give the variance over draws. Runs of a study also differ in
start, order of clips and dropout. That variance is taken from KCL's runs, which draw no languages:

    own part of a schedule = own part of KCL's runs + variance over draws at one start.

No run of a schedule, no fit. `python -m studies weights_to_ranks/own` (with E5: `own_e5`) computes
it; arms, draws, limits and rule were committed before it was computed, and before any run with E5
of these arms was read. The runs with the other encoder had been read.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from atri_lib.training import TrainConfig, TrainingData
from studies import arms, rank_margins, results
from studies.displacement_studies import FRESH, by_arm, last_epoch
from studies.registry import FIXED_COUNTS
from studies.split import own_and_stable
from studies.training_replay import ProjectionTraining
from studies.weight_displacement import read

ARMS = FIXED_COUNTS | {"2 of K": arms.m_of_k(2), "4 of K": arms.m_of_k(4), "CACL": arms.CACL}
DRAWS = 2
WITHIN = 0.2  # largest relative error of a prediction that held
LEAST_HELD = 0.8  # of the arms
LEAST_ORDER = 0.9  # rank correlation over arms
# Of two arms the first should have the smaller own part.
ORDER = (
    ("2 each, shuffled", "2 each, in pairs"),
    ("4 of 4, by turns", "4 of 4, in blocks"),
    ("8 of 2, by turns", "8 of 2, in blocks"),
    ("9 and 1, shuffled", "hold 4"),
)
STORED = {  # of an arm that is in no study of fixed counts: its study and its label there
    None: {
        "2 of K": ("captions", "m of K 2"),
        "4 of K": ("captions", "m of K 4"),
        "CACL": ("triangle", "cacl 1/3"),
    },
    "e5": {"CACL": ("triangle_e5", "cacl 1/3")},
}
FIXED = {None: "fixed_counts", "e5": "fixed_counts_e5"}


def predict(config: TrainConfig, data: TrainingData) -> dict:
    """Of every arm the variance over its draws at the start of one KCL run, from this run alone.

    kcl: the run's recall at 1 in percent; draws: by arm, in squared logarithms of ranks; recall:
    mean over the draws.
    """
    training = ProjectionTraining(config, data)
    schemes = {}
    for arm, settings in ARMS.items():
        for draw in range(DRAWS):
            seed = config.seed + FRESH * (draw + 1)
            schemes[arm, draw] = training.scheme(seed=seed, **settings)
    end = last_epoch(training, {}, schemes)
    ranks = {}
    for name, weights in end.predicted.items():
        ranks[name] = rank_margins.ranks_of(read(training, weights).margins)
    of_kcl = rank_margins.ranks_of(read(training, end.ideal).margins)
    found = {arm: np.stack(drawn) for arm, drawn in by_arm(ranks).items()}
    return {
        "kcl": 100 * float((of_kcl == 1).mean()),
        "draws": {arm: own_and_stable(drawn).own for arm, drawn in found.items()},
        "recall": {arm: 100 * float((drawn == 1).mean()) for arm, drawn in found.items()},
    }


def compare(predicted: dict, encoder: str | None = None) -> pd.DataFrame:
    """One row per arm that is stored: its own part, measured and predicted.

    draws: the predicted variance over draws alone. off: predicted / measured - 1. verdict: "held"
    within WITHIN, else "refuted".
    """
    fixed = results.read(FIXED[encoder])
    of_kcl = own_and_stable(results.ranks_of(fixed, "KCL")).own
    rows = {}
    for arm, drawn in predicted["draws"].items():
        if arm in FIXED_COUNTS:
            ranks = results.ranks_of(fixed, arm)
        elif arm in STORED[encoder]:
            study, label = STORED[encoder][arm]
            ranks = results.ranks_of(results.read(study), label)
        else:
            continue
        row = {"measured": own_and_stable(ranks).own, "predicted": of_kcl + drawn, "draws": drawn}
        row["off"] = row["predicted"] / row["measured"] - 1
        row["verdict"] = "held" if abs(row["off"]) <= WITHIN else "refuted"
        rows[arm] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def holds(table: pd.DataFrame) -> dict[str, bool]:
    """What was predicted of the table of `compare` as a whole, and whether it held."""
    order = spearmanr(table.predicted, table.measured).statistic
    return {
        "own parts": bool((table.verdict == "held").mean() >= LEAST_HELD),
        "order of the arms": bool(order >= LEAST_ORDER),
        "effects of order and of missing languages": all(_first_smaller(table, ORDER)),
    }


def _first_smaller(table: pd.DataFrame, order: Sequence[tuple[str, str]]) -> list[bool]:
    return [bool(table.predicted[first] < table.predicted[second]) for first, second in order]
