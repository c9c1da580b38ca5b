"""Where the cache is, and what environment variables say."""

import errno
import os
import pathlib


def cache_dir(*parts: str) -> pathlib.Path:
    """A folder below the cache root (`$ATRI_CACHE`, else `$XDG_CACHE_HOME/atri_lib`, else
    `~/.cache/atri_lib`), made.

    Raises OSError naming ATRI_CACHE when it is not there and cannot be made.
    """
    root = os.environ.get("ATRI_CACHE")
    if not root:
        root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "atri_lib")
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
