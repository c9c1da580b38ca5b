"""The command of the studies.

How it is typed:

    python -m studies [STUDY ...]   # what is missing or stale is computed, two runs at once
    python -m studies --verify N    # N stored runs, chosen by chance, are trained again

Without a name all studies are looked at: those of runs (studies/registry.py), then those of single
files (studies/weights_to_ranks.py).
"""

import argparse

from atri_lib.progress import progress
from studies import weights_to_ranks
from studies.computing import compute, verify
from studies.registry import STUDIES
from studies.results import FOLDER

FILES = {f"weights_to_ranks/{name}": name for name in weights_to_ranks.STUDIES}


def main() -> None:
    """Compute the studies that are named, or all that are stale; or verify stored runs."""
    known = [*STUDIES, *FILES]
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__.splitlines()[0])
    parser.add_argument(
        "studies", nargs="*", metavar="STUDY", help=f"some of {', '.join(known)}; none: all"
    )
    parser.add_argument(
        "--verify", type=int, metavar="N", help="train N stored runs again, chosen by chance"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.studies if name not in known]:
        parser.error(f"no study is called {unknown[0]!r}: use some of {', '.join(known)}")
    if options.verify:
        if wrong := verify(options.verify):
            raise SystemExit("Not what is stored: " + "; ".join(wrong))
        return
    FOLDER.mkdir(exist_ok=True)
    for name in progress(options.studies or known, "studies", unit="study"):
        if name in STUDIES:
            compute(name)
        elif options.studies or FILES[name] in weights_to_ranks.stale():
            weights_to_ranks.compute(FILES[name])


if __name__ == "__main__":
    main()
