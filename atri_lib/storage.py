"""Files that survive a kill: one cache folder, atomic writes, locks, checksums.

Files and folders are written beside their place, then put in it: a kill leaves old or new. Locks
keep two programs apart; what killed ones left is removed. JSON files are written whole, sealed by a
checksum, and read with every fault named.
"""

import contextlib
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
from filelock import FileLock, Timeout

PARTIAL = ".atri-partial"  # ends the name of every temporary folder of ours, and of nothing else
LOCK = "atri.lock"  # the file in it by which a writer that lives is told from one that was killed
REPLACED = "replaced"  # the folder in it where a swap keeps what was in the target's place
# How the system, safetensors and numpy say that nothing can be written.
UNWRITABLE = re.compile(
    "No space left on device|File too large|[Qq]uota exceeded|requested and .* written"
    "|Permission denied|Read-only file system|Operation not permitted"
)
LARGEST_JSON = 2**26  # characters that are read as JSON


# Where the cache is, and what environment variables say


def cache_dir(*parts: str) -> pathlib.Path:
    """A folder below the cache root (`$ATRI_CACHE`, else `$XDG_CACHE_HOME/atri_lib`, else
    `~/.cache/atri_lib`), made.

    Raises OSError naming ATRI_CACHE when it is not there and cannot be made.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = os.environ.get("ATRI_CACHE") or f"{caches}/atri_lib"
    try:
        folder = pathlib.Path(root, *parts).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home folder
        said = f"{root}: the cache cannot be made there ({error})"
        raise OSError(f"{said}; set ATRI_CACHE to a folder that can be written") from error
    return folder


def offline() -> bool:
    """Whether ATRI_OFFLINE forbids every use of the network."""
    return switched_on("ATRI_OFFLINE")


def switched_on(variable: str) -> bool:
    """Whether an environment variable is set to something else than 0, false, no or off."""
    return os.environ.get(variable, "").lower() not in ("", "0", "false", "no", "off")


# Files and folders in one move


@contextlib.contextmanager
def atomic_path(
    target: str | os.PathLike, *, folder: bool = False, replace: bool = True
) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `target`; on success it takes the place of `target`, on any
    error it is removed.

    With folder=True the temporary path is an existing empty folder; with replace=False a folder
    that is there and not empty is an OSError. A kill between the two moves, of the old folder away
    and of the new one to its place, is made good by `settle`, which is done here first. Raises
    OSError naming `target` when nothing can be written.
    """
    target = pathlib.Path(os.path.abspath(target))  # so that "." and "a/.." have a name
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        settle(target)
        holder = pathlib.Path(tempfile.mkdtemp(PARTIAL, _beginning(target), target.parent))
        try:
            with FileLock(holder / LOCK):
                partial = holder / target.name
                if folder:
                    partial.mkdir()
                yield partial
                if folder and replace:
                    (holder / REPLACED).mkdir()
                    with contextlib.suppress(FileNotFoundError):  # there is none
                        os.replace(target, holder / REPLACED / target.name)
                try:
                    os.replace(partial, target)
                except OSError:
                    if not (folder and replace and target.exists()):
                        raise  # else another process has just put its own there
        finally:
            _dissolve(holder)


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")


def settle(target: str | os.PathLike) -> None:
    """Put right what killed writers of a file or folder left beside it.

    A folder that was about to be replaced is in its place again, or the new one is, and temporary
    folders are gone. Where nothing can be written, nothing is done.
    """
    target = pathlib.Path(os.path.abspath(target))
    for holder in target.parent.glob(f"{glob.escape(_beginning(target))}????????{PARTIAL}"):
        if (holder / LOCK).is_file():
            patience = 10 if (holder / REPLACED).exists() else 0  # a swap is done in a moment
            # If not, its writer lives, or nothing can be written there.
            with contextlib.suppress(OSError), FileLock(holder / LOCK, timeout=patience):
                _dissolve(holder)


def _beginning(target: pathlib.Path) -> str:
    """How the names of a target's temporary folders begin; names may have 255 bytes."""
    return f".{target.name[:50]}."


def _dissolve(holder: pathlib.Path) -> None:
    """Finish a swap that was cut off between its two moves, or undo it; remove what is left."""
    for old in (holder / REPLACED).glob("*"):
        place = holder.parent / old.name
        new = holder / old.name  # complete, since its writer had begun to put it in place
        for path in (new, old):
            with contextlib.suppress(OSError):
                if not os.path.lexists(place):
                    os.replace(path, place)
        if not os.path.lexists(place):
            return  # better a leftover than a loss
    shutil.rmtree(holder, ignore_errors=True)


@contextlib.contextmanager
def writing(target: pathlib.Path) -> Iterator[None]:
    """What libraries say in words of their own where nothing can be written becomes an OSError that
    names the file and says what to do.
    """
    try:
        yield
    except Exception as error:
        if found := UNWRITABLE.search(str(error)):
            said = f"{target}: cannot be written ({found[0]}), what was there is untouched"
            fix = "free some space, write elsewhere, or move the cache with ATRI_CACHE"
            raise OSError(f"{said}; {fix}") from error
        raise


@contextlib.contextmanager
def locked(target: str | os.PathLike, waiting: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file or folder, a hidden file beside it.

    While another program holds it, `waiting` is said on stderr; without `wait`: TimeoutError.
    """
    target = pathlib.Path(os.path.abspath(target))
    lock = FileLock(target.with_name(f".{target.name}.atri-lock"))
    with writing(target):
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise
            print(waiting, file=sys.stderr)
            held = lock.acquire()
    with held:
        yield


# Values


def write_json(target: str | os.PathLike, value) -> None:
    """Write JSON atomically, keys in the order given. Raises ValueError for NaN and infinity."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(target, f"{text}\n")


def write_sealed(target: str | os.PathLike, values: dict) -> None:
    """Write a JSON object atomically, with a checksum of its values as the last one."""
    write_json(target, values | {"checksum": checksum(values)})


def read_sealed(path: str | os.PathLike) -> dict:
    """The values that write_sealed wrote. Raises ValueError naming the file where one differs."""
    values = read_json(path)
    if values.pop("checksum", None) != checksum(values):
        raise ValueError(f"{path}: not what was written: its checksum differs")
    return values


def read_json(path: str | os.PathLike) -> dict:
    """An object from a JSON file.

    Raises ValueError naming the file for anything else, also for NaN, for infinity (1e999 is one)
    and for a key that comes twice; OSError for what is no regular file.
    """
    try:
        with open(regular(path), encoding="utf-8") as stream:
            text = stream.read(LARGEST_JSON)
        value = json.loads(text, object_pairs_hook=unrepeated)
        json.dumps(value, allow_nan=False)  # refuses what is not finite
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: a JSON object is expected, not {type(value).__name__}")
    return value


def unrepeated(pairs: list[tuple[str, object]]) -> dict:
    """For `json.loads`: raises ValueError for a key that comes twice."""
    values: dict = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {name[:40]!r} comes twice")
        values[name] = value
    return values


def checksum(*values) -> str:
    """Hex SHA-256 (first 16 digits) of bytes, arrays (dtype, shape and values) and JSON-like
    values, in order.
    """
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            value = np.ascontiguousarray(value).data
        elif not isinstance(value, bytes):
            value = json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
        digest.update(value)
        digest.update(b"\x00")
    return digest.hexdigest()[:16]


def regular(path: str | os.PathLike) -> pathlib.Path:
    """The path of a file that can be read to its end. Raises OSError for a pipe, a device or a
    folder.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path}: not a regular file")
    return path


def sha256_file(path: str | os.PathLike) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(regular(path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
