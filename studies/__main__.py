"""The command of the studies.

python -m studies [STUDY ...]   # what is missing or stale is trained, as many at once as there are
cores python -m studies --verify N    # N stored runs, chosen by chance, are trained again and
compared
"""

import argparse

from atri_lib.progress import progress
from studies.computing import compute, verify
from studies.registry import STUDIES
from studies.results import FOLDER


def main() -> None:
    """Compute the studies that are named, or all; or verify stored runs."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__.splitlines()[0])
    parser.add_argument(
        "studies", nargs="*", metavar="STUDY", help=f"some of {', '.join(STUDIES)}; none: all"
    )
    parser.add_argument(
        "--verify", type=int, metavar="N", help="train N stored runs again, chosen by chance"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.studies if name not in STUDIES]:
        parser.error(f"no study is called {unknown[0]!r}: use some of {', '.join(STUDIES)}")
    if options.verify:
        if wrong := verify(options.verify):
            raise SystemExit("Not what is stored: " + "; ".join(wrong))
        return
    FOLDER.mkdir(exist_ok=True)
    for name in progress(options.studies or list(STUDIES), "studies", unit="study"):
        compute(name)


if __name__ == "__main__":
    main()
