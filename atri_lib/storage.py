"""Files that survive a kill: one cache folder, atomic writes, locks, checksums."""

import ast
import contextlib
import errno
import functools
import glob
import hashlib
import json
import math
import os
import pathlib
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
LOCKED = ".atri-lock"  # ends the name of every lock file of ours
KINDS = ("features", "runs", "scratch", "translations", "tuxpaint")  # the folders of the cache
ROOM = 2**20  # bytes: a write that fails with less than this free has failed for want of room
LARGEST_JSON = 2**26  # bytes that are read as JSON


class DiskFull(OSError):
    """Nothing more can be written; the message names the disk and what to do."""


def cache_dir(*parts: str) -> pathlib.Path:
    """A folder below the cache root (`$ATRI_CACHE`, else `$XDG_CACHE_HOME/atri_lib`, else
    `~/.cache/atri_lib`), made.

    Raises OSError naming ATRI_CACHE when it is not there and cannot be made.
    """
    root = os.environ.get("ATRI_CACHE")
    root = root or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "atri_lib")
    try:
        folder = expanded(pathlib.Path(root, *parts))
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"{error.filename or root}: the cache cannot be made there ({error.strerror})"
        raise OSError(f"{said}; set ATRI_CACHE to a folder that can be written") from error
    return folder


def expanded(path: str | os.PathLike) -> pathlib.Path:
    """The path with the home directory for `~`. Raises OSError naming the path when there is
    none.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise OSError(errno.ENOENT, "the user has no home folder", str(path)) from error


def offline() -> bool:
    """Whether ATRI_OFFLINE forbids every use of the network."""
    return switched_on("ATRI_OFFLINE")


def switched_on(variable: str) -> bool:
    """Whether an environment variable is set to something else than 0, false, no or off."""
    return os.environ.get(variable, "").lower() not in ("", "0", "false", "no", "off")


@contextlib.contextmanager
def atomic_path(
    target: str | os.PathLike, *, folder: bool = False, replace: bool = False
) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `target`; on success it replaces `target`, on any error it is
    removed.

    With folder=True the temporary path is an existing empty folder. A folder that another process
    put in place meanwhile is kept (its content has the same key) and ours is dropped, unless
    replace=True: then the old one goes, and a kill between the two moves is made good by `settle`.
    What a killed writer of the same target left behind is removed. Raises DiskFull.
    """
    target = pathlib.Path(os.path.abspath(target))  # so that "." and "a/.." have a name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary_folder(target) as holder:
            partial = holder / target.name
            if folder:
                partial.mkdir()
            yield partial
            if folder and replace:
                (holder / REPLACED).mkdir()
                with contextlib.suppress(FileNotFoundError):  # there is none
                    os.replace(target, holder / REPLACED / target.name)
            elif folder and target.exists():
                return
            try:
                os.replace(partial, target)
            except OSError:
                if not (folder and target.exists()):
                    raise
    except Exception as error:
        raise _write_error(error, target) from error.__cause__


@contextlib.contextmanager
def temporary_folder(target: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a new folder beside a file or folder that is to be written, and remove it at the end.

    What killed writers of the same target left is removed, as by `settle`.
    """
    target = pathlib.Path(os.path.abspath(target))
    settle(target)
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
    pattern = f"{glob.escape(_beginning(target))}????????{PARTIAL}"
    for holder in target.parent.glob(pattern):
        _settle(holder)


def _beginning(target: pathlib.Path) -> str:
    """How the names of a target's temporary folders begin; names may have 255 bytes."""
    return f".{target.name[:50]}."


def _settle(holder: pathlib.Path) -> bool:
    """Dissolve the temporary folder of a writer that is no more; whether it was one."""
    with contextlib.suppress(OSError):  # its writer lives, or nothing can be written there
        if holder.is_symlink() or not holder.is_dir():
            return False
        if (holder / LOCK).is_file():
            between = any(map(_homeless, (holder / REPLACED).glob("*")))  # two moves: soon over
            with FileLock(holder / LOCK, timeout=10 if between else 0):
                _dissolve(holder)
        elif time.time() - holder.stat().st_mtime > 5:  # else it may be locked in a moment
            holder.rmdir()  # it is empty, or not ours
        return not holder.exists()
    return False


def _homeless(old: pathlib.Path) -> bool:
    """Whether nothing is where a replaced folder was."""
    return not os.path.lexists(old.parents[2] / old.name)


def _dissolve(holder: pathlib.Path) -> None:
    """Finish a swap that was cut off between its two moves, or undo it; remove what is left."""
    for old in (holder / REPLACED).glob("*"):
        new = holder / old.name  # complete, since its writer had begun to put it in place
        for path in (new, old):
            with contextlib.suppress(OSError):
                if _homeless(old):
                    os.replace(path, old.parents[2] / old.name)
        if _homeless(old):
            return  # better a leftover than a loss
    shutil.rmtree(holder, ignore_errors=True)


def _write_error(error: Exception, target: pathlib.Path) -> Exception:
    """The error itself, or DiskFull: other libraries say it in words of their own, or not at
    all.
    """
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full = full or isinstance(error, DiskFull)  # of a file in a folder that is written
    full = full or any(words in str(error) for words in ("No space left", "File too large"))
    vague = isinstance(error, (OSError, RuntimeError))
    if full or (vague and shutil.disk_usage(target.parent).free < ROOM):
        kept = "what was there is untouched" if os.path.lexists(target) else "nothing was written"
        advice = "free some space, write elsewhere, or move the cache with ATRI_CACHE"
        return DiskFull(f"{target}: the disk is full, {kept}; {advice}")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        why = f"{target}: cannot be written ({error.strerror})"
        return OSError(f"{why}; choose another folder, or set ATRI_CACHE")
    return error


def clean_leftovers(root: str | os.PathLike | None = None) -> list[pathlib.Path]:
    """Remove what killed programs left in the cache (root: in another one), and return it.

    That is, in the folders of the cache: temporary folders and lock files of ours that no living
    program holds, and run folders without a checkpoint. Whatever else lies there is left alone.
    """
    root = pathlib.Path(root) if root else cache_dir()
    removed = []
    for kind in KINDS:
        for holder in list((root / kind).rglob(f".*.????????{PARTIAL}")):
            if _settle(holder):
                removed.append(holder)
        for lock in list((root / kind).rglob(f".*{LOCKED}")):
            run = lock.with_name(lock.name.removeprefix(".").removesuffix(LOCKED))
            with contextlib.suppress(OSError), FileLock(lock, timeout=0):
                if kind == "runs" and only_begun(run):
                    shutil.rmtree(run)
                    removed.append(run)
                lock.unlink()
                removed.append(lock)
    return removed


def only_begun(run: pathlib.Path) -> bool:
    """Whether a run folder holds its settings and nothing else, so that there is nothing to go on
    from.
    """
    if run.is_symlink() or not run.is_dir():
        return False
    return [entry.name for entry in run.iterdir()] == ["config.json"]


@contextlib.contextmanager
def locked(target: str | os.PathLike, waiting: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file or folder, a hidden file beside it.

    While another program holds it, `waiting` is said on stderr; without `wait`: TimeoutError.
    """
    target = pathlib.Path(os.path.abspath(target))
    lock = FileLock(target.with_name(f".{target.name}{LOCKED}"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        print(waiting, file=sys.stderr)
        held = lock.acquire()
    except OSError as error:
        raise _write_error(error, target) from error
    with held:
        yield


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike, value) -> None:
    """Write JSON atomically, keys in the order given. Raises ValueError for NaN and infinity."""
    write_text(target, _json_text(value))


def _json_text(value) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_sealed(target: str | os.PathLike, values: dict) -> None:
    """Write a JSON object atomically, with a checksum of its values as the last one."""
    write_json(target, values | {"checksum": checksum(values)})


def read_sealed(path: str | os.PathLike) -> dict:
    """What write_sealed wrote. Raises ValueError naming the file where a single byte differs."""
    values = read_json(path)
    sealed = {name: value for name, value in values.items() if name != "checksum"}
    sealed["checksum"] = checksum(sealed)
    if pathlib.Path(path).read_bytes() != _json_text(sealed).encode():
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
        text = pathlib.Path(path).read_bytes().decode()
        hooks = {"parse_constant": _finite, "parse_float": _finite}
        value = json.loads(text, object_pairs_hook=_unrepeated, **hooks)
    except RecursionError as error:
        raise ValueError(f"{path}: not JSON (it is nested too deeply)") from error
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: a JSON object is expected, not {type(value).__name__}")
    return value


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _unrepeated(pairs: list[tuple[str, object]]) -> dict:
    values: dict = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {name[:40]!r} comes twice")
        values[name] = value
    return values


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


@functools.cache
def syntax_hash(source: bytes) -> str:
    """Checksum of Python code; comments, docstrings and layout do not enter."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = isinstance(
            node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        )
        if documented and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
