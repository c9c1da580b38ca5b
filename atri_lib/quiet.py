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
            stderr = os.dup(2)
        except OSError:
            yield
            return
        try:
            with tempfile.TemporaryFile() as written:
                os.dup2(written.fileno(), 2)
                try:
                    yield
                finally:
                    os.dup2(stderr, 2)
                    _pass_on(written, begins, stderr)
        finally:
            os.close(stderr)


def _pass_on(written, begins: tuple[bytes, ...], stderr: int) -> None:
    written.seek(0)
    others = [line for line in written if line.strip() and not line.startswith(begins)]
    if others:
        with contextlib.suppress(OSError):
            os.write(stderr, b"".join(others))
