"""The machine: caches, homes, full disks, pipes and terminals."""

from hostile.case import SEARCH, TRAIN, Case
from hostile.changes import copied, full_disk, homeless, nobody, read_only, reader_gone, setting

from atri_lib import __main__

LONG_NAMES = [f"sounds/{'a' * 200}{i}.wav" for i in range(6)]


def interrupted(*arguments, **options):
    """Stands for a function that somebody stops."""
    raise KeyboardInterrupt


def stopped() -> None:
    """Somebody types Ctrl-C while a run is evaluated."""
    __main__.COMMANDS["evaluate"] = interrupted


CASES = [
    Case("a doctor with a patient", "doctor run", "unrecognized arguments: run", 2),
    Case("no command", "", "the following arguments are required: COMMAND", 2),
    Case("an unknown command", "fly", "invalid choice: 'fly'", 2),
    Case(
        "a cache that cannot be made",
        "train --clip-encoder toy --text-encoder toy --data scenes",
        "captions.txt/cache.*: the cache cannot be made there .* set ATRI_CACHE",
        inside=setting("ATRI_CACHE", "captions.txt/cache"),
    ),
    Case(
        "no home folder",
        "train --data scenes",
        "home directory.*; set ATRI_CACHE",
        inside=homeless,
    ),
    Case(
        "a doctor without a home",
        "doctor",
        r"cache:\n +why: .*home directory.*\n +fix: .*set ATRI_CACHE",
        0,
        inside=homeless,
    ),
    Case(
        "a doctor without cache",
        "doctor",
        r"cache:\n +why: .*the cache cannot be made there",
        0,
        inside=setting("ATRI_CACHE", "captions.txt/cache"),
    ),
    Case(
        "a doctor with a read-only cache",
        "doctor",
        r"cache:\n +why: .*read-only: finished runs can be loaded",
        0,
        prepare=read_only("cache"),
        inside=nobody,
    ),
    Case(
        "a finished run, all read-only",
        TRAIN,
        "what: loaded kcl seed 0",
        0,
        prepare=read_only("cache", "runs"),
        inside=nobody,
    ),
    Case(
        "a new run, read-only",
        f"{TRAIN} --seed 5",
        "cannot be written|Permission denied",
        prepare=read_only("cache", "runs"),
        inside=nobody,
    ),
    Case(
        "a full disk while training",
        f"{TRAIN} --seed 5",
        "cannot be written .File too large., what was there is untouched; .*ATRI",
        inside=full_disk,
    ),
    Case(
        "a full disk for an index",
        f"{SEARCH} --folder sounds --index new",
        "new: cannot be written .File too large",
        prepare=copied("sounds/a.wav", *LONG_NAMES),
        inside=full_disk,
    ),
    Case("a reader that has gone", "evaluate run", "^$", 141, inside=reader_gone),
    Case("no output", "evaluate run", "^$", 0, closed=(1,)),
    Case("no output of JSON", "evaluate run --json", "^$", 0, closed=(1,)),
    Case("no error stream", "evaluate run", r"^languages:\n(?s:.)*mrv: ", 0, closed=(2,)),
    Case("no streams", "evaluate run", "^$", 0, closed=(0, 1, 2)),
    Case("a doctor without output", "doctor", "^$", 0, closed=(1,)),
    Case("a doctor without an error stream", "doctor", "torch", 0, closed=(2,)),
    Case("a doctor without both", "doctor", "^$", 0, closed=(1, 2)),
    Case("a complaint without output", "evaluate nowhere", "nowhere: not a complete", closed=(1,)),
    Case("a complaint to nobody", "evaluate nowhere", "^$", closed=(2,)),
    Case("wrong usage, told to nobody", "evaluate", "^$", 2, closed=(2,)),
    Case("a comparison without output", "compare run other", "^$", 0, closed=(1,)),
    Case("a comparison without errors", "compare run other", "rank_std", 0, closed=(2,)),
    Case("no run to compare, told to nobody", "compare run nowhere", "^$", closed=(0, 1, 2)),
    Case("a search without output", f"{SEARCH} --index index", "^$", 0, closed=(1,)),
    Case("a search without errors", f"{SEARCH} --index index", "a.wav", 0, closed=(2,)),
    Case("a search without streams", f"{SEARCH} --folder sounds", "^$", 0, closed=(0, 1, 2)),
    Case(
        "queries from a closed stream",
        "search --run run --index index --queries -",
        "^$",
        0,
        closed=(0,),
    ),
    Case("no query, told to nobody", "search --run run --index index", "^$", 2, closed=(2,)),
    Case("a finished run without streams", TRAIN, "^$", 0, closed=(0, 1, 2)),
    Case(
        "an interruption",
        "evaluate run",
        "interrupted; run it again to go on",
        130,
        inside=stopped,
    ),
    Case("a terminal of ASCII", f"{SEARCH} --index index", r"\\u96e8.wav", 0, encoding="ascii"),
    Case("JSON for ASCII", f"{SEARCH} --index index --json", r'"\\u96e8.wav"', 0, encoding="ascii"),
    Case("a complaint to ASCII", "evaluate 雨", r"\\u96e8: not a complete run", encoding="ascii"),
    Case("a message that paints it", "evaluate '\x1b[31m'", r"\\x1b\[31m: not a complete run"),
]
