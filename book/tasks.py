"""Build the book, as tasks for doit: `tasks.py book | site | prepare | refresh [NAME ...]`;
PROFILE=smoke.

Everything is keyed by content: what did not change is not done again, and a build that was killed
goes on where it was.
"""

import contextlib
import functools
import os
import pathlib
import signal
import sys
import time
from collections.abc import Iterator

import chapters
import pages
import psutil
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
from doit.exceptions import TaskFailed
from doit.reporter import ConsoleReporter
from doit.tools import config_changed
from filelock import FileLock, Timeout
from tqdm import tqdm

from atri_lib.data.banks import default_bank
from atri_lib.storage import write_text

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
EXECUTED = ROOT / ".cache" / "executed"  # minutes of work: `jupyter-book clean` empties _build
SCENES = BUILD / "scenes" / "scenes.js"  # beside it: the front page's data, and the sounds
# Chapters that take a minute or more: begun first, so that none of them is left alone at the end.
SLOWEST = ("09", "11", "10", "19", "17", "18", "12", "15")
AT_ONCE = 2  # most of a chapter is single-threaded: imports, figures, twin runs
# executed versions kept of each chapter, so that switching between two profiles executes nothing
KEPT = 3
PROFILE = os.environ.get("PROFILE") or "book"
GIVEN = {} if PROFILE == "book" else {"profile": PROFILE}
# Kernels draw no bars: a page shows results, not how long they took to come. Their threads sleep
# while they wait.
QUIET = {"ATRI_PROGRESS": "0", "OMP_WAIT_POLICY": "PASSIVE", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
KEPT_NOTE = "What was finished is kept: the same command goes on from there."
EXPECTED = (chapters.BuildFailed, RuntimeError, ValueError, OSError)  # said without a traceback


class Lines(ConsoleReporter):
    """doit's lines with the time, between the bars of what is under way; one more when a task is
    done.
    """

    start = time.monotonic()

    def write(self, text: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - self.start), 60)
        tqdm.write(f"{minutes:3d}:{seconds:02d} {text.rstrip()}", file=sys.__stdout__)
        sys.__stdout__.flush()

    def add_success(self, task) -> None:
        if task.actions:
            self.write(f"+  {task.title()}\n")


DOIT_CONFIG = {
    "dep_file": str(BUILD / "doit.db"),
    "backend": "sqlite3",
    "num_process": AT_ONCE,
    "par_type": "thread",
    "reporter": Lines,
}


def task(title: str, function, *arguments, **more) -> dict:
    """A task in doit's form. What can be expected to go wrong becomes a message instead of a
    traceback.
    """

    def action() -> TaskFailed | None:
        try:
            function(*arguments)
        except EXPECTED as error:
            return TaskFailed(f"{error}\n\n{KEPT_NOTE}")

    return {"title": lambda _: title, "actions": [action], "verbosity": 2} | more


def committed() -> list[pathlib.Path]:
    """The committed chapters, in the order of the book."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


@functools.cache
def planned() -> dict[pathlib.Path, pathlib.Path]:
    """Where each chapter of the book is kept once it is executed; the name holds the key of its
    content.
    """
    sounds = default_bank().checksum
    toc = pages.load_toc(ROOT)
    targets = {}
    for path in committed():
        if f"notebooks/{path.stem}" in toc:
            key = chapters.chapter_key(chapters.read(path), GIVEN, ROOT, sounds)
            targets[path] = EXECUTED / f"{path.stem}-{key}.ipynb"
    return targets


def files_of(*folders: str) -> list[pathlib.Path]:
    """All files of folders, without what Python has compiled."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    return [path for path in paths if path.is_file() and path.suffix != ".pyc"]


def task_prepare() -> dict:
    """The data, the features and the training runs that several chapters read."""
    return task("Recordings, features and training runs", prepare)


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
        print(f"        {run}: MRV {run.metrics['test']['mrv']:.0f}")


def task_chapters() -> Iterator[dict]:
    """Each chapter as it is published."""
    for path, target in planned().items():
        more = {"targets": [target], "uptodate": [True], "setup": ["prepare"]}
        yield task(path.stem, execute, path, target, GIVEN, name=path.stem, **more)


def execute(source: pathlib.Path, target: pathlib.Path, given: dict) -> None:
    """Execute a chapter, and remove what was kept of its oldest versions."""
    os.environ.update(QUIET)
    chapters.execute(source, target, given, BUILD / "failed")
    for old in sorted(target.parent.glob(f"{source.stem}-*.ipynb"), key=os.path.getmtime)[:-KEPT]:
        old.unlink()


def task_scenes() -> dict:
    """What pages show besides chapters: the scenes to search, and the table of studies."""
    files = files_of("atri_lib", "studies", "book/live")
    of_the_page = ("search_page", "live_encoder", "viz", "sounds")
    files += [ROOT / "book" / f"{name}.py" for name in of_the_page]
    same = config_changed(f"{PROFILE} {default_bank().checksum}")
    more = {"file_dep": files, "targets": [SCENES, pages.STUDIES], "uptodate": [same]}
    return task("Scenes to search, table of studies", gather, setup=["prepare"], **more)


def gather() -> None:
    """Write the scenes and the table, without bars."""
    from book import search_page  # here: they load torch
    from studies import computing

    os.environ.update(QUIET)
    search_page.build(SCENES.parent, PROFILE)
    write_text(pages.STUDIES, computing.report())


def task_refresh() -> Iterator[dict]:
    """Each committed chapter, executed in place."""
    for path in committed():
        yield task(path.stem, refresh, path, name=path.stem, setup=["prepare"])


def refresh(path: pathlib.Path) -> None:
    """Execute a committed chapter in place, cleaned."""
    target = BUILD / "refreshed" / path.name
    execute(path, target, {})
    write_text(path, chapters.written(chapters.clean(chapters.read(target))))


def task_book() -> dict:
    """The site, of all chapters as they were just executed."""
    executed = {path.stem: target for path, target in planned().items()}
    in_order = sorted(executed, key=lambda name: (not name.startswith(SLOWEST), name))
    tasks = [f"chapters:{name}" for name in in_order]
    tasks.insert(len(SLOWEST), "scenes")  # beside chapters, not when all are done
    return site("html", executed) | {"task_dep": tasks}


def task_site() -> dict:
    """The site of the committed chapters as they are, without their sounds, for the browser
    test.
    """
    return site("committed", {path.stem: path for path in planned()})


def site(name: str, executed: dict[str, pathlib.Path]) -> dict:
    """The site in a folder of _build."""
    files = files_of("book", "atri_lib")
    files += [ROOT / name for name in ("_config.yml", "_toc.yml", "requirements.txt")]
    built = BUILD / name
    more = {"targets": [built / pages.BUILT]}
    more["file_dep"] = [SCENES, pages.STUDIES, *files, *executed.values()]
    return task(f"Site: _build/{name}/index.html", pages.build_site, ROOT, executed, built, **more)


def stop(signum: int, frame) -> None:
    """End at once, with every kernel; threads that wait for one would keep the process alive."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    print(f"\nStopped. {KEPT_NOTE}", file=sys.__stderr__, flush=True)
    os._exit(128 + signum)


def main(goal: str = "book", *names: str) -> int:
    """Do what was asked for; the exit code of doit, which refuses what it does not know. Raises
    SystemExit while another build runs.
    """
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    BUILD.mkdir(exist_ok=True)
    os.chdir(ROOT / "notebooks")  # where kernels start
    os.environ["ATRI_PLAYERS"] = "1" if goal == "book" else "0"
    try:
        with FileLock(BUILD / ".lock", timeout=0):
            planned()
            # what fails stops only what needs it; the book, which needs all, at once
            DOIT_CONFIG["continue"] = goal != "book"
            selected = [f"{goal}:{name}" for name in names] or [goal]
            return DoitMain(ModuleTaskLoader(globals())).run(["run", *selected])
    except Timeout:
        raise SystemExit("Another build of this book is running: wait for it or stop it.") from None
    except EXPECTED as error:
        raise SystemExit(f"\n{error}\n{KEPT_NOTE}") from None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
