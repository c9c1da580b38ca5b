"""A checksum of code that follows what the code does."""

import pytest
from code_hash import syntax_hash

CODE = """
import math


class Circle:
    def __init__(self, radius): self.radius = radius
    async def area(self):
        return math.pi * self.radius ** 2 + len("text")
"""
REWORDED = '''# -*- coding: utf-8 -*-
"Circles."
import math  # for pi

class Circle:
    """A circle; é."""

    def __init__(self, radius):
        "radius: in metres"
        self.radius = radius

    async def area(self):
        """In square
        metres."""
        # Archimedes
        return (math.pi * self.radius**2
                + len('text'))
'''


def hashed(source: str) -> str:
    return syntax_hash(source.encode())


def test_comments_docstrings_and_layout_do_not_change_the_hash_of_code():
    assert hashed(CODE) == hashed(REWORDED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("** 2", "** 3"),
        ("import math", "import cmath as math"),
        ("self, radius)", "self, radius=1)"),
        ("async def", "def"),
        ('"text"', '"Text"'),
        ("self.radius = radius", "'a docstring'; self.radius = float(radius)"),
        ("        return", "        return 'no docstring'\n        return"),
        ("        return", "        b'no docstring'\n        return"),
        ("        return", "        f'{self.move()}'\n        return"),
        ("class Circle:", "class Circle:\n    unit = 'm'"),
    ],
)
def test_any_code_changes_its_hash(old, new):
    assert CODE.count(old) == 1 and hashed(CODE) != hashed(CODE.replace(old, new))
