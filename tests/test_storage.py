"""Files that survive a kill, and a checksum of code that follows what the code does."""

import os
import subprocess
import sys

import pytest

from atri_lib.storage import atomic_path, code_hash


def test_a_path_without_a_name_of_its_own_gets_one_and_leaves_no_litter(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for target in (".", "absent/.."):
        with pytest.raises(OSError), atomic_path(target) as partial:
            assert partial.name == "here" and partial.is_absolute()
            partial.write_text("a file cannot take the place of a folder")
        with pytest.raises(KeyboardInterrupt), atomic_path(target, folder=True) as partial:
            assert partial.name == "here" and partial.is_dir()
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_a_relative_target_stays_where_it_was_meant(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with atomic_path("new/file.txt") as partial:
        partial.write_text("text")
        os.chdir("elsewhere")
    assert (tmp_path / "new/file.txt").read_text() == "text" and not list((tmp_path / "elsewhere").iterdir())


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


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """The code_hash of a package `circles` whose module `inner` has the source given."""
    (tmp_path / "circles").mkdir()
    (tmp_path / "circles/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def hash_of(source: str) -> str:
        (tmp_path / "circles/inner.py").write_text(source, encoding="utf-8")
        return code_hash("circles")

    return hash_of


def test_comments_docstrings_and_layout_do_not_change_the_hash_of_code(hashed):
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
def test_any_code_changes_its_hash(hashed, old, new):
    assert CODE.count(old) == 1 and hashed(CODE) != hashed(CODE.replace(old, new))


def test_the_hash_of_code_is_the_same_in_every_process(tmp_path):
    show = [sys.executable, "-c", "from atri_lib.storage import code_hash; print(code_hash('atri_lib.storage'))"]
    hashes = [subprocess.check_output(show, text=True, env=os.environ | {"PYTHONHASHSEED": seed}) for seed in "12"]
    assert [code.strip() for code in hashes] == [code_hash("atri_lib.storage")] * 2
    with pytest.raises(ModuleNotFoundError, match="no module named 'atri_lib.absent'"):
        code_hash("atri_lib.absent")
