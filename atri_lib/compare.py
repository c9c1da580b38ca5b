"""Is one run better than another? Paired intervals over test clips and seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from atri_lib.data.dataset import Dataset
from atri_lib.evaluation import clip_means, paired_bootstrap, two_way_interval
from atri_lib.training import Run, load_datasets
from atri_lib.training.sources import data_checksum

REPEATS = 4000  # resamples of clips, where each side has one run
LOWER_IS_BETTER = ("mrv", "rank_std")


class CompareError(ValueError):
    """Runs that cannot be compared clip by clip."""


def compare_runs(first: Sequence[Run], second: Sequence[Run]) -> pd.DataFrame:
    """Compare two settings: recall at 1 in both directions, mean rank variance, rank deviation.

    first, second: the runs of each setting, one per seed, with the same seeds on both sides; with
    one run on each side the seeds may differ. Seeds and clips are random
    (`evaluation.two_way_interval`); of one run each, clips are resampled
    (`evaluation.paired_bootstrap`). Pairs stay together.

    Returns a row for each measure: `first` and `second`, the means over seeds and clips; their
    `difference`; `low` and `high`, its 95 % interval; `p_value`; `better`, "first" or "second"
    where the interval excludes zero, else "cannot tell". Raises CompareError for runs that were not
    tested on the same clips in the same languages, for seeds that do not pair up, and for a
    run that is on both sides.
    """
    sides = [sorted(side, key=lambda run: run.config.seed) for side in (first, second)]
    _check_pairs(*sides)
    owner = _owner(sides[0] + sides[1])
    first, second = [_measures(side, owner) for side in sides]
    rows = {}
    for name in first:
        rows[name] = _contrast(first[name], second[name], name in LOWER_IS_BETTER)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("measure")


def _measures(runs: Sequence[Run], owner: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure of runs [S] on their test clips, [S, N]; owner [M]: the clip of each caption."""
    t2a = np.stack([run.scores.t2a for run in runs])  # [S, M, K]
    a2t = np.stack([run.scores.a2t for run in runs])  # [S, N, K]
    measures = {}
    measures["T2A R@1"] = clip_means(100 * (t2a == 1).mean(axis=2), owner)
    measures["A2T R@1"] = 100 * (a2t == 1).mean(axis=2)
    measures["mrv"] = clip_means(t2a.var(axis=2), owner)
    measures["rank_std"] = clip_means(t2a.std(axis=2), owner)
    return measures


def _contrast(first: np.ndarray, second: np.ndarray, lower_is_better: bool) -> dict:
    """A row of the table, of one measure of both sides [S, N]."""
    if len(first) == 1:
        found = paired_bootstrap(first, second, repeats=REPEATS)
    else:
        found = two_way_interval(first, second)
    better = "cannot tell"
    if found.low > 0 or found.high < 0:
        first_is_lower = found.difference < 0
        better = "first" if first_is_lower == lower_is_better else "second"
    means = {"first": first.mean(), "second": second.mean()}
    return means | vars(found) | {"better": better}


def _check_pairs(first: Sequence[Run], second: Sequence[Run]) -> None:
    """Raises CompareError where the runs of both sides do not pair up, or one is on both."""
    seeds = [[run.config.seed for run in side] for side in (first, second)]
    pair = len(first) == len(second) == 1
    once = len(set(seeds[0])) == len(first)
    if not pair and (not once or seeds[0] != seeds[1]):
        raise CompareError(
            f"seeds {seeds[0]} and {seeds[1]} do not pair up: give two runs, or the same different "
            "seeds of two settings, compare RUN RUN ... --with RUN RUN ..."
        )
    if first[0].path == second[0].path:
        raise CompareError(f"{first[0].path} is on both sides: name different runs")


def _owner(runs: Sequence[Run]) -> np.ndarray:
    """The test clip of each caption [M], the same for all runs; refuses runs that share no test."""
    said = {(run.config.languages, run.metrics.get("data")): run for run in runs}
    ranks = runs[0].scores
    if len(said) == 1 and len(ranks.a2t) == len(ranks.t2a):
        return np.arange(len(ranks.a2t))
    tests = {}
    for run in said.values():
        test = _test_split(run)
        tests[run.config.languages, test.checksum] = run
    if len(tests) > 1:
        told = [f"{run.path} ({' '.join(run.config.languages)})" for run in tests.values()]
        sides = " and ".join(told)
        raise CompareError(f"{sides} were tested on different clips or in different languages")
    return test.owner


def _test_split(run: Run) -> Dataset:
    """The test clips of a run, where its data are still what they were.

    Runs with other encoders or other training clips may share them.
    """
    if data_checksum(run.config) != run.metrics.get("data"):
        raise CompareError(f"{run.path}: its data have changed since it was trained; train it anew")
    return load_datasets(run.config, ("test",))["test"]
