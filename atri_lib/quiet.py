"""Keep off stderr what a C library writes there on its own."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator

_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def without_lines(*begins: bytes) -> Iterator[None]:
    """Leave out of stderr the lines that begin so; what else is written meanwhile, by any thread,
    follows at the end.

    Does nothing where stderr is closed.
    """
    with _one_at_a_time:
        try:
            stderr = open(os.dup(2), "wb", buffering=0)
        except OSError:
            yield
            return
        with stderr, tempfile.TemporaryFile() as written:
            os.dup2(written.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr.fileno(), 2)
                written.seek(0)
                others = [line for line in written if line.strip() and not line.startswith(begins)]
                with contextlib.suppress(OSError):
                    stderr.write(b"".join(others))
