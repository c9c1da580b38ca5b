"""Runs that cannot be compared, and two that can."""

from hostile.case import Case
from hostile.changes import a_third_run, entries, in_order, sealed

CASES = [
    Case(
        "one run alone",
        "compare run",
        "two runs are compared, not 1; for several seeds: compare RUN",
        2,
    ),
    Case("three runs", "compare run other run", "two runs are compared, not 3", 2),
    Case("a run with itself", "compare run run", "run is given twice: name different runs"),
    Case("a run with a link to itself", "compare run runs/../run", "is given twice"),
    Case("a run with nothing", "compare run --with nowhere", "nowhere: not a complete run"),
    Case("a run with one that was interrupted", "compare run begun", "train --resume begun"),
    Case("a run with a pipe", "compare run pipe", "pipe: not a complete run"),
    Case(
        "a run of other languages",
        "compare run other",
        "other was tested in eng fra, run in eng .*have to be",
        prepare=sealed(entries("other/config.json", languages=["eng", "fra"]), "other"),
    ),
    Case(
        "a run of other data",
        "compare run other",
        "other: its data have changed since it was trained",
        prepare=sealed(entries("other/metrics.json", data="0" * 16), "other"),
    ),
    Case(
        "a run whose data are gone",
        "compare run other",
        ": its test clips cannot be looked at .*put the data back",
        prepare=in_order(
            sealed(entries("other/metrics.json", data="0" * 16), "other"),
            sealed(entries("run/config.json", data="x")),
        ),
    ),
    Case(
        "seeds that do not pair up",
        "compare run other --with third",
        "seeds 0, 2 do not pair up with 1: give runs",
        prepare=a_third_run(1),
    ),
    Case(
        "a seed twice",
        "compare run third --with other",
        "two runs of one side have the same seed: 0, 0",
        prepare=a_third_run(0),
    ),
    Case(
        "two runs",
        "compare run other",
        r"rank_std +\S+ +\S+ +\S+ +\S+ to \S+ +\S+ +(first|second|cannot tell)",
        0,
    ),
    Case("an empty run to compare", "compare run ''", "argument RUN: it is empty", 2),
    Case("nothing after --with", "compare run --with", "expected at least one argument", 2),
]
