"""`pytest --nbval --kept`: what was executed is compared, and nothing is executed again."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests import kept_outputs


@pytest.fixture
def chapter(pytester):
    """A committed chapter that would fail if it were executed, and what is kept of it."""
    shown = new_output("display_data", data={"text/plain": "seven"}, metadata={})
    said = new_output("stream", name="stdout", text="7\n")
    cells = [
        new_markdown_cell("# A chapter"),
        new_code_cell("raise SystemExit", outputs=[said, shown], execution_count=1),
        new_code_cell("1 / 0", outputs=[], execution_count=2),
    ]
    path = pytester.path / "chapter.ipynb"
    kept = pytester.path / "kept.ipynb"
    for place in (path, kept):
        nbformat.write(new_notebook(cells=cells), place)
    return path, kept


def validated(pytester, monkeypatch, kept, *options):
    monkeypatch.setattr(kept_outputs, "_planned", lambda: kept)
    return pytester.inline_run(
        "--nbval", "--nbval-current-env", *options, "-p", "tests.kept_outputs", "-p", "no:xdist"
    )


def test_a_kept_chapter_is_compared_without_a_kernel(pytester, monkeypatch, chapter):
    path, kept = chapter
    found = validated(pytester, monkeypatch, {path: kept}, "--kept", "chapter.ipynb")
    found.assertoutcome(passed=2)
    changed = nbformat.read(kept, as_version=4)
    changed.cells[1].outputs[0].text = "8\n"
    nbformat.write(changed, kept)
    found = validated(pytester, monkeypatch, {path: kept}, "--kept", "chapter.ipynb")
    found.assertoutcome(passed=1, failed=1)


def test_other_cells_than_the_committed_ones_are_not_taken(pytester, monkeypatch, chapter):
    path, kept = chapter
    changed = nbformat.read(kept, as_version=4)
    changed.cells[2].source = "2 / 0"
    nbformat.write(changed, kept)
    found = validated(pytester, monkeypatch, {path: kept}, "--kept", "chapter.ipynb")
    found.assertoutcome(passed=1, failed=1)


@pytest.mark.parametrize("options", [("--kept",), ()])
def test_what_is_not_kept_is_executed(pytester, monkeypatch, chapter, options):
    path, kept = chapter
    if options:
        kept.unlink()
    found = validated(pytester, monkeypatch, {path: kept}, *options, "chapter.ipynb")
    passed, _, failed = found.listoutcomes()
    assert failed
