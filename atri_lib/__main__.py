"""Multilingual audio-text retrieval: make data, train, evaluate, compare, and search with a run."""

import functools
import inspect
import os
import re
import shutil
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from atri_lib.commands import data, doctor, search, training
from atri_lib.commands.base import OPTIONS, SOME_FAILED, UsageError, add_options
from atri_lib.commands.settings import add_settings
from atri_lib.terminal import plain

# Each does its work and gives the exit code, or none for 0.
COMMANDS = {
    "scenes": data.scenes,
    "features": training.features,
    "train": training.train,
    "evaluate": training.evaluate,
    "compare": training.compare,
    "search": search.search,
    "translate": data.translate,
    "doctor": doctor.doctor,
}
NOTES = f"""\
options of a command:
  python -m atri_lib COMMAND --help

exit codes:
  0    done
  1    it cannot be done; one line on standard error says why
  2    wrong usage
  {SOME_FAILED}    done, but some files or queries could not be read; they are listed
  130  interrupted
  141  the reader of the output has gone

environment:
  ATRI_CACHE=FOLDER  where runs and features are kept
  ATRI_OFFLINE=1     forbids the network
  ATRI_HUB=1         lets models be downloaded, at a named commit
  ATRI_PROGRESS=0    hides progress bars
"""


def parser(command: str) -> ArgumentParser:
    """The options of one command."""
    options = _parser(f"python -m atri_lib {command}", inspect.getdoc(COMMANDS[command]))
    add_options(options, OPTIONS["every command"] | OPTIONS[command])
    if command in ("features", "train"):
        add_settings(options, command)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the reason why it is not 0 is on standard error."""
    _open_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    command = ""
    try:
        command = _all_commands().parse_args(arguments[:1]).command
        if any(re.fullmatch("(--[^=]*=)?", word) for word in arguments):
            raise UsageError("a value or text is empty; give one, or leave its option out")
        options = parser(command).parse_args(arguments[1:])
        return COMMANDS[command](options) or 0
    except BrokenPipeError:  # as in `evaluate RUN | head -1`
        return 141
    except KeyboardInterrupt:
        _complain(f"\natri_lib {command}: interrupted; run it again to go on")
        return 130
    except Exception as error:
        if (message := explained(error)) is None:
            raise
        _complain(f"atri_lib {command}: {message}")
        return 2 if isinstance(error, UsageError) else 1
    finally:
        _flush_output()


def _all_commands() -> ArgumentParser:
    """The name of a command; its help lists them all."""
    lines = []
    for name, command in COMMANDS.items():
        summary, *_ = command.__doc__.splitlines()
        lines.append(f"  {name:10} {summary}")
    listed = "\n".join(lines)
    names = _parser("python -m atri_lib", f"{__doc__}\n\ncommands:\n{listed}\n\n{NOTES}")
    names.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return names


def _parser(program: str, about: str) -> ArgumentParser:
    # One line for each option, where there is room; what is in lines stays in lines.
    columns = max(shutil.get_terminal_size().columns, 150) - 2
    wide = functools.partial(RawDescriptionHelpFormatter, max_help_position=32, width=columns)
    return ArgumentParser(prog=program, description=about, formatter_class=wide)


def explained(error: Exception) -> str | None:
    """The message for an error with a cause outside this program; None for what is our own fault.

    Each further line is indented: what the error quotes from data cannot pass for a message.
    """
    text = str(error).strip().replace("\n", "\n  ")
    if isinstance(error, ImportError):
        return f"{text}; `python -m atri_lib doctor` says what is missing"
    if isinstance(error, MemoryError) or re.search("allocate memory|out of memory", text):
        fix = "give smaller audio or captions, a smaller --batch-size, or --text-chunk"
        return f"not enough memory; {fix} ({text or 'MemoryError'})"
    known = isinstance(error, (ValueError, OSError, RuntimeError))
    if known or type(error).__name__ == "SafetensorError":
        return text
    return None


def _complain(message: str) -> None:
    print(plain(message), file=sys.stderr)


def _open_streams() -> None:
    """Give streams that the caller has closed (`>&-`) somewhere to go."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without Japanese


def _flush_output() -> None:
    """What cannot be written is dropped now, so that the flush at exit does not complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    raise SystemExit(main())
