"""What every command is made of: description, kinds of options, input and output."""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from atri_lib.terminal import one_line

DONE = 0
SOME_FAILED = 3  # done, but some files or queries could not be read


class UsageError(ValueError):
    """Options that do not go together; the command line ends with exit code 2."""


@dataclass(frozen=True)
class Command:
    """One command of `python -m atri_lib`.

    example: what follows the name on the line that its help ends with. add_options: gives them to
    the parser of the command. run: does it and returns the exit code.
    """

    name: str
    summary: str
    example: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


# Kinds of options


def filled(text: str) -> str:
    """An option's text, which may not be empty."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give a value, or leave the option out")
    return text


def path(text: str) -> pathlib.Path:
    """The name of a file or folder, which may begin with ~."""
    try:
        return pathlib.Path(filled(text)).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such home folder") from error


def whole(text: str, least: int = 1) -> int:
    """A whole number from `least` to 2**32 - 1."""
    if not text.isascii() or not text.isdigit() or not least <= int(text) < 2**32:
        message = f"{text!r} is not a whole number from {least} to {2**32 - 1}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def seed(text: str) -> int:
    """A whole number from 0 to 2**32 - 1."""
    return whole(text, least=0)


# Input


def text_lines(file: pathlib.Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that say something: (number from 1, text without blanks around it).

    A line ends with a newline and with nothing else: a form feed, U+0085 or U+2028 is part of it.
    Raises ValueError naming file and line for what is not UTF-8, OSError for what is no file.
    """
    from atri_lib import storage

    for number, line in enumerate(storage.regular(file).read_bytes().split(b"\n"), start=1):
        text = decoded(line, f"{file}:{number}").strip()
        if text:
            yield number, text


def captions_of(file: pathlib.Path) -> list[str]:
    """The texts of a file, one on each line. Raises ValueError naming a line that is none."""
    texts = []
    for number, text in text_lines(file):
        check_text(text, f"{file}:{number}")
        texts.append(text)
    return texts


def decoded(line: bytes, place: str) -> str:
    """A line of UTF-8, with or without a byte order mark."""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"not UTF-8 text ({error.reason} at byte {error.start + 1})"
        raise ValueError(f"{place}: {why}; save the file as UTF-8") from error


def check_text(text: str, place: str) -> None:
    """Raises ValueError naming the place of a text that is invisible or too long to be read."""
    from atri_lib.data.dataset import text_fault

    if fault := text_fault(text):
        raise ValueError(f"{place}: the text {text[:40]!r} {fault}")


# Output


def speaks() -> bool:
    """Whether this process prints: of several that share the work, the first does."""
    return os.environ.get("RANK", "0") == "0"


def say(options: argparse.Namespace, result: dict, text: str | None = None) -> None:
    """Print a result: as JSON on one line where that was asked for, else as text.

    text: what people read instead of the result's names and values; it is printed as it is.
    """
    if not speaks():
        return
    if not options.json:
        print(as_text(result) if text is None else text)
        return
    ascii_only = sys.stdout.encoding.lower().replace("-", "") != "utf8"
    print(json.dumps(result, ensure_ascii=ascii_only, allow_nan=False))


def as_text(result: Mapping, indent: str = "") -> str:
    """Names and values, one on each line; what belongs to a name of its own is indented."""
    lines = []
    for name, value in result.items():
        name = one_line(name)
        if isinstance(value, Mapping):
            lines.append(f"{indent}{name}:")
            lines.append(as_text(value, indent + "  "))
        elif isinstance(value, float):
            lines.append(f"{indent}{name}: {value:.4g}")
        elif value not in ("", None):
            lines.append(f"{indent}{name}: {one_line(value)}")
    return "\n".join(lines)


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows as aligned columns, the first to the left and the others to the right."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        line = [first.ljust(widths[0])]
        line += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(line).rstrip())
    return "\n".join(lines)
