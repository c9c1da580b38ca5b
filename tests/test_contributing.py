"""CONTRIBUTING.md: what it names is there, and imports point the way it says."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BELOW = {  # floor -> what it never imports
    "atri_lib": ("studies", "book", "tests"),
    "studies": ("book", "tests"),
    "book": ("tests",),
}


def test_every_path_that_it_names_is_there():
    named = re.findall(r"`((?:atri_lib|studies|book|tests|notebooks)/[\w./]*|_toc\.yml)`", TEXT)
    assert len(set(named)) >= 10
    assert [name for name in named if "NN_" not in name and not (ROOT / name).exists()] == []


def test_every_name_that_it_tells_to_extend_is_where_it_says():
    places = {
        "_KINDS": "atri_lib/schemes/__init__.py",
        "CLIP_ENCODERS": "atri_lib/encoders/presets.py",
        "TEXT_ENCODERS": "atri_lib/encoders/presets.py",
        "STUDIES": "studies/registry.py",
        "NEUTRAL": "atri_lib/recipe.py",
        "CHANGES": "atri_lib/recipe.py",
    }
    for name, place in places.items():
        assert f"`{name}`" in TEXT and place in TEXT
        assert re.search(rf"(?m)^{name}\b.*=", (ROOT / place).read_text(encoding="utf-8")), name


def imported_packages(path: pathlib.Path) -> set[str]:
    """The first names of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("floor", BELOW)
def test_no_floor_imports_one_above_it(floor):
    wrong = {
        path.relative_to(ROOT).as_posix(): above
        for path in (ROOT / floor).rglob("*.py")
        if (above := imported_packages(path) & set(BELOW[floor]))
    }
    assert wrong == {}


def test_data_and_evaluation_do_not_import_each_other():
    for one, other in (("data", "evaluation"), ("evaluation", "data")):
        for path in (ROOT / "atri_lib" / one).rglob("*.py"):
            assert f"atri_lib.{other}" not in path.read_text(encoding="utf-8"), path
