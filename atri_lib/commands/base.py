"""What every command is made of: description, kinds of options, input and output."""

import json
import os
import pathlib
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from atri_lib.terminal import one_line

SOME_FAILED = 3  # done, but some files or queries could not be read

Options = Callable[[ArgumentParser], None]  # gives a parser one option or several
Run = Callable[[Namespace], int | None]  # does it; the exit code, or none for 0


class UsageError(ValueError):
    """Options that do not go together; the command line ends with exit code 2."""


@dataclass(frozen=True)
class Command:
    """One command of `python -m atri_lib`.

    example: what follows the name on the line that its help ends with.
    """

    name: str
    summary: str
    example: str
    options: tuple[Options, ...]
    run: Run


def command(example: str, *options: Options) -> Callable[[Run], Command]:
    """Makes a command of a function, with its name and, as summary, its docstring."""
    return lambda run: Command(run.__name__, run.__doc__, example, options, run)


# Options


def option(typed: str, about: str, **kind) -> Options:
    """An option as it is typed, "--out FOLDER", and what it is; kind: what argparse should know."""
    name, *value = typed.split()
    if value:
        kind["metavar"] = value[0]
    return lambda parser: parser.add_argument(name, help=about, **kind)


def group(title: str, *options: Options) -> Options:
    """Options that the help shows below a title."""

    def add(parser: ArgumentParser) -> None:
        titled = parser.add_argument_group(title)
        for add_option in options:
            add_option(titled)

    return add


def filled(text: str) -> str:
    """An option's text, which may not be empty."""
    if not text:
        raise ArgumentTypeError("it is empty; give a value, or leave the option out")
    return text


def path(text: str) -> pathlib.Path:
    """The name of a file or folder, which may begin with ~."""
    try:
        return pathlib.Path(filled(text)).expanduser()
    except RuntimeError as error:
        raise ArgumentTypeError(f"{text!r}: there is no such home folder") from error


def whole(text: str, least: int = 1) -> int:
    """A whole number from `least` to 2**32 - 1."""
    if text.isascii() and text.isdigit() and least <= int(text) < 2**32:
        return int(text)
    message = f"{text!r} is not a whole number from {least} to {2**32 - 1}"
    raise ArgumentTypeError(message)


def seed(text: str) -> int:
    """A whole number from 0 to 2**32 - 1."""
    return whole(text, least=0)


# Input


def texts_of(file: pathlib.Path, what: str) -> list[str]:
    """The texts of a file, one on each line. Raises ValueError naming a line that is none, and for
    a file without any; `what`: what they are. Raises OSError for what is no file.

    A line ends with a newline and with nothing else: a form feed, U+0085 or U+2028 is part of it.
    """
    from atri_lib import storage

    texts = []
    for number, line in enumerate(storage.regular(file).read_bytes().split(b"\n"), start=1):
        text = text_of(line, f"{file}:{number}")
        if text:
            texts.append(text)
    if not texts:
        raise ValueError(f"{file}: no {what}; write one on each line")
    return texts


def text_of(line: bytes, place: str) -> str:
    """The text of a line without blanks around it; "" for a blank line.

    Raises ValueError naming the place of what is not UTF-8, invisible, or too long to be read.
    """
    from atri_lib.data.dataset import text_fault

    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        why = f"not UTF-8 text ({error.reason} at byte {error.start + 1})"
        raise ValueError(f"{place}: {why}; save the file as UTF-8") from error
    fault = text and text_fault(text)
    if fault:
        raise ValueError(f"{place}: the text {text[:40]!r} {fault}")
    return text


# Output


def say(options: Namespace, result: dict, text: str | None = None) -> None:
    """Print a result: as JSON on one line where that was asked for, else as text.

    text: what people read instead of the result's names and values; it is printed as it is. Of
    several processes that share the work, the first prints.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    if options.json:
        ascii_only = sys.stdout.encoding.lower() != "utf-8"
        text = json.dumps(result, ensure_ascii=ascii_only, allow_nan=False)
    print(as_text(result) if text is None else text)


def as_text(result: Mapping, indent: str = "") -> str:
    """Names and values, one on each line; what belongs to a name of its own is indented."""
    lines = []
    for name, value in result.items():
        label = f"{indent}{one_line(name)}:"
        if isinstance(value, Mapping):
            lines += [label, as_text(value, indent + "  ")]
        elif isinstance(value, float):
            lines.append(f"{label} {value:.4g}")
        elif value not in ("", None):
            lines.append(f"{label} {one_line(value)}")
    return "\n".join(lines)
