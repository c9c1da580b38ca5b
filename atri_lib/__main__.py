"""Multilingual audio-text retrieval: make data, train, evaluate, compare, and search with a run."""

import functools
import os
import shutil
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from atri_lib.commands import COMMANDS
from atri_lib.commands.base import SOME_FAILED, UsageError
from atri_lib.terminal import plain

NOTES = f"""\
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
MEMORY = (
    "not enough memory; give smaller audio or captions, a smaller --batch-size, or --text-chunk"
)


def parser(command: str | None = None) -> ArgumentParser:
    """All commands by name and summary; the options of `command`, which alone are looked up."""
    # One line for each option, where there is room; what is in lines stays in lines.
    columns = max(shutil.get_terminal_size().columns, 150) - 2
    wide = functools.partial(RawDescriptionHelpFormatter, max_help_position=32, width=columns)
    top = ArgumentParser(
        prog="python -m atri_lib",
        description=__doc__,
        epilog=f"options of a command:\n  python -m atri_lib COMMAND --help\n\n{NOTES}",
        formatter_class=wide,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=about.summary,
            description=about.summary,
            epilog=f"Example: python -m atri_lib {name} {about.example}".rstrip(),
            formatter_class=wide,
        )
        about_json = "print the result as JSON on standard output"
        sub.add_argument("--json", action="store_true", help=about_json)
        if name == command:
            for add_option in about.options:
                add_option(sub)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the reason why it is not 0 is on standard error."""
    _open_streams()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    name = next((word for word in arguments if word in COMMANDS), "")
    try:
        options = parser(name).parse_args(arguments)
        code = COMMANDS[options.command].run(options)
        sys.stdout.flush()
        return code or 0
    except BrokenPipeError:  # as in `evaluate RUN | head -1`
        return 141
    except KeyboardInterrupt:
        _complain(f"\natri_lib {name}: interrupted; run it again to go on")
        return 130
    except Exception as error:
        if (message := explained(error)) is None:
            raise
        _complain(f"atri_lib {name}: {message}")
        return 2 if isinstance(error, UsageError) else 1
    finally:
        _flush_streams()


def explained(error: Exception) -> str | None:
    """The message for an error with a cause outside this program; None for what is our own fault.

    Each further line is indented: what the error quotes from data cannot pass for a message.
    """
    text = str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text:
        return MEMORY
    if isinstance(error, ImportError):
        return f"{error}; `python -m atri_lib doctor` says what is missing"
    known = isinstance(error, (ValueError, OSError, RuntimeError))
    if known or type(error).__name__ == "SafetensorError":
        return text.strip().replace("\n", "\n  ")
    return None


def _complain(message: str) -> None:
    print(plain(message), file=sys.stderr)


def _open_streams() -> None:
    """Give streams that the caller has closed (`>&-`) somewhere to go."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a terminal without Japanese


def _flush_streams() -> None:
    """What cannot be written is dropped now, so that the flush at exit does not complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    raise SystemExit(main())
