"""Files that survive a kill, and a checksum of code that follows what the code does."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import pytest
from safetensors import SafetensorError

from atri_lib import storage
from atri_lib.storage import (
    DiskFull,
    atomic_path,
    cache_dir,
    clean_leftovers,
    locked,
    read_json,
    syntax_hash,
    write_json,
)


def test_a_path_without_a_name_of_its_own_gets_one_and_leaves_no_litter(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for target in (".", "absent/.."):
        with pytest.raises(OSError), atomic_path(target) as partial:
            assert partial.name == "here" and partial.is_absolute()
            partial.write_text("a file cannot take the place of a folder")
        with pytest.raises(KeyboardInterrupt), atomic_path(target, folder=True) as partial:
            assert partial.name == "here" and partial.is_dir()
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_a_relative_target_stays_where_it_was_meant(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with atomic_path("new/file.txt") as partial:
        partial.write_text("text")
        os.chdir("elsewhere")
    assert (tmp_path / "new/file.txt").read_text() == "text" and not list((tmp_path / "elsewhere").iterdir())


CODE = """
import math


class Circle:
    def __init__(self, radius): self.radius = radius
    async def area(self):
        return math.pi * self.radius ** 2 + len("text")
"""
REWORDED = '''# -*- coding: utf-8 -*-
"Circles."
import math  # for pi

class Circle:
    """A circle; é."""

    def __init__(self, radius):
        "radius: in metres"
        self.radius = radius

    async def area(self):
        """In square
        metres."""
        # Archimedes
        return (math.pi * self.radius**2
                + len('text'))
'''


def hashed(source: str) -> str:
    return syntax_hash(source.encode())


def test_comments_docstrings_and_layout_do_not_change_the_hash_of_code():
    assert hashed(CODE) == hashed(REWORDED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("** 2", "** 3"),
        ("import math", "import cmath as math"),
        ("self, radius)", "self, radius=1)"),
        ("async def", "def"),
        ('"text"', '"Text"'),
        ("self.radius = radius", "'a docstring'; self.radius = float(radius)"),
        ("        return", "        return 'no docstring'\n        return"),
        ("        return", "        b'no docstring'\n        return"),
        ("        return", "        f'{self.move()}'\n        return"),
        ("class Circle:", "class Circle:\n    unit = 'm'"),
    ],
)
def test_any_code_changes_its_hash(old, new):
    assert CODE.count(old) == 1 and hashed(CODE) != hashed(CODE.replace(old, new))


def test_the_cache_may_be_named_from_home_and_what_cannot_be_made_is_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ATRI_CACHE", "~/sounds")
    assert cache_dir("runs") == tmp_path / "sounds" / "runs" and not pathlib.Path("~").exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="file/cache: the cache cannot be made there .* set ATRI_CACHE"):
        cache_dir()


def test_json_is_strict_both_ways(tmp_path):
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError):
            write_json(tmp_path / "x.json", {"loss": value})
        (tmp_path / "read.json").write_text(json.dumps({"loss": value}))
        with pytest.raises(ValueError, match="read.json: not JSON"):
            read_json(tmp_path / "read.json")
    assert not (tmp_path / "x.json").exists()
    write_json(tmp_path / "x.json", {"é": 1.5})
    assert read_json(tmp_path / "x.json") == {"é": 1.5}


def out_of_room(path):
    with open("/dev/full", "w") as stream:
        stream.write("x")


def safetensors_out_of_room(path):  # its own words, without errno
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def silently_out_of_room(path):  # as numpy says it
    raise OSError("1000 requested and 0 written")


@pytest.mark.parametrize("write", [out_of_room, safetensors_out_of_room, silently_out_of_room])
def test_a_full_disk_is_named_and_what_was_there_stays(write, tmp_path, monkeypatch):
    if write is silently_out_of_room:
        monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=4096))
    (tmp_path / "kept").write_text("old")
    with pytest.raises(DiskFull, match="kept: the disk is full, nothing was written; free some space.*ATRI_CACHE"):
        with atomic_path(tmp_path / "kept") as partial:
            write(partial)
    assert (tmp_path / "kept").read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_another_fault_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(SafetensorError, match="InvalidHeader"), atomic_path(tmp_path / "x"):
        raise SafetensorError("InvalidHeader")


WRITE = """
import sys, time
from atri_lib.storage import atomic_path, locked
with locked(sys.argv[1] + ".lock", ""), atomic_path(sys.argv[1]) as partial:
    partial.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_has_is_not(tmp_path):
    target = tmp_path / "file"
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(target)], stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()
    (holder,) = tmp_path.glob(".file.*")
    past = time.time() - 60
    os.utime(holder, (past, past))
    try:
        with atomic_path(target) as partial:
            partial.write_text("other")
        assert holder.is_dir() and clean_leftovers(tmp_path) == []
        with pytest.raises(TimeoutError), locked(tmp_path / "file.lock", "", wait=False):
            pass
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    os.utime(holder, (past, past))
    assert sorted(clean_leftovers(tmp_path)) == [holder, tmp_path / "file.lock"]
    holder.mkdir()
    os.utime(holder, (past, past))
    with atomic_path(target) as partial:  # the next writer of the same file cleans up, too
        partial.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and target.read_text() == "new"


def test_a_run_folder_without_anything_to_go_on_from_is_removed(tmp_path):
    for name, files in {"empty": [], "begun": ["checkpoint.safetensors"], "done": ["metrics.json"]}.items():
        (tmp_path / name).mkdir()
        for file in ["config.json", *files]:
            (tmp_path / name / file).write_text("")
        (tmp_path / f".{name}.lock").write_text("")
    clean_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "done"]
