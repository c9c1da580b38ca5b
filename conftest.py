"""`pytest --nbval` and `--nbval-lax`, without a path, validate every chapter; `pytest` alone runs
the unit tests.

What the chapters' kernels need is set here, so that nothing has to be typed: the environment of the
build, this Python, long timeouts, the data and training runs that chapters read, and two chapters
side by side where pytest-xdist is there. The cells of one notebook stay in one process, however
many processes are asked for.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from filelock import FileLock

ROOT = pathlib.Path(__file__).resolve().parent
AT_ONCE = 2
pytest_plugins = [
    "tests.margins",  # numbers in chapters are compared up to a margin where a cell says so
    "pytester",  # the tests of these two
    "tests.kept_outputs",  # --kept: no kernels for chapters that `make book` has executed
]
QUIET = {
    "ATRI_PROGRESS": "0",
    "ATRI_PLAYERS": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
EVERY_CHAPTER = pytest.StashKey[bool]()
SKIPPED = (
    ROOT / "_build" / "skipped.txt"
)  # there while `make test` runs, which prints it at its end


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """What `--nbval` and `--nbval-lax` mean in this project; options that are given keep their
    meaning.
    """
    option = config.option
    if not (getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)):
        return
    os.environ.update(QUIET)
    option.nbval_current_env = not option.nbval_kernel_name
    option.nbval_kernel_startup_timeout = max(option.nbval_kernel_startup_timeout, 120)
    config.stash[EVERY_CHAPTER] = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    if config.stash[EVERY_CHAPTER]:
        config.args = [str(ROOT / "notebooks")]
        # A worker comes by here too: it starts none of its own.
        worker = hasattr(config, "workerinput") or "PYTEST_XDIST_WORKER" in os.environ
        if getattr(option, "numprocesses", 0) is None and not (
            worker or option.collectonly or option.usepdb
        ):
            option.numprocesses = AT_ONCE
    if getattr(option, "numprocesses", None) and option.dist == "no":
        option.dist = "loadfile"  # a cell needs those before it


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have data and training runs before the first of all chapters: it would train them unseen."""
    config = session.config
    if (
        config.stash.get(EVERY_CHAPTER, False)
        and not config.option.collectonly
        and not hasattr(config, "workerinput")
    ):
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            subprocess.run([sys.executable, ROOT / "book" / "tasks.py", "prepare"], check=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Two kernels that start at the same moment may choose the same port: one after the other."""
    with _one_kernel_at_a_time() if hasattr(item, "cell") else contextlib.nullcontext():
        return (yield)


def _one_kernel_at_a_time() -> contextlib.AbstractContextManager:
    """A lock that the processes of one pytest-xdist run share; nothing where there is one
    process.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return contextlib.nullcontext()
    (ROOT / "_build").mkdir(exist_ok=True)
    return FileLock(ROOT / "_build" / ".nbval-start.lock")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add what was skipped, by name and with the reason, to what `make test` prints at its end.

    Of the processes of pytest-xdist the first one writes, for all of them.
    """
    if hasattr(terminalreporter.config, "workerinput") or not SKIPPED.exists():
        return
    with open(SKIPPED, "a", encoding="utf-8") as file:
        for report in terminalreporter.getreports("skipped"):
            _, _, reason = report.longrepr
            reason = " ".join(reason.removeprefix("Skipped: ").split())
            print(f"{report.nodeid}: {reason}", file=file)
