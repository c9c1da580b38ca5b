"""What was translated before: a file of lines that several programs share and that a kill does not
harm.
"""

import contextlib
import json
import os
import pathlib
from collections import defaultdict
from collections.abc import Collection, Sequence

from filelock import FileLock

from atri_lib import storage

KEY = ("model", "beams", "max_tokens", "source", "language", "sentence")


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
            with contextlib.suppress(Exception):  # an altered line may hold anything
                record = json.loads(line)
                if record.pop("checksum") == storage.checksum(record):
                    self._keep(record)

    def _keep(self, record: dict) -> None:
        made = record["text"], record["truncated"]
        if tuple(map(type, made)) != (str, bool):
            raise TypeError("a translation is text, and cut off or not")
        self[tuple(record[name] for name in KEY)] = made

    def add(self, records: Sequence[dict]) -> None:
        """Append a batch of records, of KEY, text and truncated, and make sure it is on disk.
        Raises DiskFull.
        """
        lines = [""]  # the first line end closes a line that was cut short
        for record in records:
            sealed = record | {"checksum": storage.checksum(record)}
            lines.append(json.dumps(sealed, ensure_ascii=False))
        try:
            with FileLock(storage.lock_file(self.path)), open(self.path, "ab") as stream:
                stream.write("\n".join([*lines, ""]).encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise storage.write_error(error, self.path) from error
        for record in records:
            self._keep(record)

    def written(self) -> Collection[set[tuple[str, str, str]]]:
        """All (language, sentence, text) without space around texts, those of the same model and
        settings together.
        """
        made = defaultdict(set)
        for (*settings, language, sentence), (text, _) in self.items():
            made[tuple(settings)].add((language, sentence.strip(), text.strip()))
        return made.values()
