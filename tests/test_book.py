"""The book's build: what a committed chapter looks like, what is executed again when, what a finished site holds."""

import copy
import os
import pathlib
import re
import subprocess
import sys

import docutils.core
import docutils.nodes
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))

import book_sphinx  # noqa: E402
import build  # noqa: E402
import chapters  # noqa: E402
import checks  # noqa: E402
import install  # noqa: E402
import pages  # noqa: E402

COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROSE = """# A chapter

## What would have shown us wrong

```{admonition} Departures from the paper
None.
```

## Take-aways
"""
EXERCISE = """```{{exercise}} A title
:label: ex-{0}
Do it.
```

````{{solution-start}} ex-{0}
:class: dropdown
````
"""


def code(source, *, count=None, tags=(), outputs=(), **metadata):
    cell = v4.new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def stream(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def display(**data):
    return v4.new_output("display_data", data={key.replace("_", "/", 1): value for key, value in data.items()})


def chapter():
    """A small chapter that is fit to commit."""
    cells = [v4.new_markdown_cell(PROSE), code('profile = "book"\nseed = 0', count=1, tags=["parameters"])]
    cells.append(code("print('verdict')", count=2, outputs=[stream("verdict: 3 of 3\n")]))
    for number, name in enumerate(("one", "two"), 3):
        cells.append(v4.new_markdown_cell(EXERCISE.format(name)))
        cells.append(code("print(2)", count=number, outputs=[stream("2\n")]))
        cells.append(v4.new_markdown_cell("````{solution-end}\n````"))
    return chapters.clean(v4.new_notebook(cells=cells))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_chapter_is_fit_to_publish(path):
    assert checks.problems(chapters.read(path)) == []
    as_refreshed = path.read_text(encoding="utf-8") == chapters.written(chapters.clean(chapters.read(path)))
    assert as_refreshed, f"not as it is committed by: make refresh CHAPTERS={path.stem}"


def test_every_committed_chapter_is_in_the_table_of_contents_and_every_page_there_exists():
    toc = pages.load_toc(ROOT)
    assert [f"notebooks/{path.stem}" for path in COMMITTED] == [page for page in toc if page.startswith("notebooks/")]
    assert {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")} <= set(toc)


def test_a_good_chapter_has_no_problems():
    assert checks.problems(chapter()) == []


def with_cell(**changes):
    def spoil(notebook):
        for key, value in changes.items():
            setattr(notebook.cells[2], key, value)

    return spoil


def with_outputs(*outputs, tags=(), **metadata):
    def spoil(notebook):
        notebook.cells[2] = code("x", count=2, tags=tags, outputs=outputs, **metadata)

    return spoil


def with_prose(old, new):
    def spoil(notebook):
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace(old, new)

    return spoil


IGNORE = ["nbval-ignore-output"]
ALT = {"image": {"alt": "A line."}}
SPOILED = {
    "not executed": (with_cell(execution_count=None), "not executed once each"),
    "executed twice": (with_cell(execution_count=9), "not executed once each"),
    "error": (with_outputs(v4.new_output("error", ename="KeyError", evalue="x", traceback=[])), "raised KeyError"),
    "stderr": (with_outputs(stream("UserWarning: x", "stderr")), "wrote to stderr"),
    "home path": (with_outputs(stream("loaded /home/ann/runs/a.json\n")), "absolute path"),
    "quoted path": (with_outputs(stream("PosixPath('/root/.cache/x')\n")), "absolute path"),
    "path after colon": (with_outputs(stream("file:/tmp/x\n")), "absolute path"),
    "windows path": (with_outputs(stream("C:\\Users\\ann\n")), "absolute path"),
    "address": (with_outputs(stream("<function f at 0x7f3a5c1b2d30>\n")), "memory address"),
    "audio": (with_outputs(display(text_html='<audio src="x.ogg">'), tags=IGNORE), "audio data"),
    "audio mime": (with_outputs(display(audio_ogg="T2dn"), tags=IGNORE), "audio data"),
    "html compared": (with_outputs(display(text_html="<table>")), "not tagged nbval-ignore-output"),
    "image compared": (with_outputs(display(image_png="iVBO"), mystnb=ALT), "not tagged nbval-ignore-output"),
    "image without alt": (with_outputs(display(image_png="iVBO"), tags=IGNORE), "without alt text"),
    "too large": (with_outputs(stream("x" * 1_500_001)), "at most 1,500,000"),
    "no parameters": (lambda notebook: notebook.cells[1].metadata.pop("tags"), "tagged `parameters`"),
    "papermill metadata": (lambda notebook: notebook.metadata.update(papermill={}), "run-time metadata"),
    "no id": (lambda notebook: notebook.cells[0].pop("id"), "without an id of their own"),
    "markdown image": (with_prose("# A chapter", "# A chapter\n![](x.png)"), "without alt text"),
    "figure directive": (with_prose("# A chapter", "# A\n```{figure} x.png\nB\n```"), "without :alt:"),
    "no title": (with_prose("# A chapter", "A chapter"), "level-one title"),
    "no departures": (with_prose("Departures from the paper", "Notes"), "Departures"),
    "no counter-example": (with_prose("shown us wrong", "been"), "shown us wrong"),
    "no take-aways": (with_prose("Take-aways", "End"), "take-aways"),
    "one exercise": (with_prose("{exercise} A title\n:label: ex-two", "{note}"), "1 labelled exercises"),
    "no solution": (with_prose("{solution-start} ex-two", "{note}"), "exercise ex-two has no solution"),
    "shown solution": (with_prose(":class: dropdown", ""), "not hidden"),
    "open solution": (with_prose("{solution-end}", "{note}"), "without its solution-end"),
}


@pytest.mark.parametrize("spoil, message", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_chapter_is_refused(spoil, message):
    notebook = chapter()
    spoil(notebook)
    assert any(message in problem for problem in checks.problems(notebook)), checks.problems(notebook)


@pytest.mark.parametrize(
    "text",
    ["R@1/R@5/mAP10", "290 patches/s", "https://arxiv.org/home/x", "</data>", "a/tmp/b", "and/or", "5 / 3", "1/2"],
)
def test_a_slash_alone_is_no_absolute_path(text):
    assert not checks.ABSOLUTE_PATH.search(text)


def test_cleaning_drops_what_differs_between_runs_and_nothing_else():
    first, second = chapter(), chapter()
    for notebook, chunks in ((first, ["verdict: ", "3 of 3\n"]), (second, ["verdict: 3 of 3\n"])):
        notebook.cells[2].outputs = [stream(chunk) for chunk in chunks]
        notebook.cells[2].execution_count = len(chunks) + 40
        notebook.cells[2].metadata.update(papermill={"duration": len(chunks)}, execution={"a": 1})
        notebook.metadata.update(papermill={"duration": len(chunks)}, widgets={"state": {}})
        for left, right in zip(notebook.cells, first.cells, strict=True):
            left.id = right.id
    first.cells.insert(2, code("seed = 7", count=2, tags=["injected-parameters"]))
    assert chapters.written(chapters.clean(first)) == chapters.written(chapters.clean(second))
    assert chapters.clean(first).cells[2].outputs[0].text == "verdict: 3 of 3\n"
    once = chapters.clean(first)
    assert chapters.written(chapters.clean(once)) == chapters.written(once)


def test_plotly_figures_get_the_same_ids_in_every_run():
    written = []
    for name in ("0c21ecc0-6390-4a29-8dff-5c0daf6d04d0", "46ed5a80-fdac-42b3-9d4b-1fe45c6b089b"):
        page = f'<div id="{name}" class="plotly-graph-div"></div><script>Plotly.newPlot("{name}")</script>'
        notebook = v4.new_notebook(cells=[code("x", outputs=[display(text_html=page)])])
        notebook.cells[0].id = "same"
        written.append(chapters.written(chapters.clean(notebook)))
    assert written[0] == written[1]
    assert 'newPlot(\\"plotly-same-0\\")' in written[0]


def test_a_chapter_is_executed_again_only_for_what_its_outputs_follow_from():
    notebook, same = chapter(), chapter()
    same.cells[2].outputs, same.cells[2].execution_count = [], None
    key = chapters.chapter_key(notebook, {}, "environment", "data")
    assert chapters.chapter_key(same, {}, "environment", "data") == key
    changed, tagged = copy.deepcopy(notebook), copy.deepcopy(notebook)
    changed.cells[2].source += "\n# and more"
    tagged.cells[2].metadata["tags"] = ["hide-input"]
    others = [
        chapters.chapter_key(changed, {}, "environment", "data"),
        chapters.chapter_key(tagged, {}, "environment", "data"),
        chapters.chapter_key(notebook, {"profile": "smoke"}, "environment", "data"),
        chapters.chapter_key(notebook, {}, "another environment", "data"),
        chapters.chapter_key(notebook, {}, "environment", "other data"),
    ]
    assert len({key, *others}) == 6


@pytest.fixture
def project(tmp_path):
    (tmp_path / "atri_lib" / "data").mkdir(parents=True)
    (tmp_path / "atri_lib" / "losses.py").write_text('"""Losses."""\n')
    (tmp_path / "atri_lib" / "__init__.py").write_text('"""The library."""\n')
    (tmp_path / "atri_lib" / "data" / "__init__.py").write_text("\n")
    (tmp_path / "atri_lib" / "data" / "names.json").write_text("{}")
    (tmp_path / "requirements.txt").write_text("# pins\nnumpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


@pytest.mark.parametrize(
    "file, text, again",
    [
        ("atri_lib/losses.py", '"""Losses."""\nx = 1\n', True),
        ("atri_lib/new.py", "", True),
        ("atri_lib/data/names.json", '{"a": 1}', True),
        ("requirements.txt", "# pins\nnumpy==2.4.7\n", True),
        ("requirements.txt", "# other words\nnumpy==2.4.6\n", False),
        ("atri_lib/__pycache__/losses.pyc", "x", False),
        ("README.md", "x", False),
        ("tests/test_losses.py", "x", False),
    ],
)
def test_library_code_tables_and_pins_make_the_environment_key(project, file, text, again):
    before = chapters.environment_key(project)
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text(text)
    assert (chapters.environment_key(project) != before) is again


def test_a_failing_cell_names_chapter_and_cell_and_keeps_what_ran(tmp_path):
    source = tmp_path / "03_failing.ipynb"
    cells = [code("print('before')"), code("1 / 0"), code("print('after')")]
    notebook = v4.new_notebook(cells=cells, metadata=chapter().metadata)
    source.write_text(chapters.written(notebook))
    with pytest.raises(chapters.ChapterFailed, match=r"(?s)03_failing.ipynb, cell 2 .*1 / 0.*ZeroDivisionError"):
        chapters.execute(source, tmp_path / "out" / "x.ipynb", {}, failed=tmp_path / "failed")
    assert list((tmp_path / "out").iterdir()) == []
    kept = chapters.read(tmp_path / "failed" / "03_failing.ipynb")
    assert any(output.get("text") == "before\n" for cell in kept.cells for output in cell.get("outputs", []))


def test_a_chapter_whose_kernel_dies_is_named_and_what_ran_is_kept(tmp_path):
    source = tmp_path / "04_greedy.ipynb"
    cells = [code("print('before')"), code("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")]
    source.write_text(chapters.written(v4.new_notebook(cells=cells, metadata=chapter().metadata)))
    with pytest.raises(chapters.ChapterFailed, match=r"(?s)04_greedy.ipynb: its kernel died .*memory.*as far as"):
        chapters.execute(source, tmp_path / "out" / "x.ipynb", {}, failed=tmp_path / "failed")
    assert list((tmp_path / "out").iterdir()) == []
    assert chapters.read(tmp_path / "failed" / source.name).cells[0].outputs[0].text == "before\n"


def test_a_chapter_whose_kernel_does_not_start_is_named(tmp_path, monkeypatch):
    def dead(*_, **__):
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(chapters.papermill, "execute_notebook", dead)
    with pytest.raises(chapters.ChapterFailed, match=r"(?s)^a.ipynb: .*before replying.*memory.*Nothing of the"):
        chapters.execute(tmp_path / "a.ipynb", tmp_path / "x.ipynb", {}, failed=tmp_path / "failed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a.ipynb: not a notebook")])
def test_a_full_disk_and_a_broken_notebook_end_the_build_with_a_message(tmp_path, monkeypatch, error):
    def fail(profile):
        raise error

    monkeypatch.setattr(build, "BUILD", tmp_path)
    monkeypatch.setattr(build, "build_book", fail)
    monkeypatch.setattr(build.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["build.py", "book"])
    with pytest.raises(SystemExit, match=re.escape(str(error)) + r"\n.*the same command goes on"):
        build.main()


def test_the_status_line_fits_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    build.show("x" * 200)
    assert len(capsys.readouterr().out.removeprefix("\r\x1b[K")) == 79


def test_what_is_no_notebook_is_named(tmp_path):
    (tmp_path / "a.ipynb").write_text("not json")
    with pytest.raises(ValueError, match="a.ipynb: not a Jupyter notebook"):
        chapters.read(tmp_path / "a.ipynb")


def test_two_builds_at_once_are_refused_and_the_first_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BUILD", tmp_path / "_build")
    with build.locked(".lock", "A build"):
        with pytest.raises(SystemExit, match=rf"A build is running already \(process {os.getpid()}\)"):
            with build.locked(".lock", "A build"):
                pass
    with build.locked(".lock", "A build"):
        pass


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


def test_every_package_is_pinned_exactly_and_linux_only_ones_are_marked():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.+!]+(; [^;]+)?", line), line
        name = line.split("==")[0]
        assert not re.match(r"nvidia-|cuda-|triton$", name) or '; sys_platform == "linux"' in line, line
    names = [re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines]
    assert len(set(names)) == len(names)
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["-r requirements.txt"]}]


def test_installation_is_keyed_by_pins_and_place(project):
    key = install.installation_key(project)
    assert install.installation_key(project) == key
    (project / "requirements.txt").write_text("numpy==2.4.7\n")
    assert install.installation_key(project) != key


def test_progress_reads_what_pip_says(tmp_path):
    progress = install.Progress(3, tmp_path)
    progress.read("Collecting torch==2.11.0 (from -r requirements.txt (line 3))\n")
    progress.read("  Downloading torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl (530.7 MB)\n")
    assert (progress.phase, progress.detail) == ("collecting", "torch-2.11.0 (530.7 MB)")
    progress.read("Requirement already satisfied: numpy==2.4.6 in ./lib (2.4.6)\n")
    assert progress.seen == {"torch", "numpy"}
    progress.read("Installing collected packages: numpy, torch\n")
    assert progress.phase == "installing"


class FakePip:
    """Stands in for pip and for `python -m venv`; stops the n-th call in a given phase."""

    def __init__(self, monkeypatch, venv):
        self.calls, self.stop = [], None
        monkeypatch.setattr(install, "run_pip", self.run_pip)
        monkeypatch.setattr(install.subprocess, "run", lambda command, **_: self.run(command, venv))

    def run(self, command, venv):
        if "venv" in command:
            (venv / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
            (venv / "bin").mkdir()
            (venv / "bin" / "python").touch()
        return subprocess.CompletedProcess(command, 0)

    def run_pip(self, python, arguments, progress):
        self.calls.append(arguments[0])
        if self.stop:
            progress.phase = self.stop
            raise KeyboardInterrupt


def test_an_interrupted_installation_starts_clean_and_a_finished_one_is_not_repeated(project, monkeypatch):
    venv = project / ".venv"
    pip = FakePip(monkeypatch, venv)
    pip.stop = "installing"
    with pytest.raises(KeyboardInterrupt):
        install.install(project, venv)
    (venv / "half-written").touch()
    pip.stop = None
    install.install(project, venv)
    assert not (venv / "half-written").exists()
    assert pip.calls == ["-r", "-r", "--no-deps"]
    install.install(project, venv)
    assert pip.calls == ["-r", "-r", "--no-deps"]


def test_an_environment_that_pip_has_not_touched_is_kept(project, monkeypatch):
    venv = project / ".venv"
    pip = FakePip(monkeypatch, venv)
    install.install(project, venv)
    (venv / "kept").touch()
    (project / "requirements.txt").write_text("numpy==2.4.7\n")
    pip.stop = "collecting"
    with pytest.raises(KeyboardInterrupt):
        install.install(project, venv)
    pip.stop = None
    install.install(project, venv)
    assert (venv / "kept").exists()


def test_a_folder_that_is_no_environment_is_left_alone(project, monkeypatch):
    venv = project / ".venv"
    FakePip(monkeypatch, venv)
    venv.mkdir()
    (venv / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="no virtual environment .*: move it away, then run make again"):
        install.install(project, venv)
    assert [path.name for path in venv.iterdir()] == ["thesis.txt"]


def test_an_interrupted_removal_of_an_environment_is_taken_up_again(project, monkeypatch):
    venv = project / ".venv"
    FakePip(monkeypatch, venv)
    (venv / "lib" / "old").mkdir(parents=True)
    (venv / "lib64").symlink_to("lib")
    (venv / "pyvenv.cfg").touch()

    def interrupt(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(install.shutil, "rmtree", interrupt)
        install.install(project, venv)
    (venv / "pyvenv.cfg").unlink(missing_ok=True)
    install.install(project, venv)
    assert not (venv / "lib" / "old").exists() and (venv / ".atri-installed").exists()
