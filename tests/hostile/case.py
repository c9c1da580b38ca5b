"""One command that a user types, and what must come of it."""

from dataclasses import dataclass

from hostile.changes import Change, nothing

ENCODED = "--clip-encoder toy --text-encoder toy --data scenes"
SMALL = f"{ENCODED} --epochs 2 --batch-size 4 --width 4 --hidden 4"
TRAIN = f"train --folder runs {SMALL}"
SEARCH = "search dog --run run"


@dataclass(frozen=True)
class Case:
    """name, command, exit code, a pattern of the last line on stderr (or of stdout, for code 0);
    prepare: what is done to the copy before; inside: what is done in the child; encoding: that of
    the terminal; closed: the numbers of the streams that the shell has closed, as by `>&-`; new:
    what the command may add.
    """

    name: str
    command: str
    message: str
    code: int = 1
    prepare: Change = nothing
    inside: Change = nothing
    encoding: str = "utf-8"
    closed: tuple[int, ...] = ()
    new: tuple[str, ...] = ()
