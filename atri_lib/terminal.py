"""What goes to a terminal: text from data without control characters, and notices."""

import os
import sys


def plain(text: object, newlines: bool = True) -> str:
    """Text as it may go to a terminal: control and direction characters, and halves of characters,
    as escapes.

    newlines: keep line breaks, as in a message of several lines; without them the text stays one
    line.
    """
    kept = "\n" if newlines else ""
    shown = [
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode()
        for c in str(text)
    ]
    return "".join(shown)


def notice(text: str) -> None:
    """Say something on stderr in one line, escaped; of several processes the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(f"Notice: {plain(text, newlines=False)}", file=sys.stderr)
