"""nbval: a cell with the tag `margin-20` is compared with its committed output up to 20 % in every
number it shows.
"""

import math
import re

from nbval.plugin import IPyNbCell

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)")
TAG = re.compile(r"margin-(\d+)")


class Approximate(str):
    """Text that equals another one when all between the numbers is the same and each number is
    within the margin.
    """

    margin = 0.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str) or NUMBER.split(self) != NUMBER.split(other):
            return False
        pairs = zip(NUMBER.findall(self), NUMBER.findall(other), strict=True)
        return all(
            math.isclose(float(mine), float(theirs), rel_tol=self.margin) for mine, theirs in pairs
        )

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def approximate(text: str, margin: float) -> Approximate:
    """The text, to be compared up to a relative margin."""
    result = Approximate(text)
    result.margin = margin
    return result


_sanitize = IPyNbCell.sanitize


def _with_margin(cell: IPyNbCell, text: object) -> object:
    clean = _sanitize(cell, text)
    tags = [TAG.fullmatch(tag) for tag in cell.cell.metadata.get("tags", ())]
    percent = next((int(match[1]) for match in tags if match), None)
    return (
        clean
        if percent is None or not isinstance(clean, str)
        else approximate(clean, percent / 100)
    )


IPyNbCell.sanitize = _with_margin
