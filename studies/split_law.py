"""The law of the own part, its prediction for schedules that it was not read from, and its rivals.

The law: own part = alpha + beta V, with V the accumulated error of a schedule (`fixed_counts`).
alpha and beta come from the six schedules of a study of `dose`; the schedules of `fixed_counts`
are predicted without any free parameter.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from atri_lib import storage
from studies import shared_sounds
from studies.contrasts import PARTS
from studies.fixed_counts import accumulated_error, coverage
from studies.registry import STUDIES
from studies.results import FOLDER, ranks_of, read
from studies.schedule_lists import FIXED_COUNTS
from studies.split import pseudo_values

FITTED = ("balanced", "ML-CLAP", "hold 2", "hold 4", "hold 8", "hold all")
PREDICTIONS = "split_predictions.json"
CLIPS = 2000  # for the coverage of random draws


class Line(NamedTuple):
    """own = intercept + slope * x; r2: the share of variance that it explains where it was
    fitted.
    """

    intercept: float
    slope: float
    r2: float

    def __call__(self, x: float) -> float:
        return self.intercept + self.slope * x


def fit_memory(tables: Sequence[pd.DataFrame]) -> tuple[Line, float]:
    """The line in the accumulated error with a memory, and the memory with the smallest relative
    errors over all schedules of these tables of `schedules`; memory in hundredths.
    """
    table = pd.concat(tables)
    best = None
    for memory in np.arange(50, 101) / 100:
        x = np.array([accumulated_error(scheme, 16, memory) for scheme in table.scheme])
        slope, intercept = np.polyfit(x, table.own, 1, w=1 / table.own)
        foreseen = intercept + slope * x
        off = foreseen / table.own - 1
        error = float(np.square(off).mean())
        if best is None or error < best[0]:
            left = float(np.square(foreseen - table.own).sum())
            all_of_it = float(np.square(table.own - table.own.mean()).sum())
            line = Line(float(intercept), float(slope), 1 - left / all_of_it)
            best = error, line, float(memory)
    return best[1:]


def schedules(study: str, seeds: int | None = None) -> pd.DataFrame:
    """Of every schedule of a study with one caption per epoch, by label: scheme, V, coverage, own
    and stable part, each with its 95 % interval. seeds: of how many, the first ones; None: of all.
    """
    results = read(study)
    groups = shared_sounds.groups(results[0].data)
    configs = {item.label: item.config for item in STUDIES[study]()}
    rows = {}
    for label, config in configs.items():
        scheme = config.build_scheme(CLIPS)
        if scheme.m > 1 or scheme.name in ("block", "latin"):
            continue
        ranks = ranks_of(results, label)[:seeds]
        rows[label] = {
            "scheme": scheme,
            "V": accumulated_error(scheme, config.epochs),
            "coverage": coverage(scheme, config.epochs),
        }
        for part in PARTS:
            said = pseudo_values(ranks, part)
            found = shared_sounds.two_way_interval(said, np.zeros_like(said), groups)
            rows[label] |= {
                part: found.difference,
                f"{part}_low": found.low,
                f"{part}_high": found.high,
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def fit_line(table: pd.DataFrame, x: str, labels: tuple[str, ...] = FITTED) -> Line:
    """Least squares of the own part on a column of `schedules`."""
    chosen = table.loc[list(labels)]
    slope, intercept = np.polyfit(chosen[x], chosen["own"], 1)
    left = chosen["own"] - (intercept + slope * chosen[x])
    r2 = 1 - left.var(ddof=0) / chosen["own"].var(ddof=0)
    return Line(float(intercept), float(slope), float(r2))


def predicted(study: str) -> pd.DataFrame:
    """Own parts of the schedules of FIXED_COUNTS, from the lines fitted to a study of `dose`.

    Columns: V, coverage; law: from V; by_coverage: from coverage; mean: that of the fitted
    schedules.
    """
    table = schedules(study)
    law, by_coverage = fit_line(table, "V"), fit_line(table, "coverage")
    config = STUDIES[study]()[0].config
    rows = {}
    for label, changes in FIXED_COUNTS.items():
        scheme = config.replace(**({"m": None, "hold": None} | changes)).build_scheme(CLIPS)
        error, share = accumulated_error(scheme, 16), coverage(scheme, 16)
        rows[label] = {
            "V": error,
            "coverage": share,
            "law": law(error),
            "by_coverage": by_coverage(share),
            "mean": float(table.loc[list(FITTED), "own"].mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def read_predictions() -> dict:
    """What was committed before the first run of `fixed_counts`: note, tolerance, and by study the
    own part of every schedule.
    """
    return storage.read_json(FOLDER / PREDICTIONS)


def law_verdicts(study: str) -> pd.DataFrame:
    """Predicted and measured own parts of a study of `fixed_counts`, and the verdict on each.

    off: measured / predicted - 1. verdict: "held" where that is within the committed tolerance,
    else "refuted". memory, memory_off, memory_verdict: the same of the law with memory, where it
    was committed for the study.
    """
    committed = read_predictions()
    tolerance = committed["tolerance"]
    measured = schedules(study)
    with_memory = committed["memory"]["own"].get(study, {})
    rows = {}
    for label, predicted_by in committed["own"][study].items():
        row = predicted_by | dict(measured.loc[label])
        row["off"] = row["own"] / row["law"] - 1
        row["verdict"] = _verdict(row["off"], tolerance)
        if label in with_memory:
            row["memory"] = with_memory[label]
            row["memory_off"] = row["own"] / row["memory"] - 1
            row["memory_verdict"] = _verdict(row["memory_off"], tolerance)
        rows[label] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _verdict(off: float, tolerance: float) -> str:
    return "held" if abs(off) <= tolerance else "refuted"
