"""A folder of a Debian package without installing it: fetched by name, verified by apt-get,
unpacked by dpkg-deb.
"""

import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from atri_lib.data.items import BankUnavailable
from atri_lib.storage import atomic_path, cache_dir, locked, offline, read_json, settle

ROOT = pathlib.Path("/")
PACKAGES = pathlib.Path(__file__).with_name("packages.json")  # those that the banks need
# before a command: it ends however this process ends, and writes no file of more than 500 MB
BOUNDED = ("setpriv", "--pdeathsig", "KILL", "prlimit", "--fsize=500000000")
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
    pattern of the names of files that are kept; cached: where in the cache.
    """

    name: str
    megabytes: int
    what: str
    folder: str
    wanted: str
    cached: str

    @property
    def places(self) -> tuple[pathlib.Path, pathlib.Path]:
        """The folder of the installed package, and that in the cache."""
        kind, name = self.cached.split("/")
        return ROOT / self.folder, cache_dir(kind) / name

    def unavailable(self, reason: str) -> BankUnavailable:
        """The error that says why it cannot be had."""
        return BankUnavailable(
            f"{self.what} are not available: {reason}. On Debian or Ubuntu, go online or run "
            f"`sudo apt-get install {self.name}`; elsewhere copy its /{self.folder} to "
            f"{self.places[1]}."
        )

    def find(self, sample: str) -> pathlib.Path:
        """The folder with a file of some name, which may be a pattern: where the package is
        installed, else from the cache, else fetched, by one process at a time.

        Raises BankUnavailable, and OSError when there is no room for it.
        """
        installed, cached = self.places
        settle(cached)  # a download that was killed may hold 161 MB
        for folder in (installed, cached):
            if any(folder.rglob(sample)):
                return folder
        with locked(cached, f"Waiting: another process is fetching {self.what}."):
            if not any(cached.rglob(sample)):
                self.fetch(cached)
        return cached

    def fetch(self, place: pathlib.Path) -> None:
        """Fetch the package's folder; what is in its place, which people may have copied there,
        stays in it.
        """
        if offline():
            raise self.unavailable("ATRI_OFFLINE forbids all network")
        if shutil.which("apt-get") is None:
            raise self.unavailable("this machine has no apt-get")
        about = f"Fetching {self.what}: Debian's {self.name}, {self.megabytes} MB, once."
        print(about, file=sys.stderr)
        with atomic_path(place, folder=True) as partial:
            scratch = partial / "download"
            scratch.mkdir()
            with contextlib.suppress(BankUnavailable):  # sources that are down are common
                self.run(scratch, *APT, "-qq", "update")
            self.run(scratch, *APT, "download", self.name)
            self.run(scratch, "dpkg-deb", "--extract", *scratch.glob("*.deb"), ".")
            unpacked = scratch / self.folder
            for path in unpacked.rglob("*"):
                unwanted = path.is_file() and not re.fullmatch(self.wanted, path.name)
                if unwanted or path.is_symlink():
                    path.unlink()
            for folder in filter(pathlib.Path.exists, (unpacked, place)):
                shutil.copytree(folder, partial, dirs_exist_ok=True)
            shutil.rmtree(scratch)

    def run(self, folder: pathlib.Path, *command: str | pathlib.Path) -> None:
        """A command in a folder; what it prints goes to stderr. Raises BankUnavailable with what it
        complains of.
        """
        done = subprocess.run(
            [*BOUNDED, *command],
            cwd=folder,
            stdout=STDERR,
            stderr=subprocess.PIPE,
            errors="replace",
        )
        if done.returncode:
            reason = " ".join(done.stderr.split())[-300:]
            raise self.unavailable(f"{command[0]} fails ({reason})")


def package(key: str) -> Package:
    """One of PACKAGES."""
    return Package(**read_json(PACKAGES)[key])
