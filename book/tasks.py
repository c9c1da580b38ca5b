"""Build the book: `tasks.py book | site | prepare | refresh [NAME ...]`; PROFILE=smoke.

Everything is keyed by content: what did not change is not done again, and a build that was killed
goes on where it was.
"""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import signal
import sys
import time

import chapter_problems
import chapters
import pages
import psutil
from filelock import FileLock, Timeout
from tqdm import tqdm

from atri_lib.data.banks import default_bank
from atri_lib.storage import checksum, settle_folder, write_text

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
EXECUTED = ROOT / ".cache" / "executed"  # minutes of work: `jupyter-book clean` empties _build
SCENES = BUILD / "scenes" / "scenes.js"  # beside it: the front page's data, and the sounds
STUDIES = BUILD / "studies.md"  # the table of the status page: half a minute of reading data
# Chapters that take a minute or more: begun first, so that none of them is left alone at the end.
SLOWEST = ("09", "11", "10", "19", "17", "18", "12", "15")
AT_ONCE = 2  # most of a chapter is single-threaded: imports, figures, twin runs
# executed versions kept of each chapter, so that switching between two profiles executes nothing
KEPT = 3
PROFILES = ("book", "smoke", "paper")
GOALS = ("book", "site", "prepare", "refresh")
PROFILE = os.environ.get("PROFILE") or "book"
GIVEN = {} if PROFILE == "book" else {"profile": PROFILE}
# Kernels draw no bars: a page shows results, not how long they took to come. Their threads sleep
# while they wait.
QUIET = {"ATRI_PROGRESS": "0", "OMP_WAIT_POLICY": "PASSIVE", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
KEPT_NOTE = "What was finished is kept: the same command goes on from there."
EXPECTED = (chapters.BuildFailed, RuntimeError, ValueError, OSError)  # said without a traceback
START = time.monotonic()


def say(text: str) -> None:
    """A line with the time, between the bars of what is under way."""
    minutes, seconds = divmod(round(time.monotonic() - START), 60)
    tqdm.write(f"{minutes:3d}:{seconds:02d} {text}", file=sys.__stdout__)
    sys.__stdout__.flush()


def step(title: str, done: bool, function, *arguments) -> None:
    """Do a step of the build unless it is done, and say so."""
    if done:
        say(f"-- {title}")
        return
    say(f".  {title}")
    function(*arguments)
    say(f"+  {title}")


def made(title: str, target: pathlib.Path, files: set, function, *arguments) -> None:
    """Have a function make a file, unless it was made from the same files before."""
    content = {str(path): checksum(path.read_bytes()) for path in files}
    key = checksum(PROFILE, default_bank().checksum, sorted(content.items()))
    stamp = BUILD / "keys" / target.parent.name
    done = target.exists() and stamp.exists() and stamp.read_text() == key
    step(title, done, function, *arguments)
    write_text(stamp, key)


def sources(*folders: str) -> set[pathlib.Path]:
    """The files of folders of the project."""
    found = {path for folder in folders for path in (ROOT / folder).rglob("*.*")}
    return {path for path in found if path.is_file() and path.suffix != ".pyc"}


def committed() -> list[pathlib.Path]:
    """The committed chapters, in the order of the book."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


@functools.cache
def planned() -> dict[pathlib.Path, pathlib.Path]:
    """Where each chapter of the book is kept once it is executed; the name holds the key of its
    content.
    """
    sounds, toc = default_bank().checksum, pages.load_toc(ROOT)
    targets = {}
    for path in committed():
        if f"notebooks/{path.stem}" in toc:
            key = chapters.chapter_key(chapters.read(path), GIVEN, ROOT, sounds)
            targets[path] = EXECUTED / f"{path.stem}-{key}.ipynb"
    return targets


def prepare() -> None:
    """Have the runs that several chapters read in the cache, each trained on a core of its own."""
    from atri_lib.data.banks import bank
    from atri_lib.training import TrainConfig, load_data
    from book import search_page
    from studies.parallel_runs import train_all

    bank("pictures")  # fetched here, with a bar; else a chapter says that it has none
    base = TrainConfig.for_profile(PROFILE)
    configs = [*search_page.configs(base).values(), base.replace(scheme="english")]
    for run in train_all(configs, load_data(base)):
        test = run.metrics["test"]
        aligned = f", alignment {run.config.alignment}" if run.config.alignment else ""
        print(f"        {run}{aligned}: T2A R@1 {test['T2A R@1']:.1f} %, MRV {test['mrv']:.0f}")


def execute(source: pathlib.Path, target: pathlib.Path, given: dict) -> None:
    """Execute a chapter; of its older versions, the latest ones stay."""
    chapters.execute(source, target, given, BUILD / "failed")
    for old in sorted(target.parent.glob(f"{source.stem}-*.ipynb"), key=os.path.getmtime)[:-KEPT]:
        old.unlink()


def refresh(path: pathlib.Path) -> None:
    """Execute a committed chapter in place, cleaned. Raises BuildFailed, the file as it was, if it
    is not fit.
    """
    target = BUILD / "refreshed" / path.name
    execute(path, target, {})
    notebook = chapters.clean(chapters.read(target))
    problems = chapter_problems.problems(notebook)
    write_text(BUILD / "failed" / path.name if problems else path, chapters.written(notebook))
    if problems:
        said = [f"{path.stem}: left as it was (see _build/failed/{path.name}):", *problems]
        raise chapters.BuildFailed("\n  - ".join(said))


def scenes() -> None:
    """What the front page and the page to search show and play."""
    from book import search_page  # here: it loads torch

    search_page.build(SCENES.parent, PROFILE)


def studies() -> None:
    """The status page's table of studies."""
    from studies import computing  # here: it loads torch

    write_text(STUDIES, computing.report())


def build(name: str, executed: dict[str, pathlib.Path], steps: list[tuple]) -> None:
    """The site in a folder of _build, after the steps that execute its chapters."""
    library = sources("atri_lib")
    live = library | sources("book/live")
    live |= {ROOT / "book" / f"{name}.py" for name in ("search_page", "live_encoder", "sounds")}
    # Both work in this process: one begins before the chapters, the other after them.
    first = (made, "Scenes to search", SCENES, live, scenes)
    last = (made, "Table of studies", STUDIES, library | sources("studies"), studies)
    at_once([first, *steps, last], concurrent.futures.FIRST_EXCEPTION)
    files = library | sources("book", "_build/scenes") | {STUDIES, *executed.values()}
    files |= {ROOT / file for file in ("_config.yml", "_toc.yml", "requirements.txt")}
    built, title = BUILD / name / pages.BUILT, f"Site: _build/{name}/index.html"
    made(title, built, files, pages.build_site, ROOT, executed, built.parent)


def at_once(steps: list[tuple], until: str) -> None:
    """Do steps, (function, arguments ...) each, two at a time, until all are done or one failed.
    Raises what the first one that failed has raised.
    """
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(*one) for one in steps]
        concurrent.futures.wait(futures, return_when=until)
        pool.shutdown(cancel_futures=True)
    errors = [future.exception() for future in futures if not future.cancelled()]
    failed = [error for error in errors if error]
    for error in failed[1:]:
        say(str(error))
    if failed:
        raise failed[0]


def do(goal: str, names: tuple[str, ...]) -> None:
    """Do what was asked for."""
    plan = planned()
    is_kept = all(target.exists() for target in plan.values())
    if goal in ("prepare", "refresh") or (goal == "book" and not is_kept):
        step("Recordings, features and training runs", False, prepare)
    os.environ.update(QUIET, ATRI_PLAYERS="1" if goal == "book" else "0")
    if goal == "book":
        steps = []
        for path in sorted(plan, key=lambda path: (not path.stem.startswith(SLOWEST), path)):
            target = plan[path]
            steps.append((step, path.stem, target.exists(), execute, path, target, GIVEN))
        build("html", {path.stem: target for path, target in plan.items()}, steps)
    elif goal == "site":  # of the committed chapters, without their sounds, for the browser test
        build("committed", {path.stem: path for path in plan}, [])
    elif goal == "refresh":
        asked = [path for path in committed() if path.stem in names or not names]
        steps = [(step, path.stem, False, refresh, path) for path in asked]
        at_once(steps, concurrent.futures.ALL_COMPLETED)


def stop(signum: int, frame) -> None:
    """End at once, with every kernel; threads that wait for one would keep the process alive."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    print(f"\nStopped. {KEPT_NOTE}", file=sys.__stderr__, flush=True)
    os._exit(128 + signum)


def main(goal: str, *names: str) -> None:
    """Do what was asked for. Raises SystemExit with the choices, with what failed, or while another
    build runs.
    """
    known = [path.stem for path in committed()]
    if goal not in GOALS or not set(names) <= set(known):
        raise SystemExit(
            f"{goal} {' '.join(names)}: use {', '.join(GOALS)}, "
            f"the last with some of {', '.join(known)}"
        )
    if PROFILE not in PROFILES:
        raise SystemExit(f"PROFILE={PROFILE!r}: use one of {', '.join(PROFILES)}")
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    BUILD.mkdir(exist_ok=True)
    # papermill changes to it for every chapter, and back to where it was
    os.chdir(ROOT / "notebooks")
    try:
        with FileLock(BUILD / ".lock", timeout=0):
            settle_folder(EXECUTED)
            do(goal, names)
    except Timeout:
        raise SystemExit("Another build of this book is running: wait for it or stop it.") from None
    except EXPECTED as error:
        raise SystemExit(f"\n{error}\n\n{KEPT_NOTE}") from None


if __name__ == "__main__":
    main(*sys.argv[1:] or ["book"])
