"""Chapters: what a committed one looks like, what is executed again when, what a failure says."""

import copy
import os
import re
import sys

import build
import chapters
import checks
import pages
import pytest
from nbformat import v4
from small_chapters import ROOT, chapter, code, display, stream

COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))


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
