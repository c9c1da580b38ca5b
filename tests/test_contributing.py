"""CONTRIBUTING.md: what it names is there, and imports point the way it says."""

import pathlib
import re

import pytest
from imported import imported_packages

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FLOORS = ["atri_lib", "studies", "book", "tests"]  # from below


def test_every_path_that_it_names_is_there():
    named = re.findall(r"`((?:atri_lib|studies|book|tests|notebooks)/[\w./]*|_toc\.yml)`", TEXT)
    assert len(set(named)) >= 10
    for name in named:
        assert "NN_" in name or (ROOT / name).exists(), name


@pytest.mark.parametrize(
    "name, place",
    [
        ("_KINDS", "atri_lib/schemes/__init__.py"),
        ("CLIP_ENCODERS", "atri_lib/encoders/presets.py"),
        ("TEXT_ENCODERS", "atri_lib/encoders/presets.py"),
        ("STUDIES", "studies/registry.py"),
        ("NEUTRAL", "atri_lib/recipe.py"),
        ("CHANGES", "atri_lib/recipe.py"),
    ],
)
def test_every_name_that_it_tells_to_extend_is_where_it_says(name, place):
    assert f"`{name}`" in TEXT
    assert place in TEXT
    code = (ROOT / place).read_text(encoding="utf-8")
    assert re.search(rf"(?m)^{name}\b.*=", code)


@pytest.mark.parametrize("floor", FLOORS)
def test_no_floor_imports_one_above_it(floor):
    above = FLOORS[FLOORS.index(floor) + 1 :]
    paths = list((ROOT / floor).rglob("*.py"))
    assert paths
    for path in paths:
        assert imported_packages(path).isdisjoint(above), path


@pytest.mark.parametrize("one, other", [("data", "evaluation"), ("evaluation", "data")])
def test_data_and_evaluation_do_not_import_each_other(one, other):
    for path in (ROOT / "atri_lib" / one).rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert f"atri_lib.{other}" not in code, path
