"""What a hostile or unlucky user types: each ends with a code and one line that says what to do,
and spoils nothing.

A case runs the command line in a forked child with a limit of time and memory, in a copy of a small
world: a dataset of tones, a run trained on it with encoders of a few lines, sounds, captions and an
index.
"""

import io
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from fnmatch import fnmatch

import pytest
import torch
from hostile import (
    comparing,
    data,
    features,
    indexes,
    machine,
    runs,
    searching,
    settings,
    translating,
)
from hostile.case import Case
from hostile.world import make_world

from atri_lib import __main__

SECONDS = 60  # of one case
MEMORY = 2 * 2**30  # of one case: bytes beyond what the tests have already
STREAMS = ("stdin", "stdout", "stderr")
TABLES = [settings, data, features, runs, comparing, searching, indexes, translating, machine]
CASES = [case for table in TABLES for case in table.CASES]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder that every case has a copy of."""
    with pytest.MonkeyPatch.context() as patch:
        yield make_world(tmp_path_factory.mktemp("world"), patch)


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """The files in a folder, by name, the cache apart; and nothing may be half-written, there
    neither.
    """
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("cache/") and not name.endswith(".atri-lock"):
            found[name] = path.read_bytes()
        elif path.is_dir():
            half_written = re.search(r"/\.[^/]*\.atri-partial$", f"/{name}")
            assert not half_written, f"{name} is half-written"
    return found


def limit_memory() -> None:
    status = pathlib.Path("/proc/self/status").read_text()
    used = 1024 * int(re.search(r"VmSize:\s+(\d+)", status)[1])
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def run_here(case: Case, out: pathlib.Path, err: pathlib.Path) -> None:
    """The command in this process, a child, which ends with its exit code."""
    code = 99  # a traceback
    try:
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        case.inside()
        said = open(1, "wb", closefd=False)
        complaints = open(2, "wb", closefd=False)
        sys.stdout = io.TextIOWrapper(said, encoding=case.encoding)
        sys.stderr = io.TextIOWrapper(
            complaints, encoding=case.encoding, errors="backslashreplace", write_through=True
        )
        for number in case.closed:
            os.close(number)
            setattr(sys, STREAMS[number], None)  # as Python does when it starts without one
        torch.set_num_threads(1)
        limit_memory()
        code = __main__.main(shlex.split(case.command))
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def in_child(case: Case, out: pathlib.Path, err: pathlib.Path) -> int:
    """The exit code of a command in a child with limits; its output in two files."""
    child = os.fork()
    if not child:
        run_here(case, out, err)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f"no end after {SECONDS} s")


def copy_world(world: pathlib.Path, copy: pathlib.Path) -> None:
    """The world at another place: its links to runs lead to the copies of these."""
    shutil.copytree(world, copy, symlinks=True, ignore=shutil.ignore_patterns("pipe"))
    os.mkfifo(copy / "pipe")
    for link in ("run", "other", "begun"):
        name = (copy / link).readlink().name
        (copy / link).unlink()
        os.symlink(pathlib.Path("runs") / name, copy / link)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_ends_with_a_code_and_a_line_and_spoils_nothing(case, world, monkeypatch):
    with tempfile.TemporaryDirectory() as place:
        copy = pathlib.Path(place) / "world"
        copy_world(world, copy)
        monkeypatch.chdir(copy)
        monkeypatch.setenv("ATRI_CACHE", str(copy / "cache"))
        case.prepare()
        before = contents(copy)
        out = pathlib.Path(place) / "out"
        err = pathlib.Path(place) / "err"
        code = in_child(case, out, err)
        said = out.read_text(case.encoding, "replace")
        complaint = err.read_text(case.encoding, "replace")
        assert code == case.code, said + complaint
        told = said
        if code != 0:
            told = (complaint.splitlines() or [""])[-1]
        assert re.search(case.message, told), said + complaint
        if code == 1 and not case.name.startswith("a broken"):
            lines = [text for text in complaint.splitlines() if "Notice" not in text]
            assert len(lines) == (0 if 2 in case.closed else 1), complaint
        after = contents(copy)
        names = before.keys() | after.keys()
        changed = {name for name in names if before.get(name) != after.get(name)}
        assert bool(changed) == bool(case.new)
        for name in changed:
            assert any(fnmatch(name, pattern) for pattern in case.new), changed


def test_there_are_many_cases_with_different_names():
    assert len({case.name for case in CASES}) == len(CASES) >= 280


def test_a_real_program_whose_reader_has_gone_says_nothing(world):
    command = [sys.executable, "-m", "atri_lib", "evaluate", str(world / "run"), "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as program:
        program.stdout.close()
        assert program.stderr.read() == ""
        assert program.wait() == 141


@pytest.mark.slow
def test_a_real_terminal_of_ascii_is_spoken_to_in_ascii(world):
    """The case "a complaint to ASCII" sees it in a child."""
    command = [sys.executable, "-m", "atri_lib", "evaluate", str(world / "雨")]
    terminal = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=terminal)
    assert done.returncode == 1
    assert done.stderr.isascii()
    assert b"\\u96e8: not a complete run" in done.stderr


def test_a_real_program_whose_streams_are_closed_ends_as_with_them(world):
    for redirected, said in {">&-": "^$", "2>&-": "(?s)^languages:.*mrv: "}.items():
        program = f"{sys.executable} -m atri_lib evaluate {world / 'run'} {redirected}"
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == ""
        assert re.search(said, done.stdout)
