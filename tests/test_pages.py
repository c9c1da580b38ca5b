"""The site: what is staged, what a finished one must hold, and docstrings that Sphinx can read."""

import book_sphinx
import chapters
import docutils.core
import docutils.nodes
import pages
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4
from small_chapters import chapter, code


def test_table_of_contents_is_read_in_order_and_missing_pages_are_named(tmp_path):
    toc = {"root": "book/preface", "parts": [{"chapters": [{"file": "a", "sections": [{"file": "b"}]}, {"file": "c"}]}]}
    assert pages.toc_pages(toc) == ["book/preface", "a", "b", "c"]
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    (tmp_path / "a.md").write_text("# A")
    with pytest.raises(pages.SiteFailed, match="book/preface, b, c"):
        pages.load_toc(tmp_path)


def test_stage_fills_the_tables_and_leaves_the_sources_alone(project):
    (project / "book" / "_static").mkdir(parents=True)
    (project / "book" / "_static" / "atri.css").write_text("")
    (project / "book" / "status.md").write_text("# Status\n\n<!-- status -->\n")
    for name in ("_config.yml", "_toc.yml"):
        (project / name).write_text("")
    executed = chapter()
    executed.metadata["papermill"] = {"duration": 12.345, "start_time": "2030-01-02T03:04:05.6"}
    executed.cells.insert(2, code("profile = 'smoke'", count=2, tags=["injected-parameters"]))
    tables = {"status": lambda: pages.status_table({"01_a": executed}), "absent": lambda: 1 / 0}
    target = project / "_build" / "stage"
    pages.stage(project, target, {"01_a": executed}, tables)
    assert "| {doc}`/notebooks/01_a` | 5 | 12.3 | 2030-01-02 03:04 |" in (target / "book" / "status.md").read_text()
    assert "<!-- status -->" in (project / "book" / "status.md").read_text()
    assert "remove-cell" in chapters.read(target / "notebooks" / "01_a.ipynb").cells[2].metadata.tags
    assert (target / "_static" / "atri.css").exists()


@pytest.mark.parametrize(
    "value, shown", [("np.float64(60.5)", "60.5"), ("np.int64(-3)", "-3"), ("2.5", "2.5"), ("'np.f(1)'", "'np.f(1)'")]
)
def test_glued_numpy_numbers_can_be_formatted(value, shown):
    output = v4.new_output("display_data", data={"application/papermill.record/text/plain": value})
    notebook = pages.staged_chapter(v4.new_notebook(cells=[code("glue('x', x)", outputs=[output])]))
    assert notebook.cells[0].outputs[0].data["application/papermill.record/text/plain"] == shown


def test_api_lists_documented_modules_and_skips_empty_packages(project):
    text = pages.api_sections(project)
    assert ".. automodule:: atri_lib.losses" in text
    assert ".. automodule:: atri_lib\n" in text
    assert "atri_lib.data" not in text


@pytest.mark.parametrize(
    "body, problem",
    [
        ('<script src="https://cdn.example/x.js"></script>', "fetches https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "fetches //cdn.example/x.css"),
        ('<img src="missing.png">', "missing.png, which is not there"),
        ('<div class="system-message">x</div>', "shows a Sphinx error"),
        ("<script>Plotly.newPlot('x')</script>", "draws with plotly but does not load it"),
        ('<script src="_static/a.js?v=1"></script><a href="https://example.org">x</a>', None),
        ('<link rel="canonical" href="https://example.org"><img src="data:image/png;base64,aa">', None),
    ],
)
def test_a_site_that_is_not_whole_is_found_out(tmp_path, body, problem):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.js").write_text("")
    (tmp_path / "index.html").write_text(f"<html><body>{body}</body></html>")
    found = pages.site_problems(tmp_path, ["index"])
    assert len(found) == (problem is not None)
    assert all(problem in one for one in found)
    assert pages.site_problems(tmp_path, ["index", "gone"])[0] == "page gone is missing"


def test_a_style_sheet_that_fetches_is_found_out(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://fonts.example/x') }")
    assert pages.site_problems(tmp_path, []) == ["a.css: fetches https://fonts.example/x"]


def test_the_previous_site_survives_a_kill_between_the_two_renames(tmp_path):
    html = tmp_path / "html"
    (tmp_path / "new" / "_build" / "html").mkdir(parents=True)
    assert pages.published_key(html) is None
    pages.publish(tmp_path / "new", html, {"key": "one"})
    assert pages.published_key(html) == "one"
    html.rename(tmp_path / "html.previous")  # where a kill would leave it
    pages.recover(html)
    assert pages.published_key(html) == "one"
    (tmp_path / "new" / "_build" / "html").mkdir(parents=True)
    pages.publish(tmp_path / "new", html, {"key": "two"})
    assert pages.published_key(html) == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["html"]


def docutils_messages(lines):
    tree = docutils.core.publish_doctree(
        "\n".join(lines), settings_overrides={"report_level": 1, "halt_level": 5, "warning_stream": False}
    )
    return [node.astext() for node in tree.findall(docutils.nodes.system_message)]


DOCSTRING = """Contrast audio with every language's caption (1-to-K), L_kcl = 1/(2NK) (L_a2t + L_t2a).

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
    assert docutils_messages(book_sphinx.as_rst(DOCSTRING.splitlines())) == []
    assert docutils_messages(DOCSTRING.splitlines()) != []  # without the translation there are warnings
    tree = docutils.core.publish_doctree("\n".join(book_sphinx.as_rst(DOCSTRING.splitlines())))
    assert "||w_t|| <= a*b, folder=True and **kwargs; see x_." in tree.astext()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="ab12 `*|_.:-)(>=#\t", max_size=20), max_size=8))
def test_no_docstring_can_make_sphinx_warn(lines):
    assert docutils_messages(book_sphinx.as_rst([line.expandtabs() for line in lines])) == []
