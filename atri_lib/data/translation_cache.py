"""What was translated before: a file of lines that several programs share and that a kill does not
harm.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Sequence

from filelock import FileLock

from atri_lib import storage

SETTINGS = ("model", "beams", "max_tokens", "source")
FIELDS = (*SETTINGS, "language", "sentence", "text", "truncated")
ALTERED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
)  # what such a line raises


class TranslationCache(dict):
    """(model, beams, max_tokens, source, language, sentence) -> (text, truncated): all that was
    translated before.

    The JSONL file behind it only grows, and several processes may share it. Each line carries a
    checksum. A kill loses at most the batch in work: a line that is cut short or altered is skipped
    when reading, and translated again. Raises OSError for a pipe, a folder or a link that leads to
    itself.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = pathlib.Path(path)
        self.read()

    def read(self) -> None:
        """Take in what this and other processes have written."""
        try:
            content = storage.regular(self.path).read_bytes()
        except FileNotFoundError:
            return
        for line in content.splitlines():
            with contextlib.suppress(*ALTERED):
                record = json.loads(line)
                if record.pop("checksum") == storage.checksum(record):
                    self._keep(record)

    def _keep(self, record: dict) -> None:
        *key, text, truncated = (record[name] for name in FIELDS)
        if not isinstance(text, str) or not isinstance(truncated, bool):
            raise TypeError("a translation is text, and cut off or not")
        self[tuple(key)] = (text, truncated)

    def add(self, records: Sequence[dict]) -> None:
        """Append a batch of records with the keys FIELDS and make sure it is on disk. Raises
        DiskFull.
        """
        sealed = [record | {"checksum": storage.checksum(record)} for record in records]
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in sealed).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(storage.lock_file(self.path)), open(self.path, "ab") as stream:
                stream.write(b"\n" + lines)  # the first line end closes a line that was cut short
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise storage.write_error(error, self.path) from error
        for record in records:
            self._keep(record)

    def written(self) -> dict[tuple, set[tuple[str, str, str]]]:
        """Settings -> all (language, sentence, text) that were made with them, without space around
        texts.
        """
        made: dict[tuple, set[tuple[str, str, str]]] = {}
        for (*settings, language, sentence), (text, _) in self.items():
            made.setdefault(tuple(settings), set()).add((language, sentence.strip(), text.strip()))
        return made
