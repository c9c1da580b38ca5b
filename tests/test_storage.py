"""Files that survive a kill, locks, and sealed JSON."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from atri_lib.storage import (
    atomic_path,
    cache_dir,
    locked,
    read_json,
    read_sealed,
    settle,
    write_json,
    write_sealed,
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
    assert (tmp_path / "new/file.txt").read_text() == "text" and not list(
        (tmp_path / "elsewhere").iterdir()
    )


def test_the_cache_may_be_named_from_home_and_what_cannot_be_made_is_explained(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ATRI_CACHE", "~/sounds")
    assert cache_dir("runs") == tmp_path / "sounds" / "runs" and not pathlib.Path("~").exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        OSError, match="file/cache: the cache cannot be made there .* set ATRI_CACHE"
    ):
        cache_dir()
    monkeypatch.delenv("ATRI_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**30)  # a user whom /etc/passwd does not know
    with pytest.raises(OSError, match="home directory.*; set ATRI_CACHE to a folder"):
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"loss": 1e999}', "Out of range float"),
        (b'{"loss": [-1e999]}', "Out of range float"),
        (b'{"loss": 1, "loss": 2}', "the key 'loss' comes twice"),
        (b'{"test": {"mrv": 1, "mrv": 1}}', "the key 'mrv' comes twice"),
        (b'{"a":' * 10**5, "recursion"),
        (b'{"a": "\xff"}', "codec can't decode"),
        (b'{"a": ' + b"1" * 5000 + b"}", "4300 digits"),
        (b"", "Expecting value"),
        (b"[]", "a JSON object is expected, not list"),
    ],
)
def test_json_that_is_none_or_says_two_things_is_named(tmp_path, content, message):
    (tmp_path / "read.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"read.json: .*{message}"):
        read_json(tmp_path / "read.json")


def test_json_without_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="pipe.json: not a regular file"):
        read_json(tmp_path / "pipe.json")
    with open(tmp_path / "sparse.json", "wb") as stream:
        stream.truncate(2**33)
    with pytest.raises(ValueError, match="sparse.json: not JSON"):
        read_json(tmp_path / "sparse.json")


def test_every_byte_of_a_sealed_file_that_changes_a_value_is_noticed(tmp_path):
    path = tmp_path / "sealed.json"
    values = {"seed": 9, "test": {"mrv": 0.1, "é": -0.0}, "note": ""}
    write_sealed(path, values)
    content = path.read_bytes()
    assert read_sealed(path) == values
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            try:
                found = read_sealed(path)
            except ValueError as error:
                assert "sealed.json: " in str(error)
            else:  # one blank for another
                assert content[place] in b" \n" and json.dumps(found) == json.dumps(values)


def out_of_room(path):
    with open("/dev/full", "w") as stream:
        stream.write("x")


def safetensors_out_of_room(path):  # its own words, without errno
    raise SafetensorError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    )


def numpy_out_of_room(path):
    raise OSError("1000 requested and 0 written")


@pytest.mark.parametrize("write", [out_of_room, safetensors_out_of_room, numpy_out_of_room])
def test_a_full_disk_is_named_and_what_was_there_stays(write, tmp_path):
    (tmp_path / "kept").write_text("old")
    for name in ("kept", "new"):
        said = "cannot be written .*, what was there is untouched; free some .*ATRI_CACHE"
        with pytest.raises(OSError, match=f"{name}: {said}"):
            with atomic_path(tmp_path / name) as partial:
                write(partial)
    assert (tmp_path / "kept").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_another_fault_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(SafetensorError, match="InvalidHeader"), atomic_path(tmp_path / "x"):
        raise SafetensorError("InvalidHeader")


WRITE = """
import sys, time
from atri_lib.storage import atomic_path, locked
with locked(sys.argv[1], ""), atomic_path(sys.argv[1]) as partial:
    partial.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_has_is_not(tmp_path):
    target = tmp_path / "features" / "file"
    target.parent.mkdir()
    command = [sys.executable, "-c", WRITE, str(target)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()
    (holder,) = target.parent.glob(".*.atri-partial")
    try:
        with atomic_path(target) as partial:
            partial.write_text("other")
        assert holder.is_dir()
        with pytest.raises(TimeoutError), locked(target, "", wait=False):
            pass
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with atomic_path(target) as partial:  # the next writer of the same file cleans up
        partial.write_text("new")
    assert {path.name for path in target.parent.iterdir()} == {"file", ".file.atri-lock"}
    assert target.read_text() == "new"


# Beside out.csv, and in the cache's folder of runs: none of it is ours.
FOREIGN = (
    ".out.csv.v1/notes.txt",
    ".out.csv.12345678/notes.txt",
    ".out.csv.12345678/lock",
    ".out.csv.12345678.atri-partial/notes.txt",  # our suffix, without our lock
    ".out.csv.12345678.partial/atri.lock",  # our lock, another name
    "yarn.lock",
    ".out.csv.lock",
    "x/config.json",
    "out.csv.atri-lock",
)


@pytest.mark.parametrize("way", ["atomic_path", "settle"])
def test_what_is_not_ours_is_left_alone(way, tmp_path):
    for name in FOREIGN:
        path = tmp_path / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        for entry in (path, path.parent):
            os.utime(entry, (0, 0))
    link = tmp_path / "runs" / ".out.csv.87654321.atri-partial"
    link.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "atri.lock").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    if way == "settle":
        settle(tmp_path / "runs" / "out.csv")
    else:
        with atomic_path(tmp_path / "runs" / "out.csv") as partial:
            partial.write_text("new")
        (tmp_path / "runs" / "out.csv").unlink()
    assert sorted(tmp_path.rglob("*")) == before


def killed_at_move(number: int, work) -> None:
    """Do some work in a child process that is killed before the number-th move of a file or
    folder.
    """
    child = os.fork()
    if not child:
        moves, move = iter(range(number)), os.replace

        def replace(*arguments):
            if next(moves, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            move(*arguments)

        os.replace = replace
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def folder_of(text: str, target: pathlib.Path) -> None:
    with atomic_path(target, folder=True) as partial:
        (partial / "file").write_text(text)


@pytest.mark.parametrize("way", ["the next writer", "settle"])
@pytest.mark.parametrize(("moves", "kept"), [(0, "old"), (1, "new"), (2, "new")])
def test_a_kill_between_the_moves_of_a_swap_loses_nothing(moves, kept, way, tmp_path):
    target = tmp_path / "runs" / "folder"
    folder_of("old", target)
    killed_at_move(moves, lambda: folder_of("new", target))
    assert target.exists() == (moves != 1)
    if way == "settle":
        settle(target)
    else:
        with pytest.raises(KeyboardInterrupt), atomic_path(target, folder=True):
            raise KeyboardInterrupt
    assert (target / "file").read_text() == kept
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_an_error_between_the_moves_of_a_swap_puts_the_old_folder_back(tmp_path, monkeypatch):
    folder_of("old", tmp_path / "folder")
    move = os.replace

    def replace(source, target):
        if pathlib.Path(source).parent.name != "replaced" and target == tmp_path / "folder":
            raise OSError(28, "No space left on device")
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="folder: cannot be written"):
        folder_of("new", tmp_path / "folder")
    assert (tmp_path / "folder" / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_another_process_has_just_put_in_place_is_fine(tmp_path, monkeypatch):
    move = os.replace

    def late(source, target):
        if target == tmp_path / "folder":
            target.mkdir()
            (target / "file").write_text("another's")
        move(source, target)

    monkeypatch.setattr(os, "replace", late)
    folder_of("mine", tmp_path / "folder")
    assert (tmp_path / "folder" / "file").read_text() == "another's"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_writer_of_another_file_is_left_alone(tmp_path):
    holder = tmp_path / ".other.12345678.atri-partial"
    holder.mkdir()
    (holder / "atri.lock").touch()  # about to be locked
    with atomic_path(tmp_path / "file") as partial:
        partial.write_text("text")
    assert holder.is_dir()


def test_a_name_as_long_as_names_may_be_is_written(tmp_path):
    for name in ("a" * 255, "é" * 127):
        with atomic_path(tmp_path / name) as partial:
            partial.write_text("text")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def test_a_folder_that_may_not_be_replaced_is_not(tmp_path):
    (tmp_path / "folder").mkdir()
    for text in ("first", "second"):
        refused = contextlib.nullcontext() if text == "first" else pytest.raises(OSError)
        with refused, atomic_path(tmp_path / "folder", folder=True, replace=False) as partial:
            (partial / "file").write_text(text)
    assert (tmp_path / "folder" / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
