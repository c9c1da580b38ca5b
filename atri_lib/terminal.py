"""What goes to a terminal: text from data without control characters, and notices."""

import os
import sys


def plain(text: object) -> str:
    """Text as it may go to a terminal: control and direction characters, and halves of characters,
    as escapes; line breaks stay.
    """
    return "\n".join(map(one_line, str(text).split("\n")))


def one_line(text: object) -> str:
    """The same in one line: line breaks become escapes, too."""
    shown = [c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)]
    return "".join(shown)


def notice(text: str) -> None:
    """Say something on stderr in one line, escaped; of several processes the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(f"Notice: {one_line(text)}", file=sys.stderr)
