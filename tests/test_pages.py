"""The site: what is staged, what a finished one must hold, and docstrings that Sphinx can read."""

import importlib
import re
import types

import cells
import chapters
import docutils.core
import docutils.nodes
import pages
import pytest
from cells import GLUED
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4
from quoted import quoted
from small_chapters import chapter, code

from atri_lib.data.banks import default_bank


def test_status_lists_executed_and_committed_chapters(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRI_EXECUTED", str(tmp_path))
    executed, committed = chapter(), chapter()
    executed.metadata["papermill"] = {"duration": 12.345, "start_time": "2030-01-02T03:04:05.6"}
    for name, notebook in (("01_a", executed), ("02_b", committed)):
        (tmp_path / f"{name}.ipynb").write_text(chapters.written(notebook))
    lines = pages.status_table().splitlines()
    assert lines[2:] == [
        "| {doc}`/notebooks/01_a` | 12.3 | 2030-01-02 03:04 |",
        "| {doc}`/notebooks/02_b` | 0.0 | as committed |",
    ]


def test_every_sound_is_credited(recordings):
    page = (pages.ROOT / "book" / "credits.md").read_text(encoding="utf-8")
    rows = [
        f"| {one.names['eng']} | {one.source} | {one.licence} |" for one in default_bank().items
    ]
    assert re.findall(r"(?m)^\| .*\.ogg \| .*$", page) == sorted(rows)


def test_the_injected_parameters_are_not_shown_and_figures_have_one_form():
    figure = {"data": [], "layout": {}}
    forms = {"application/vnd.plotly.v1+json": figure, "text/html": "<div></div>"}
    chapter = [code("profile = 'smoke'", tags=["injected-parameters"])]
    chapter.append(code("x", outputs=[v4.new_output("display_data", data=forms)]))
    notebook = cells.published(v4.new_notebook(cells=chapter))
    assert "remove-cell" in notebook.cells[0].metadata.tags
    assert list(notebook.cells[1].outputs[0].data) == ["text/html"]


@pytest.mark.parametrize(
    "value, shown",
    [
        ("np.float64(60.5)", "60.5"),
        ("np.int64(-3)", "-3"),
        ("2.5", "2.5"),
        ("'np.f(1)'", "'np.f(1)'"),
    ],
)
def test_glued_numpy_numbers_can_be_formatted(value, shown):
    output = v4.new_output("display_data", data={GLUED: value})
    notebook = cells.published(v4.new_notebook(cells=[code("glue('x', x)", outputs=[output])]))
    assert notebook.cells[0].outputs[0].data[GLUED] == shown


def test_api_lists_documented_modules_and_skips_empty_packages(project):
    text = pages.api_sections(project)
    assert ".. automodule:: atri_lib.losses" in text
    assert ".. automodule:: atri_lib\n" in text
    assert "atri_lib.data" not in text


def test_the_page_of_the_library_starts_with_fifteen_names_that_exist():
    page = (pages.ROOT / "book" / "api.md").read_text(encoding="utf-8")
    names = re.findall(r"\{py:\w+\}`([\w.]+)`", page.split("## Everything")[0])
    assert len(names) == len({*names}) == 15
    for module, _, name in (one.rpartition(".") for one in names):
        found = getattr(importlib.import_module(module), name)
        assert found.__module__ == module and found.__doc__, name  # where its entry on the page is


@pytest.mark.parametrize(
    "builder, refused", [("singlehtml", True), ("latex", True), ("html", False)]
)
def test_what_is_no_set_of_pages_names_the_pdf_and_leaves_the_site(tmp_path, builder, refused):
    (tmp_path / pages.BUILT).touch()
    app = types.SimpleNamespace(builder=types.SimpleNamespace(name=builder), outdir=tmp_path)
    if refused:
        with pytest.raises(SystemExit, match="(?m)^This book is a set of pages, not .*make pdf$"):
            pages.prepare_output(app)
    else:
        pages.prepare_output(app)
    assert (tmp_path / pages.BUILT).exists() == refused


def as_rst(lines):
    lines = list(lines)
    pages.plain_docstrings(None, None, None, None, None, lines)
    return lines


def docutils_messages(lines):
    tree = docutils.core.publish_doctree(
        "\n".join(lines),
        settings_overrides={"report_level": 1, "halt_level": 5, "warning_stream": False},
    )
    return [node.astext() for node in tree.findall(docutils.nodes.system_message)]


DOCSTRING = """\
Contrast audio with every language's caption (1-to-K), L_kcl = 1/(2NK) (L_a2t + L_t2a).

audio: [N, d], texts: [N, K, d]; ||w_t|| <= a*b, `folder=True` and **kwargs; see x_.
    table   of   things
      more  |B|
Back again.
- one item *here
- two
1. first
  .. not:: a directive
"""


def test_docstrings_are_plain_text_for_sphinx():
    assert docutils_messages(as_rst(DOCSTRING.splitlines())) == []
    assert (
        docutils_messages(DOCSTRING.splitlines()) != []
    )  # without the translation there are warnings
    tree = docutils.core.publish_doctree("\n".join(as_rst(DOCSTRING.splitlines())))
    assert "||w_t|| <= a*b, folder=True and **kwargs; see x_." in tree.astext()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="ab12 `*|_.:-)(>=#\t", max_size=20), max_size=8))
def test_no_docstring_can_make_sphinx_warn(lines):
    assert docutils_messages(as_rst([line.expandtabs() for line in lines])) == []


def test_pages_quote_numbers_of_chapters(tmp_path):
    glued = {
        "share-low": "12.345",
        "one": "np.float64(0.5)",
        "word": "'KCL'",
    }
    outputs = []
    for name, shown in glued.items():
        meta = {"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}}
        outputs.append(v4.new_output("display_data", data={GLUED: shown}, metadata=meta))
    notebook = v4.new_notebook(cells=[code("glue", outputs=outputs)])
    (tmp_path / "15_split.ipynb").write_text(chapters.written(notebook))
    text = "from <!-- 15_split share-low .0f --> to <!-- 15_split one .2f --> <!-- status -->"
    assert quoted(text, tmp_path) == "from 12 to 0.50 <!-- status -->"
    with pytest.raises(chapters.BuildFailed, match="quotes one of 16_x"):
        quoted("<!-- 16_x one .0f -->", tmp_path)
    for key in ("none", "word"):
        with pytest.raises(chapters.BuildFailed, match=f"quotes {key} of 15_split"):
            quoted(f"<!-- 15_split {key} .0f -->", tmp_path)
