"""Writing that fails: what it is called and what to do."""

import errno
import os
import pathlib
import shutil

ROOM = 2**20  # bytes: a write that fails with less than this free has failed for want of room


class DiskFull(OSError):
    """Nothing more can be written; the message names the disk and what to do."""


def _is_full(error: Exception, target: pathlib.Path) -> bool:
    """Whether a disk is full: other libraries say it in words of their own, or not at all."""
    if isinstance(error, DiskFull):  # of a file in a folder that is written
        return True
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    if "No space left" in str(error) or "File too large" in str(error):
        return True
    vague = isinstance(error, (OSError, RuntimeError))
    return vague and shutil.disk_usage(target.parent).free < ROOM


def write_error(error: Exception, target: pathlib.Path) -> Exception:
    """The error itself in words that help, or DiskFull when that is what it means."""
    if _is_full(error, target):
        kept = "what was there is untouched" if os.path.lexists(target) else "nothing was written"
        advice = "free some space, write elsewhere, or move the cache with ATRI_CACHE"
        return DiskFull(f"{target}: the disk is full, {kept}; {advice}")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        why = f"{target}: cannot be written ({error.strerror})"
        return OSError(f"{why}; choose another folder, or set ATRI_CACHE")
    return error
