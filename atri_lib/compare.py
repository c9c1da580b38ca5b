"""Is one run better than another? Paired intervals over test clips and seeds."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atri_lib.data.dataset import Dataset
from atri_lib.evaluation import clip_means, paired_bootstrap, two_way_interval
from atri_lib.training import Run, load_datasets
from atri_lib.training.sources import data_checksum

REPEATS = 4000  # resamples of clips, where each side has one run


class CompareError(ValueError):
    """Runs that cannot be compared clip by clip."""


@dataclass(frozen=True)
class Measure:
    """values: of a run, one for each test caption [M] or, of_clips, for each clip [N]."""

    name: str
    values: Callable[[Run], np.ndarray]
    lower_is_better: bool = False
    of_clips: bool = False


def _found_first(ranks: np.ndarray) -> np.ndarray:
    """Share of the languages in which the rank is 1, in percent: [M, K] -> [M]."""
    return 100 * (ranks == 1).mean(axis=1)


MEASURES = (
    Measure("T2A R@1", lambda run: _found_first(run.scores.t2a)),
    Measure("A2T R@1", lambda run: _found_first(run.scores.a2t), of_clips=True),
    Measure("mrv", lambda run: run.scores.t2a.var(axis=1), lower_is_better=True),
    Measure("rank_std", lambda run: run.scores.t2a.std(axis=1), lower_is_better=True),
)


@dataclass(frozen=True)
class Compared:
    """One measure of two settings: the mean of each over seeds and clips, and first - second.

    low, high: the 95 % interval of the difference. better: "first" or "second" where the interval
    excludes zero, else None.
    """

    measure: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    better: str | None

    def as_dict(self) -> dict:
        """Plain values, without the measure's name."""
        values = dataclasses.asdict(self)
        del values["measure"]
        return values


def compare_runs(first: Sequence[Run], second: Sequence[Run]) -> list[Compared]:
    """Compare two settings: recall at 1 in both directions, mean rank variance, rank deviation.

    first, second: the runs of each setting, one per seed, with the same seeds on both sides; with
    one run on each side the seeds may differ. Seeds and clips are random
    (`evaluation.two_way_interval`); of one run each, clips are resampled
    (`evaluation.paired_bootstrap`). Pairs stay together. Raises CompareError for runs that were not
    tested on the same clips in the same languages, and for seeds that do not pair up.
    """
    first, second = _paired(first, second)
    runs = [*first, *second]
    owner = _owner(runs)
    compared = []
    for measure in MEASURES:
        sides = []
        for side in (first, second):
            values = np.stack([measure.values(run) for run in side]).astype(float)
            sides.append(values if measure.of_clips else clip_means(values, owner))
        if len(first) > 1:
            found = two_way_interval(*sides)
        else:
            found = paired_bootstrap(*sides, repeats=REPEATS)
        better = None
        if found.low > 0 or found.high < 0:
            better = "first" if (found.difference > 0) != measure.lower_is_better else "second"
        means = [float(values.mean()) for values in sides]
        compared.append(Compared(measure.name, *means, *dataclasses.astuple(found), better))
    return compared


def _paired(first: Sequence[Run], second: Sequence[Run]) -> list[list[Run]]:
    """Both sides in the order of their seeds."""
    seen = set()
    for run in (*first, *second):
        place = run.path.resolve()
        if place in seen:
            raise CompareError(f"{run.path} is given twice: name different runs")
        seen.add(place)
    sides = [sorted(side, key=lambda run: run.config.seed) for side in (first, second)]
    seeds = [[run.config.seed for run in side] for side in sides]
    listed = [", ".join(map(str, side)) for side in seeds]
    for side, names in zip(seeds, listed, strict=True):
        if len(set(side)) < len(side):
            raise CompareError(f"two runs of one side have the same seed: {names}")
    if seeds[0] != seeds[1] and [len(side) for side in seeds] != [1, 1]:
        message = f"seeds {' do not pair up with '.join(listed)}"
        raise CompareError(f"{message}: give runs with the same seeds on both sides")
    return sides


def _owner(runs: Sequence[Run]) -> np.ndarray:
    """The test clip of each caption [M], the same for all runs; refuses runs that share no test."""
    one = runs[0]
    by_data = {}  # the first run of each data
    for run in runs:
        if run.config.languages != one.config.languages:
            raise CompareError(
                f"{run.path} was tested in {' '.join(run.config.languages)}, "
                f"{one.path} in {' '.join(one.config.languages)}: languages have to be the same"
            )
        by_data.setdefault(run.metrics.get("data"), run)
    clips = len(one.scores.a2t)
    if len(by_data) == 1 and clips == len(one.scores.t2a):
        return np.arange(clips)
    tests = {run.path: _test_split(run) for run in by_data.values()}
    for path, test in tests.items():
        if test.checksum != tests[one.path].checksum:
            raise CompareError(
                f"{path} and {one.path} were tested on different clips: "
                "train both on the same data"
            )
    return tests[one.path].owner


def _test_split(run: Run) -> Dataset:
    """The test clips of a run, where its data are still what they were.

    Runs with other encoders or other training clips may share them.
    """
    try:
        unchanged = data_checksum(run.config) == run.metrics.get("data")
        test = load_datasets(run.config, ("test",))["test"]
    except (OSError, ValueError, RuntimeError) as error:
        message = f"{run.path}: its test clips cannot be looked at ({error})"
        raise CompareError(f"{message}; put the data back where they were") from error
    if not unchanged:
        raise CompareError(f"{run.path}: its data have changed since it was trained; train it anew")
    return test
