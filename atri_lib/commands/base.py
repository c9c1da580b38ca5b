"""What every command is made of: kinds of options, texts that it reads, and output."""

import functools
import json
import os
import pathlib
import shlex
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping

from atri_lib.terminal import one_line, plain

# The options of each command, as `add_options` takes them.
OPTIONS = json.loads(pathlib.Path(__file__).with_name("options.json").read_text(encoding="utf-8"))
SOME_FAILED = 3  # done, but some files or queries could not be read
# How texts are opened: a line ends with a newline only; what is not UTF-8 becomes lone surrogates,
# which no text may hold.
AS_TEXTS = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": "\n"}


class UsageError(ValueError):
    """Options that do not go together; the command line ends with exit code 2."""


# Options


def add_options(parser: ArgumentParser, table: Mapping[str, dict]) -> None:
    """Add the options of a table (`options.json`): each as it is typed, "--out FOLDER", with
    keywords of `add_argument`; "one of" and "at most one of" hold tables of their own.
    """
    for typed, about in table.items():
        if typed.endswith("one of"):
            add_options(parser.add_mutually_exclusive_group(required=typed == "one of"), about)
            continue
        name, *value = typed.split()
        if value:
            about = about | {"metavar": value[0], "type": KINDS.get(value[0], str)}
        parser.add_argument(name, **about)


def path(text: str) -> pathlib.Path:
    """The name of a file or folder, which may begin with ~."""
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from error


def whole(text: str, least: int = 1) -> int:
    """A whole number from `least` on."""
    if text.isascii() and text.isdigit() and int(text) >= least:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a whole number from {least} on")


# What the word that stands for a value says about it.
KINDS = {
    "FILE": path,
    "FOLDER": path,
    "RUN": path,
    "N": whole,
    "SEED": functools.partial(whole, least=0),
}


# Input


def texts_of(file: pathlib.Path) -> list[str]:
    """The texts of a file, one on each line. Raises ValueError naming the line of a text that is
    none (`data.dataset.text_fault`), or for a file without any; OSError for what is no file.
    """
    from atri_lib import storage
    from atri_lib.data.dataset import text_fault

    texts = []
    with open(storage.regular(file), **AS_TEXTS) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text:
                continue
            fault = text_fault(text)
            if fault:
                raise ValueError(f"{file}:{number}: the text {text[:40]!r} {fault}")
            texts.append(text)
    if not texts:
        raise ValueError(f"{file}: no texts; write one on each line")
    return texts


# Output


def say(options: Namespace, result: Mapping, text: str = "") -> None:
    """Print a result: as JSON on one line where that was asked for, else as text.

    text: what people read instead of the result's names and values. Of several processes that share
    the work, the first prints.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    if options.json:
        text = json.dumps(result, allow_nan=False, default=lambda table: table.to_dict("index"))
    print(plain(text or as_text(result)), flush=True)


def as_text(result: Mapping, indent: str = "") -> str:
    """Names and values, one on each line, and data frames; what belongs to a name of its own is
    indented.
    """
    lines = []
    for name, value in result.items():
        label = f"{indent}{one_line(name)}:"
        if isinstance(value, Mapping):
            lines += [label, as_text(value, indent + "  ")]
        elif hasattr(value, "to_string"):
            named = value.rename_axis(index=None, columns=value.index.name)
            lines += [label, named.to_string(float_format="{:.4g}".format)]
        elif isinstance(value, list):
            lines.append(f"{label} {one_line(shlex.join(map(str, value)))}")
        elif isinstance(value, float):
            lines.append(f"{label} {value:.4g}")
        else:
            lines.append(f"{label} {one_line(value)}")
    return "\n".join(lines)
