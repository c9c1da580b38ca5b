"""Chapters: what a committed one looks like, what is executed again when, what a failure says."""

import copy
import pathlib
import re
import subprocess
import sys

import chapter_problems
import chapters
import pages
import pytest
from nbformat import v4
from small_chapters import COMMITTED, ROOT, chapter, code, display, stream

PARTS = {  # what each chapter holds, besides its argument: name -> pattern in its prose
    "level-one title": r"\A# \S",
    "section with a control, or on what would have proved us wrong": (
        r"(?im)^#+ .*(?:\bcontrols?\b|(?:proved?|shown?) us wrong)"
    ),
    "'Departures from the paper' box": r"(?im)^[`:]{3,}\{admonition\} .*departures from the paper",
    "take-aways": r"(?im)^#+ .*take-?aways",
}
LARGEST = 1_500_000  # bytes


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_chapter_is_fit_to_publish(path):
    notebook = chapters.read(path)
    assert chapter_problems.problems(notebook) == []
    as_refreshed = path.read_text(encoding="utf-8") == chapters.written(chapters.clean(notebook))
    assert as_refreshed, f"not as it is committed by: make refresh CHAPTERS={path.stem}"
    assert path.stat().st_size <= LARGEST
    ids = [cell.get("id") for cell in notebook.cells]
    assert None not in ids and len(set(ids)) == len(ids)
    tagged = [cell for cell in notebook.cells if "parameters" in chapter_problems.tags(cell)]
    assert len(tagged) == 1 and re.search(r"(?m)^profile\b.* = ", tagged[0].source)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_pictures_and_html_of_a_committed_chapter_are_not_compared(path):
    for cell in chapters.read(path).cells:
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if kinds & {"text/html", "image/png"}:
            assert "nbval-ignore-output" in chapter_problems.tags(cell), cell.source


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_chapter_has_its_parts_and_exercises_with_hidden_solutions(path):
    cells = chapters.read(path).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert [part for part, pattern in PARTS.items() if not re.search(pattern, prose)] == []
    # Each exercise is followed by its label line; each solution names that label in its first line.
    exercises = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label:\s*(\S+)", prose)
    solutions = dict(re.findall(r"\{solution(?:-start)?\}\s*(\S+)([^{]*)", prose))
    assert 2 <= len(exercises) <= 4 and set(exercises) == set(solutions)
    assert all("dropdown" in head for head in solutions.values())
    assert prose.count("{solution-start}") == prose.count("{solution-end}")


def test_every_committed_chapter_is_in_the_table_of_contents_and_every_page_there_exists():
    toc = pages.load_toc(ROOT)
    chapters_there = sorted(page for page in toc if page.startswith("notebooks/"))
    assert chapters_there == [f"notebooks/{path.stem}" for path in COMMITTED]
    assert {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")} <= set(toc)


def test_a_good_chapter_has_no_problems():
    assert chapter_problems.problems(chapter()) == []


def with_outputs(*outputs):
    def spoil(notebook):
        notebook.cells[2] = code("x", count=2, outputs=outputs)

    return spoil


def with_prose(old, new):
    def spoil(notebook):
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace(old, new)

    return spoil


SPOILED = {
    "error": (
        with_outputs(v4.new_output("error", ename="KeyError", evalue="x", traceback=[])),
        "raised KeyError",
    ),
    "stderr": (with_outputs(stream("UserWarning: x", "stderr")), "wrote to stderr"),
    "home path": (with_outputs(stream("loaded /home/ann/runs/a.json\n")), "absolute path"),
    "quoted path": (with_outputs(stream("PosixPath('/root/.cache/x')\n")), "absolute path"),
    "path after colon": (with_outputs(stream("file:/tmp/x\n")), "absolute path"),
    "windows path": (with_outputs(stream("C:\\Users\\ann\n")), "absolute path"),
    "address": (with_outputs(stream("<function f at 0x7f3a5c1b2d30>\n")), "memory address"),
    "audio": (with_outputs(display(text_html='<audio src="x.ogg">')), "audio data"),
    "audio mime": (with_outputs(display(audio_ogg="T2dn")), "audio data"),
    "image without alt": (with_outputs(display(image_png="iVBO")), "without alt text"),
    "markdown image": (with_prose("# A chapter", "# A chapter\n![](x.png)"), "without alt text"),
    "line of a comment": (with_prose("# A chapter", "# A chapter\n5\n% more."), "as a comment"),
    "figure directive": (
        with_prose("# A chapter", "# A\n```{figure} x.png\nB\n```"),
        "without :alt:",
    ),
}


@pytest.mark.parametrize("spoil, message", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_chapter_is_refused(spoil, message):
    notebook = chapter()
    spoil(notebook)
    assert any(message in problem for problem in chapter_problems.problems(notebook)), (
        chapter_problems.problems(notebook)
    )


@pytest.mark.parametrize(
    "text",
    [
        "R@1/R@5/mAP10",
        "290 patches/s",
        "https://arxiv.org/home/x",
        "</data>",
        "a/tmp/b",
        "and/or",
        "5 / 3",
        "1/2",
    ],
)
def test_a_slash_alone_is_no_absolute_path(text):
    assert not re.search(chapter_problems.ABSOLUTE_PATH, text)


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"nbformat": 9}'])
def test_what_is_no_notebook_is_named(tmp_path, text):
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"x\.ipynb: not a Jupyter notebook"):
        chapters.read(path)


def test_cleaning_drops_what_differs_between_runs_and_nothing_else():
    first, second = chapter(), chapter()
    for notebook, number in ((first, 1), (second, 2)):
        notebook.cells[2].execution_count = number + 40
        notebook.cells[2].metadata.update(papermill={"duration": number}, execution={"a": 1})
        notebook.metadata.update(papermill={"duration": number}, widgets={"state": {}})
        for left, right in zip(notebook.cells, first.cells, strict=True):
            left.id = right.id
    first.cells.insert(2, code("seed = 7", count=2, tags=["injected-parameters"]))
    assert chapters.written(chapters.clean(first)) == chapters.written(chapters.clean(second))
    assert chapters.clean(first).cells[2].outputs[0].text == "verdict: 3 of 3\n"
    once = chapters.clean(first)
    assert chapters.written(chapters.clean(once)) == chapters.written(once)


def test_a_chapter_is_executed_again_only_for_what_its_outputs_follow_from(project):
    notebook, same = chapter(), chapter()
    same.cells[2].outputs, same.cells[2].execution_count = [], None
    key = chapters.chapter_key(notebook, {}, project, "sounds")
    assert chapters.chapter_key(same, {}, project, "sounds") == key
    changed, tagged = copy.deepcopy(notebook), copy.deepcopy(notebook)
    changed.cells[2].source += "\n# and more"
    tagged.cells[2].metadata["tags"] = ["hide-input"]
    others = [
        chapters.chapter_key(changed, {}, project, "sounds"),
        chapters.chapter_key(tagged, {}, project, "sounds"),
        chapters.chapter_key(notebook, {"profile": "smoke"}, project, "sounds"),
        chapters.chapter_key(notebook, {}, project, "other sounds"),
        chapters.chapter_key(notebook, {}, project, None),
    ]
    assert len({key, *others}) == 6


@pytest.mark.parametrize(
    "file, text, again",
    [
        ("atri_lib/losses.py", "from atri_lib import ranks\nx = 2\n", True),
        (
            "atri_lib/losses.py",
            '"""Other words."""\nfrom atri_lib import ranks  # why\n\n\nx = 1\n',
            False,
        ),
        ("atri_lib/ranks.py", "import json\nz = 1\n", True),  # imported by losses
        ("atri_lib/unused.py", "x = 2", False),
        ("atri_lib/data/__init__.py", "x = 1\n", True),
        ("atri_lib/data/names.json", '{"a": 1}', True),
        ("requirements.txt", "# pins\nnumpy==2.4.7 \\\n    --hash=sha256:00\n", True),
        ("requirements.txt", "# other words\nnumpy==2.4.6 \\\n    --hash=sha256:11\n", False),
        ("README.md", "x", False),
        ("tests/test_losses.py", "x", False),
    ],
)
def test_a_chapter_is_executed_again_for_the_modules_that_it_uses(project, file, text, again):
    files = {
        "atri_lib/losses.py": '"""Losses."""\nfrom atri_lib import ranks\nx = 1\n',
        "atri_lib/ranks.py": "y = 'names.json'\n",
        "atri_lib/unused.py": "x = 1\n",
        "atri_lib/data/__init__.py": "",
        "requirements.txt": "# pins\nnumpy==2.4.6 \\\n    --hash=sha256:00\n",
    }
    for name, content in files.items():
        (project / name).write_text(content)
    notebook = chapter()
    notebook.cells[
        2
    ].source = "%matplotlib inline\nfrom atri_lib import losses\nfrom atri_lib.data import anything"
    before = chapters.chapter_key(notebook, {}, project, "sounds")
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text(text)
    assert (chapters.chapter_key(notebook, {}, project, "sounds") != before) is again


def test_every_module_that_python_loads_for_a_chapter_is_among_those_it_is_keyed_by():
    path = next(path for path in COMMITTED if path.stem.startswith("05"))
    code = "\n".join(
        cell.source for cell in chapters.read(path).cells if "from atri_lib" in cell.source
    )
    imports = "\n".join(line for line in code.splitlines() if re.match(r"(from|import) ", line))
    report = (
        "import sys\nfor n in list(sys.modules):\n"
        "    if n.split('.')[0] == 'atri_lib':\n        print(sys.modules[n].__file__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", f"{imports}\n{report}"], capture_output=True, text=True, check=True
    )
    loaded = {pathlib.Path(line).resolve() for line in run.stdout.splitlines()}
    used = {file.resolve() for file in chapters.used_files(chapters.read(path), ROOT)}
    assert len(loaded) > 10 and loaded <= used
    # The chapter on training does not need the theory.
    assert not any("theory" in file.parts for file in used)


@pytest.mark.parametrize(
    "second, message",
    [
        (
            "1 / 0",
            r"(?s)^x.ipynb failed: .*In \[2\].*1 / 0.*ZeroDivisionError.*What ran: .*x.ipynb",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            r"x.ipynb failed: .*died \(lack of memory\?\)",
        ),
    ],
)
def test_a_failing_cell_or_kernel_is_named_and_what_ran_is_kept(tmp_path, second, message):
    source = tmp_path / "x.ipynb"
    cells = [code("print('be')\nprint('fore', flush=True)"), code(second), code("print('after')")]
    notebook = v4.new_notebook(cells=cells, metadata=chapter().metadata)
    source.write_text(chapters.written(notebook))
    with pytest.raises(chapters.BuildFailed, match=message):
        chapters.execute(source, tmp_path / "out" / "x.ipynb", {}, failed=tmp_path / "failed")
    assert not (tmp_path / "out").exists()
    kept = chapters.read(tmp_path / "failed" / "x.ipynb")
    said = [output.get("text") for cell in kept.cells for output in cell.get("outputs", [])]
    assert "be\nfore\n" in said
