"""Arrays that are computed once and kept in the cache, memory-mapped."""

import contextlib
import pathlib
from collections.abc import Callable

import numpy as np

from atri_lib import storage


def kept(folder: pathlib.Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """The array of a folder, which is computed and written where it is absent or damaged."""
    with contextlib.suppress(OSError, ValueError):
        return read_array(folder)
    values = compute()
    with storage.atomic_path(folder, folder=True) as partial:
        np.save(partial / "values.npy", values, allow_pickle=False)
        about = {"sha256": storage.sha256_file(partial / "values.npy")}
        storage.write_json(partial / "about.json", about)
    return read_array(folder)


def read_array(folder: pathlib.Path) -> np.ndarray:
    """Memory-map a kept array (a page is copied when it is written to) after checking it against
    its SHA-256. Raises ValueError when it is damaged, OSError when it is not there.
    """
    path = folder / "values.npy"
    about = storage.read_json(folder / "about.json")
    if storage.sha256_file(path) != about.get("sha256"):
        raise ValueError(f"{path}: content does not match its checksum")
    return np.load(path, mmap_mode="c", allow_pickle=False)
