"""One look for every progress bar: silent under 3 seconds, on stderr, off with ATRI_PROGRESS=0."""

import os
from collections.abc import Iterable

from tqdm import tqdm


def progress(iterable: Iterable, label: str, **options) -> tqdm:
    """Iterate with a bar that shows what is being done, how far it is, and the time left.

    options: of tqdm, as total (of the whole work), initial (done before) and unit.
    """
    return tqdm(
        iterable,
        desc=label,
        delay=3,
        leave=False,
        disable=os.environ.get("ATRI_PROGRESS") == "0",
        dynamic_ncols=True,
        **options,
    )
