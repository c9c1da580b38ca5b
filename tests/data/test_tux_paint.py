"""The stamps' folder: fetched once, bounded, without a trace of what failed; stand-ins for Debian's
tools.
"""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from atri_lib.data import debian
from atri_lib.data.debian import package
from atri_lib.data.items import BankUnavailable
from atri_lib.data.pictures import FONT
from atri_lib.data.recorded import EFFECT, PICTURE

STAMPS = "./usr/share/tuxpaint/stamps/"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "ROOT", tmp_path / "not installed")


def find_stamps():
    return package("stamps").find("frog.png")


@pytest.fixture
def stamps(tmp_path):
    """A folder that looks like the installed package's."""
    folder = tmp_path / "stamps"
    (folder / "animals").mkdir(parents=True)
    for name in ("frog.ogg", "frog.txt", "frog_desc.ogg"):
        (folder / "animals" / name).write_bytes(b"x")
    (folder / "animals" / "frog.png").write_bytes(b"x")
    return folder


# Fetching, with stand-ins for apt-get (copies a prepared archive) and dpkg-deb (unpacks it).


def archive_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


GOOD = {
    STAMPS + "animals/amphibians/frog.ogg": b"ogg",
    STAMPS + "animals/amphibians/frog.txt": b"A frog.",
    STAMPS + "animals/amphibians/frog.png": b"picture",
    STAMPS + "animals/amphibians/frog_desc_fr.ogg": b"speech",
    STAMPS + "animals/newt.txt": b"without a sound",
    STAMPS + "animals/README": b"no sound",
    "./usr/share/doc/tuxpaint-stamps-default/copyright": b"GPL-2",
    "./etc/other.ogg": b"elsewhere",
}
TAKEN = ["animals/amphibians/frog." + suffix for suffix in ("ogg", "png", "txt")]
TAKEN += ["animals/newt.txt"]


def files_in(folder) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder on PATH with the stand-ins; package.tar in it is what the archive server has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    copy = f"cp {folder}/package.tar tuxpaint-stamps_1_all.deb"
    scripts = {
        "apt-get": f'case "$*" in *" download "*) {copy};; esac',
        "slow": f'case "$*" in *" download "*) sleep 30; {copy};; esac',
        "dpkg-deb": 'tar -xf "$2" -C "$3"',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "package.tar").write_bytes(archive_of(GOOD))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_fetching_takes_effects_pictures_and_captions_and_leaves_no_package(
    tools, tmp_path, capsys
):
    assert files_in(find_stamps()) == TAKEN
    assert sorted(os.listdir(tmp_path / "cache/tuxpaint")) == [".stamps.atri-lock", "stamps"]
    assert "161 MB" in capsys.readouterr().err
    (tools / "apt-get").unlink()
    assert files_in(find_stamps()) == TAKEN  # from the cache, without tools


def test_an_installed_package_is_used_before_the_cache(stamps, monkeypatch):
    installed = debian.ROOT / package("stamps").folder
    installed.parent.mkdir(parents=True)
    stamps.rename(installed)
    assert find_stamps() == installed


@pytest.mark.parametrize(
    "name", ["../outside.ogg", "/etc/outside.ogg", STAMPS + "../../../../outside.ogg"]
)
def test_of_an_archive_nothing_leaves_its_folder(tools, tmp_path, name):
    (tools / "package.tar").write_bytes(archive_of({name: b"x", **GOOD}))
    if ".." in name:
        with pytest.raises(BankUnavailable, match=r"dpkg-deb fails .*\.\.'"):
            find_stamps()
    else:
        assert files_in(find_stamps()) == TAKEN
    assert not list(tmp_path.rglob("outside.ogg"))


def test_links_in_the_archive_are_not_taken(tools, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo(STAMPS + "animals/toad.ogg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tools / "package.tar").write_bytes(buffer.getvalue())
    assert not list(find_stamps().rglob("toad.ogg"))


@pytest.mark.parametrize(
    ("tool", "script", "message"),
    [
        ("apt-get", "echo E: Unable to locate package >&2; exit 100", "Unable to locate package"),
        ("apt-get", "exit 0", "dpkg-deb fails"),
        ("dpkg-deb", "echo no archive >&2; exit 2", "dpkg-deb fails .no archive"),
        ("dpkg-deb", 'tar -xf "$2" -C "$3"; exit 2', "dpkg-deb fails"),
        ("dpkg-deb", "truncate -s 600M large.ogg", "dpkg-deb fails"),
    ],
)
def test_a_failed_fetch_says_what_to_do_and_leaves_nothing(tools, tmp_path, tool, script, message):
    (tools / tool).write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(BankUnavailable, match=f"(?s){message}.*sudo apt-get install"):
        find_stamps()
    assert os.listdir(tmp_path / "cache/tuxpaint") == [".stamps.atri-lock"]


def test_without_debian_tools_the_message_names_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    advice = "no apt-get.*copy its /usr/share/tuxpaint/stamps to"
    with pytest.raises(BankUnavailable, match=advice):
        find_stamps()


FETCH = "from atri_lib.data.debian import package; print(package('stamps').find('*.png'))"


def test_a_killed_fetch_is_ignored_and_cleaned_up_by_the_next(tools, tmp_path):
    fast = (tools / "apt-get").read_text()
    (tools / "apt-get").write_text((tools / "slow").read_text())
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH], start_new_session=True, stderr=subprocess.DEVNULL
    )
    cache = tmp_path / "cache/tuxpaint"
    deadline = time.monotonic() + 30
    while not list(cache.glob(".*.atri-partial/stamps/download")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(cache.glob(".*.atri-partial")) and not (cache / "stamps").exists()
    (tools / "apt-get").write_text(fast)
    assert files_in(find_stamps()) == TAKEN
    assert sorted(os.listdir(cache)) == [".stamps.atri-lock", "stamps"]


@pytest.mark.parametrize("copied", [False, True])
def test_what_a_killed_fetch_left_goes_also_when_the_recordings_came_otherwise(
    stamps, tmp_path, copied
):
    left = tmp_path / "cache/tuxpaint/.stamps.abcd1234.atri-partial"
    (left / "stamps/download").mkdir(parents=True)
    (left / "atri.lock").touch()
    came = debian.ROOT / package("stamps").folder
    if copied:
        came = left.with_name("stamps")  # by hand
    came.parent.mkdir(parents=True, exist_ok=True)
    stamps.rename(came)
    assert find_stamps() == came
    assert not left.exists()


def running(pid: int) -> bool:
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_fetch_leaves_no_child(tools, tmp_path):
    say = f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/child"
    (tools / "apt-get").write_text(f"#!/bin/sh\n{say}\nexec sleep 60\n")
    process = subprocess.Popen([sys.executable, "-c", FETCH], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (tmp_path / "child").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int((tmp_path / "child").read_text())
    assert running(child)
    process.kill()  # nothing of ours can run after this
    process.wait()
    time.sleep(0.2)
    assert not running(child)


def test_two_processes_at_once_fetch_one_copy(tools, tmp_path):
    (tools / "apt-get").write_text(
        (tools / "slow").read_text().replace("sleep 30", "echo x >> $0.calls; sleep 1")
    )
    pair = [
        subprocess.Popen([sys.executable, "-c", FETCH], stderr=subprocess.DEVNULL) for _ in range(2)
    ]
    assert [process.wait(60) for process in pair] == [0, 0]
    assert files_in(tmp_path / "cache/tuxpaint/stamps") == TAKEN
    assert (tools / "apt-get.calls").read_text() == "x\n"


def test_a_fetch_keeps_what_another_process_has_put_in_place(tools, stamps, monkeypatch):
    place = package("stamps").places[1]
    before = files_in(stamps)

    @contextlib.contextmanager
    def waited(*_):
        stamps.rename(place)  # it is there when the lock is had
        yield

    monkeypatch.setattr(debian, "locked", waited)
    assert find_stamps() == place
    assert files_in(place) == before


def test_a_folder_without_pictures_gets_them_and_loses_nothing(tools, stamps):
    place = package("stamps").places[1]
    (stamps / "animals/frog.png").unlink()
    (stamps / "animals/amphibians").mkdir()
    (stamps / "animals/amphibians/frog.ogg").write_bytes(b"mine")
    before = files_in(stamps)
    stamps.rename(place)
    assert package("stamps").find("*.ogg") == place and files_in(place) == before
    assert find_stamps() == place and files_in(place) == sorted({*TAKEN, *before})
    assert (place / "animals/amphibians/frog.ogg").read_bytes() == b"mine"
    (tools / "apt-get").unlink()
    assert find_stamps() == place


@pytest.mark.parametrize(
    "key, sample",
    [
        ("stamps", "animals/frog.ogg"),
        ("stamps", "animals/frog.png"),
        ("emoji names", "en.xml"),
        ("emoji", FONT),
    ],
)
def test_what_tells_of_a_package_is_wanted_of_it(key, sample):
    assert re.search(package(key).wanted, sample)


@pytest.mark.parametrize(
    ("path", "effect", "picture"),
    [
        ("animals/frog.ogg", True, False),
        ("animals/frog_desc_de.ogg", False, False),
        ("seasonal/dreydl-nun.ogg", False, False),
        ("symbols/math/7.ogg", False, False),
        ("animals/frog.png", False, True),
        ("symbols/math/7.png", False, False),
        ("town/roadsigns/stop.png", False, False),
        ("animals/frog.txt", False, False),
    ],
)
def test_effects_and_pictures_are_told_by_their_paths(path, effect, picture):
    assert [bool(EFFECT.search(path)), bool(PICTURE.search(path))] == [effect, picture]
