"""Files that survive a kill: one cache folder, atomic writes, locks, checksums."""

import ast
import contextlib
import errno
import functools
import glob
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from filelock import FileLock, Timeout
from pydantic_core import from_json

LOCK = "lock"  # the file by which a writer that lives is told from one that was killed
ROOM = 2**20  # bytes: a write that fails with less than this free has failed for want of room


class DiskFull(OSError):
    """Nothing more can be written; the message names the disk and what to do."""


def cache_dir(*parts: str) -> pathlib.Path:
    """A folder below the cache root (`$ATRI_CACHE`, else `$XDG_CACHE_HOME/atri_lib`, else `~/.cache/atri_lib`), made.

    Raises OSError naming ATRI_CACHE when it is not there and cannot be made.
    """
    root = os.environ.get("ATRI_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "atri_lib")
    try:
        folder = pathlib.Path(root, *parts).expanduser()
    except RuntimeError as error:
        said = f"{root}: this user has no home folder for the cache"
        raise OSError(f"{said}; set ATRI_CACHE to a folder that can be written") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"{folder}: the cache cannot be made there ({error.strerror})"
        raise OSError(f"{said}; set ATRI_CACHE to a folder that can be written") from error
    return folder


def offline() -> bool:
    """Whether ATRI_OFFLINE forbids every use of the network."""
    return switched_on("ATRI_OFFLINE")


def switched_on(variable: str) -> bool:
    """Whether an environment variable is set to something else than 0, false, no or off."""
    return os.environ.get(variable, "").lower() not in ("", "0", "false", "no", "off")


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike, *, folder: bool = False, replace: bool = False) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `target`; on success it replaces `target`, on any error it is removed.

    With folder=True the temporary path is an existing empty folder. A folder that another process put in place
    meanwhile is kept (its content has the same key) and ours is dropped, unless replace=True: then the old one goes.
    What a killed writer of the same target left behind is removed. Raises DiskFull.
    """
    target = pathlib.Path(os.path.abspath(target))  # so that "." and "a/.." have a name
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*"):
        _remove_abandoned(leftover)
    try:
        holder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _write_error(error, target) from error
    partial = holder / target.name
    try:
        with FileLock(holder / LOCK):
            if folder:
                partial.mkdir()
            yield partial
            if folder and target.exists():
                if not replace:
                    return
                with contextlib.suppress(FileNotFoundError):  # another process has moved it away just now
                    os.replace(target, holder / "replaced")
            try:
                os.replace(partial, target)
            except OSError:
                if not (folder and target.exists()):
                    raise
    except Exception as error:
        raise _write_error(error, target) from error.__cause__
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _write_error(error: Exception, target: pathlib.Path) -> Exception:
    """The error itself, or DiskFull: other libraries say it in words of their own, or not at all."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full = full or any(words in str(error) for words in ("No space left", "File too large"))
    if full or (isinstance(error, (OSError, RuntimeError)) and shutil.disk_usage(target.parent).free < ROOM):
        advice = "free some space, write elsewhere, or move the cache with ATRI_CACHE"
        return DiskFull(f"{target}: the disk is full, nothing was written; {advice}")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return OSError(f"{target}: cannot be written ({error.strerror}); choose another folder, or set ATRI_CACHE")
    return error


def _remove_abandoned(holder: pathlib.Path) -> bool:
    """Remove the temporary folder of a writer that is no more; whether it was one. A new one may not be locked yet."""
    with contextlib.suppress(OSError):  # Timeout, too: its writer lives
        if not holder.is_symlink() and holder.is_dir() and time.time() - holder.stat().st_mtime > 5:
            with FileLock(holder / LOCK, timeout=0):
                shutil.rmtree(holder)
                return True
    return False


def clean_leftovers(root: str | os.PathLike | None = None) -> list[pathlib.Path]:
    """Remove what killed programs left below a folder (by default the cache), and return it.

    That is: temporary folders and lock files that no living program holds, and run folders without a checkpoint.
    """
    root = pathlib.Path(root) if root else cache_dir()
    removed = [path for path in root.rglob(".*.????????") if _remove_abandoned(path)]
    for path in list(root.rglob("*.lock")):
        run = path.with_name(path.name.removeprefix(".").removesuffix(".lock"))
        with contextlib.suppress(OSError), FileLock(path, timeout=0):
            if run.is_dir() and [entry.name for entry in run.iterdir()] == ["config.json"]:
                shutil.rmtree(run)
                removed.append(run)
            path.unlink()
            removed.append(path)
    return removed


@contextlib.contextmanager
def locked(path: str | os.PathLike, waiting: str, wait: bool = True) -> Iterator[None]:
    """Hold a lock file. While another program holds it, `waiting` is said on stderr; without `wait`: TimeoutError."""
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        print(waiting, file=sys.stderr)
        held = lock.acquire()
    with held:
        yield


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike, value) -> None:
    """Write JSON atomically, keys in the order given. Raises ValueError for NaN and infinity."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike) -> dict:
    """An object from a JSON file. Raises ValueError naming the file for anything else, also for NaN and infinity."""
    try:
        value = from_json(regular(path).read_bytes(), allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: a JSON object is expected, not {type(value).__name__}")
    return value


def regular(path: str | os.PathLike) -> pathlib.Path:
    """The path of a file that can be read to its end. Raises OSError for a pipe, a device or a folder."""
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path}: not a regular file")
    return path


def sha256_file(path: str | os.PathLike) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(regular(path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksum(*values) -> str:
    """Hex SHA-256 (first 16 digits) of bytes, arrays (dtype, shape and values) and JSON-like values, in order."""
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


@functools.cache
def syntax_hash(source: bytes) -> str:
    """Checksum of Python code; comments, docstrings and layout do not enter."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
