"""Files and folders are written beside their place, then put in it: a kill leaves old or new. Locks
keep two programs apart; what killed ones left is removed.
"""

import contextlib
import errno
import glob
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator

from filelock import FileLock, Timeout

from atri_lib.storage.places import cache_dir

PARTIAL = ".atri-partial"  # ends the name of every temporary folder of ours, and of nothing else
LOCK = "atri.lock"  # the file in it by which a writer that lives is told from one that was killed
REPLACED = "replaced"  # the folder in it where a swap keeps what was in the target's place
LOCKED = ".atri-lock"  # ends the name of every lock file of ours
ROOM = 2**20  # bytes: a write that fails with less than this free has failed for want of room
_FULL = re.compile("No space left|File too large|quota exceeded|disk (is )?full")
# the folders of the cache
KINDS = ("features", "pictures", "runs", "scratch", "translations", "tuxpaint")


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
        dissolved(holder)


def settle_folder(folder: str | os.PathLike) -> None:
    """Put right what killed writers left in a folder, as by `settle`, whatever they wrote."""
    for holder in pathlib.Path(folder).glob(f".*.????????{PARTIAL}"):
        dissolved(holder)


def _beginning(target: pathlib.Path) -> str:
    """How the names of a target's temporary folders begin; names may have 255 bytes."""
    return f".{target.name[:50]}."


def dissolved(holder: pathlib.Path) -> bool:
    """Dissolve the temporary folder of a writer that is no more; whether it was one."""
    with contextlib.suppress(OSError):  # its writer lives, or nothing can be written there
        if holder.is_symlink():
            return False
        if (holder / LOCK).is_file():
            swapping = any((holder / REPLACED).glob("*"))  # soon over
            with FileLock(holder / LOCK, timeout=10 if swapping else 0):
                _dissolve(holder)
        elif time.time() - holder.stat().st_mtime > 5:  # else it may be locked in a moment
            holder.rmdir()  # it is empty, or not ours
        return not holder.exists()
    return False


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
    full = getattr(error, "errno", None) == errno.ENOSPC or _FULL.search(str(error))
    vague = isinstance(error, (OSError, RuntimeError))
    if full or vague and shutil.disk_usage(target.parent).free < ROOM:
        kept = "what was there is untouched" if os.path.lexists(target) else "nothing was written"
        advice = "free some space, write elsewhere, or move the cache with ATRI_CACHE"
        return DiskFull(f"{target}: the disk is full, {kept}; {advice}")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        why = f"{target}: cannot be written ({error.strerror})"
        return OSError(f"{why}; choose another folder, or set ATRI_CACHE")
    return error


def lock_file(target: pathlib.Path) -> pathlib.Path:
    """The hidden file beside a file or folder that is its lock."""
    return target.with_name(f".{target.name}{LOCKED}")


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


def clean_leftovers(root: str | os.PathLike | None = None) -> list[pathlib.Path]:
    """Remove what killed programs left in the cache (root: in another one), and return it.

    That is, in the folders of the cache: temporary folders and lock files of ours that no living
    program holds, and run folders without a checkpoint. Whatever else lies there is left alone.
    """
    root = pathlib.Path(root) if root else cache_dir()
    removed = []
    for kind in KINDS:
        for holder in list((root / kind).rglob(f".*.????????{PARTIAL}")):
            if dissolved(holder):
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
