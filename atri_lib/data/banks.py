"""The bank that scenes are composed of."""

import functools
import sys

from atri_lib.data.recorded import RecordedBank
from atri_lib.data.sounds import Bank, SoundsUnavailable
from atri_lib.data.synthetic import SyntheticBank

BOOK = RecordedBank.name  # the origin of the data behind every figure of the book


@functools.cache
def default_bank() -> Bank:
    """The recordings, fetched if need be; where they cannot be had, synthetic sounds and one notice
    on stderr.
    """
    try:
        return RecordedBank()
    except SoundsUnavailable as reason:
        print(
            f"Notice: {reason}\nContinuing with synthetic sounds instead of recordings.",
            file=sys.stderr,
        )
        return SyntheticBank()
