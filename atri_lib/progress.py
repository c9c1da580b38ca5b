"""One look for every progress bar: silent under 3 seconds, on stderr, off with ATRI_PROGRESS=0."""

import os
from collections.abc import Iterable

from tqdm import tqdm


def progress(
    iterable: Iterable, label: str, total: int | None = None, unit: str = "it", initial: int = 0
) -> tqdm:
    """Iterate with a bar that shows what is being done, how far it is, and the time left.

    total: of the whole work, of which `initial` was done before.
    """
    return tqdm(
        iterable,
        desc=label,
        total=total,
        unit=unit,
        initial=initial,
        delay=3,
        leave=False,
        disable=os.environ.get("ATRI_PROGRESS") == "0",
        dynamic_ncols=True,
    )
