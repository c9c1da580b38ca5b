"""Runs that cannot be compared, and two that can."""

from hostile.case import Case
from hostile.changes import a_third_run, entries, in_order, sealed

CASES = [
    Case(
        "one run alone",
        "compare run",
        r"seeds \[0\] and \[\] do not pair up: give two runs",
    ),
    Case("three runs", "compare run other run", r"seeds \[0\] and \[0, 2\] do not pair up"),
    Case("a run with nothing", "compare run --with nowhere", "nowhere: not a complete run"),
    Case("a run with one that was interrupted", "compare run begun", "train --resume begun"),
    Case("a run with a pipe", "compare run pipe", "pipe: not a complete run"),
    Case(
        "a run of other languages",
        "compare run other",
        r"run \(eng .*\) and other \(eng .*\) were tested on .* different languages",
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
        "x: no such manifest",
        prepare=in_order(
            sealed(entries("other/metrics.json", data="0" * 16), "other"),
            sealed(entries("run/config.json", data="x")),
        ),
    ),
    Case(
        "seeds that do not pair up",
        "compare run other --with third",
        r"seeds \[0, 2\] and \[1\] do not pair up",
        prepare=a_third_run(1),
    ),
    Case(
        "a seed twice",
        "compare run third --with other",
        r"seeds \[0, 0\] and \[2\] do not pair up",
        prepare=a_third_run(0),
    ),
    Case(
        "two runs",
        "compare run other",
        r"rank_std +\S+ +\S+ +\S+ +\S+ +\S+ +\S+ +(first|second|cannot tell)",
        0,
    ),
    Case("nothing after --with", "compare run --with", "expected at least one argument", 2),
]
