"""The own part of disagreement of many schedules, predicted from one KCL run.

The KCL run's linear response (`training_replay`) gives the displacement of any draw of languages,
and the ranks at the displaced weights give the variance over draws. Runs of a study also differ in
start, order of clips and dropout. That variance is taken from KCL's runs, which draw no languages:

    own part of a schedule = own part of KCL's runs + variance over draws at one start.

No run of a schedule, no fit. `python -m studies weights_to_ranks/own` (with E5: `own_e5`) computes
it. What was fixed when:

- arms, draws, limits and rule with the ranks at the displaced weights, "moved": before any of it
  was computed, after the runs with USE had been read and before those with E5 were;
- `measure`, the same draws trained from the same start, explored: when both had failed, to see
  which term is missing;
- "linear", with margins that are linear along the displacement: after "moved" had failed with USE
  and the runs with E5 had been read, before any prediction with E5 was. With USE it is explored.
"""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from atri_lib.training import TrainConfig, TrainingData
from studies import arms, rank_margins, results
from studies.displacement_studies import by_arm, drawn, last_epoch
from studies.results import recall_of
from studies.schedule_lists import FIXED_COUNTS
from studies.split import own_and_stable
from studies.training_replay import ProjectionTraining
from studies.weight_displacement import read, read_linear

ARMS = FIXED_COUNTS | {"2 of K": arms.m_of_k(2), "4 of K": arms.m_of_k(4), "CACL": arms.CACL}
DRAWS = 2
READINGS = ("moved", "linear")
TRAINED = ("2 each, shuffled", "ML-CLAP", "9 and 1, shuffled", "hold 4", "8 of 2, in blocks")
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

    kcl: the run's recall at 1 in percent. moved, linear (READINGS): by arm the variance over draws
    in squared logarithms of ranks, and recall, the mean over the draws.
    """
    training = ProjectionTraining(config, data)
    draws = drawn(training, dict.fromkeys(ARMS, DRAWS), ARMS, first=1)
    end = last_epoch(training, {}, draws)
    displacements = end.predicted_displacements()
    ideal = read(training, end.ideal)
    found = {"kcl": recall_of(rank_margins.ranks_of(ideal.margins))}
    for reading in READINGS:
        ranks = {}
        for name, weights in end.predicted.items():
            if reading == "moved":
                margins = read(training, weights).margins
            else:
                margins = read_linear(training, end.ideal, displacements[name]).margins
            ranks[name] = rank_margins.ranks_of(margins)
        stacked = {arm: np.stack(of_arm) for arm, of_arm in by_arm(ranks).items()}
        found[reading] = {arm: own_and_stable(of_arm).own for arm, of_arm in stacked.items()}
        found[f"{reading} recall"] = {arm: recall_of(of_arm) for arm, of_arm in stacked.items()}
    return found


def measure(config: TrainConfig, data: TrainingData) -> dict:
    """Of some arms the variance over the same draws, trained from the same start."""
    training = ProjectionTraining(config, data)
    draws = drawn(training, dict.fromkeys(TRAINED, DRAWS), ARMS, first=1)
    end = last_epoch(training, draws, {})
    ranks = {}
    for name, weights in end.measured.items():
        ranks[name] = rank_margins.ranks_of(read(training, weights).margins)
    own = {}
    for arm, of_arm in by_arm(ranks).items():
        own[arm] = own_and_stable(np.stack(of_arm)).own
    return {"trained": own}


def compare(predicted: dict, reading: str, encoder: str | None = None) -> pd.DataFrame:
    """One row per arm that is stored: its own part, measured and predicted by one of READINGS.

    draws: the predicted variance over draws alone. off: predicted / measured - 1. verdict: "held"
    within WITHIN, else "refuted".
    """
    fixed = results.read(FIXED[encoder])
    of_kcl = own_and_stable(results.ranks_of(fixed, "KCL")).own
    rows = {}
    for arm, of_draws in predicted[reading].items():
        if arm in FIXED_COUNTS:
            ranks = results.ranks_of(fixed, arm)
        elif arm in STORED[encoder]:
            study, label = STORED[encoder][arm]
            ranks = results.ranks_of(results.read(study), label)
        else:
            continue
        row = {"measured": own_and_stable(ranks).own}
        row["predicted"] = of_kcl + of_draws
        row["draws"] = of_draws
        row["off"] = row["predicted"] / row["measured"] - 1
        row["verdict"] = "held" if abs(row["off"]) <= WITHIN else "refuted"
        rows[arm] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def holds(table: pd.DataFrame) -> dict[str, bool]:
    """What was predicted of the table of `compare` as a whole, and whether it held."""
    share_held = (table.verdict == "held").mean()
    order = spearmanr(table.predicted, table.measured).statistic
    own = table.predicted
    return {
        "own parts": bool(share_held >= LEAST_HELD),
        "order of the arms": bool(order >= LEAST_ORDER),
        "effects of order and of missing languages": all(own[a] < own[b] for a, b in ORDER),
    }
