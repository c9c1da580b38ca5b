"""Locks of files and folders, and what killed programs leave in the cache."""

import contextlib
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator

from filelock import FileLock, Timeout

from atri_lib.storage.atomic import PARTIAL, dissolved, write_error
from atri_lib.storage.places import cache_dir

LOCKED = ".atri-lock"  # ends the name of every lock file of ours
# the folders of the cache
KINDS = ("features", "pictures", "runs", "scratch", "translations", "tuxpaint")


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
