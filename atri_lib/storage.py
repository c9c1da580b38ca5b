"""Files that survive a kill: one cache folder, atomic writes, locks, checksums.

Files and folders are written beside their place, then put in it: a kill leaves old or new. Locks
keep two programs apart; what killed ones left is removed. JSON files are written whole, sealed by a
checksum, and read with every fault named.
"""

import contextlib
import glob
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from filelock import FileLock, Timeout

PARTIAL = ".atri-partial"  # ends the name of every temporary folder of ours, and of nothing else
LOCK = "atri.lock"  # the file in it by which a writer that lives is told from one that was killed
REPLACED = "replaced"  # the folder in it where a swap keeps what was in the target's place
FRESH = 5  # seconds in which a new temporary folder gets its lock
ROOM = 2**20  # bytes: a write that fails with less than this free has failed for want of room
_FULL = re.compile("No space left|File too large|quota exceeded|disk (is )?full")
_REFUSED = re.compile("Permission denied|Read-only|not permitted")
LARGEST_JSON = 2**26  # bytes that are read as JSON


# Where the cache is, and what environment variables say


def cache_dir(*parts: str) -> pathlib.Path:
    """A folder below the cache root (`$ATRI_CACHE`, else `$XDG_CACHE_HOME/atri_lib`, else
    `~/.cache/atri_lib`), made.

    Raises OSError naming ATRI_CACHE when it is not there and cannot be made.
    """
    root = os.environ.get("ATRI_CACHE")
    if not root:
        root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "atri_lib")
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
def atomic_path(target: str | os.PathLike, *, folder: bool = False) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `target`; on success it replaces `target`, on any error it is
    removed.

    With folder=True the temporary path is an existing empty folder. A kill between the two moves,
    of the old folder away and of the new one to its place, is made good by `settle`. What a killed
    writer of the same target left behind is removed. Raises DiskFull.
    """
    target = pathlib.Path(os.path.abspath(target))  # so that "." and "a/.." have a name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary_folder(target) as holder:
            partial = holder / target.name
            if folder:
                partial.mkdir()
            yield partial
            if folder:
                (holder / REPLACED).mkdir()
                with contextlib.suppress(FileNotFoundError):  # there is none
                    os.replace(target, holder / REPLACED / target.name)
            try:
                os.replace(partial, target)
            except OSError:
                if not (folder and target.exists()):  # another process has put its own there
                    raise
    except Exception as error:
        raise write_error(error, target) from error.__cause__


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def temporary_folder(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a new folder beside a file or folder that is to be written, and remove it at the end.

    What killed writers of the same target left is removed, as by `settle`.
    """
    settle(target)
    target = pathlib.Path(os.path.abspath(target))
    name = tempfile.mkdtemp(prefix=_beginning(target), suffix=PARTIAL, dir=target.parent)
    holder = pathlib.Path(name)
    try:
        with FileLock(holder / LOCK):
            yield holder
    finally:
        _dissolve(holder)


def settle(target: str | os.PathLike) -> None:
    """Put right what killed writers of a file or folder left beside it.

    A folder that was about to be replaced is in its place again, or the new one is, and temporary
    folders are gone. Where nothing can be written, nothing is done.
    """
    target = pathlib.Path(os.path.abspath(target))
    settle_folder(target.parent, glob.escape(_beginning(target)))


def settle_folder(folder: str | os.PathLike, beginning: str = ".*.") -> None:
    """Put right what killed writers left in a folder, as by `settle`, whatever they wrote."""
    for holder in pathlib.Path(folder).glob(f"{beginning}????????{PARTIAL}"):
        # If not, its writer lives, or nothing can be written there.
        with contextlib.suppress(OSError):
            if (holder / LOCK).is_file():
                swapping = (holder / REPLACED).exists()
                with FileLock(holder / LOCK, timeout=10 if swapping else 0):
                    _dissolve(holder)
            elif time.time() - holder.stat().st_mtime > FRESH:
                holder.rmdir()  # killed before it held anything


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


class DiskFull(OSError):
    """Nothing more can be written; the message names the disk and what to do."""


def write_error(error: Exception, target: pathlib.Path) -> Exception:
    """The error itself in words that help, or DiskFull when that is what it means: other libraries
    say it in words of their own, or not at all.
    """
    vague = isinstance(error, (OSError, RuntimeError))
    if _FULL.search(str(error)) or vague and shutil.disk_usage(target.parent).free < ROOM:
        advice = "free some space, write elsewhere, or move the cache with ATRI_CACHE"
        return DiskFull(f"{target}: the disk is full, what was there is untouched; {advice}")
    if isinstance(error, OSError) and _REFUSED.search(str(error)):
        why = f"{target}: cannot be written ({error.strerror or error})"
        return OSError(f"{why}; choose another folder, or set ATRI_CACHE")
    return error


def lock_file(target: pathlib.Path) -> pathlib.Path:
    """The hidden file beside a file or folder that is its lock."""
    return target.with_name(f".{target.name}.atri-lock")


@contextlib.contextmanager
def locked(target: str | os.PathLike, waiting: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file or folder, a hidden file beside it.

    While another program holds it, `waiting` is said on stderr; without `wait`: TimeoutError.
    """
    target = pathlib.Path(os.path.abspath(target))
    lock = FileLock(lock_file(target))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        print(waiting, file=sys.stderr)
        held = lock.acquire()
    except OSError as error:
        raise write_error(error, target) from error
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
    """What write_sealed wrote, its checksum with it. Raises ValueError naming the file where a
    value differs.
    """
    sealed = read_json(path)
    values = {name: value for name, value in sealed.items() if name != "checksum"}
    if sealed.get("checksum") != checksum(values):
        raise ValueError(f"{path}: not what was written: its checksum differs")
    return sealed


def read_json(path: str | os.PathLike) -> dict:
    """An object from a JSON file.

    Raises ValueError naming the file for anything else, also for NaN, for infinity (1e999 is one)
    and for a key that comes twice; OSError for what is no regular file.
    """
    try:
        if regular(path).stat().st_size > LARGEST_JSON:
            raise ValueError(f"it has more than {LARGEST_JSON} bytes")
        text = pathlib.Path(path).read_text(encoding="utf-8")
        numbers = {"parse_constant": _finite, "parse_float": _finite}
        value = json.loads(text, object_pairs_hook=unrepeated, **numbers)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: a JSON object is expected, not {type(value).__name__}")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
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
            digest.update(np.ascontiguousarray(value).data)
        elif isinstance(value, bytes):
            digest.update(value)
        else:
            digest.update(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())
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
