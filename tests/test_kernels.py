"""The build as a process: who shares the machine, what a failure and a kill leave, what is done
again.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import chapters
import pages
import psutil
import pytest
import tasks
from nbformat import v4
from small_chapters import ROOT, chapter

DRIVER = """import sys, types
sys.path.insert(0, "book")
import tasks
tasks.prepare = lambda: print("data and runs")
tasks.default_bank = lambda: types.SimpleNamespace(checksum="sounds")
def scenes(folder, profile):
    folder.mkdir(exist_ok=True)
    (folder / "scenes.js").write_text("of " + profile)
sys.modules["book.search_page"] = types.SimpleNamespace(build=scenes)
sys.modules["studies.computing"] = types.SimpleNamespace(report=lambda: "no studies")
sys.exit(tasks.main(*sys.argv[1:]))"""
MEET = """import pathlib, time
mine, other = pathlib.Path("../{mine}.txt"), pathlib.Path("../{other}.txt")
start = time.time()
mine.touch()
while not other.exists():
    assert time.time() < start + 60, "nobody came"
    time.sleep(0.05)
mine.write_text(f"{{start}} {{time.time()}}")
print("met")
"""
ENDLESS = """import os, pathlib, time
pathlib.Path("../pid.tmp").write_text(str(os.getpid()))
os.replace("../pid.tmp", "../pid.txt")
time.sleep(600)"""
FIGURE = """import os
import plotly.graph_objects as go
from atri_lib import languages
from book import viz
print(os.environ["OMP_WAIT_POLICY"], len(languages.LANGUAGES))
display(viz.explorable("step", "a step as three vectors", old=1, fresh=1, angle=90))
viz.interactive(go.Figure(go.Bar(x=[0, 1], y=[1, 2], marker_color="red")), "two bars")"""


def save(folder, stem, source):
    cells = [
        v4.new_markdown_cell(f"# Chapter {stem}", id="title"),
        v4.new_code_cell('profile = "book"', metadata={"tags": ["parameters"]}, id="parameters"),
        v4.new_code_cell(source, id="work"),
    ]
    (folder / "notebooks" / f"{stem}.ipynb").write_text(
        chapters.written(chapters.clean(v4.new_notebook(cells=cells)))
    )


def small_book(folder, **sources):
    """A project of its own with this one's build and library."""
    (folder / "notebooks").mkdir(parents=True)
    shutil.copytree(
        ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("*.md", "__pycache__")
    )
    for name in ("_config.yml", "requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "atri_lib").symlink_to(ROOT / "atri_lib")
    (folder / "book" / "preface.md").write_text(
        "# Preface\n\n<!-- status -->\n\nThe profile is <!-- profile -->.\n"
    )
    files = "".join(f"  - file: notebooks/{stem}\n" for stem in sources)
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: book/preface\nchapters:\n{files}")
    for stem, source in sources.items():
        save(folder, stem, source)
    return folder


def start(folder, *goal, **environment):
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-c", DRIVER, *goal], cwd=folder, env=env, **pipes)


def build(folder, *goal, **environment):
    """Exit code and what was said."""
    process = start(folder, *(goal or ("book",)), **environment)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book of two chapters that wait for each other, built once."""
    first = MEET.format(mine="one", other="two") + FIGURE
    second = MEET.format(mine="two", other="one")
    folder = small_book(tmp_path_factory.mktemp("built"), one=first, two=second)
    code, said = build(folder)
    assert code == 0, said
    return folder


def test_two_chapters_overlap(built):
    (start_one, end_one), (start_two, end_two) = (
        map(float, (built / f"{name}.txt").read_text().split()) for name in ("one", "two")
    )
    assert max(start_one, start_two) < min(end_one, end_two)


def test_a_small_book_is_built_whole_and_not_built_again(built):
    page = (built / "_build" / "html" / "notebooks" / "one.html").read_text()
    assert "PASSIVE 8" in page and "atri-bars" in page and "two bars" in page
    assert 'data-explorable="step"' in page and "a step as three vectors" in page
    preface = (built / "_build" / "html" / "book" / "preface.html").read_text()
    assert (
        "The profile is book." in preface
        and "Chapter two" in preface
        and "as committed" not in preface
    )
    assert "outputs" not in (built / "notebooks" / "one.ipynb").read_text().replace(
        '"outputs": []', ""
    )
    assert (built / "_build" / "html" / "_static" / "search" / "scenes.js").read_text() == "of book"
    before = (built / "_build" / "html" / "index.html").stat().st_mtime_ns
    code, said = build(built)
    assert code == 0 and said.count("-- ") == 4 and "data and runs" not in said, said
    assert (built / "_build" / "html" / "index.html").stat().st_mtime_ns == before


@pytest.mark.slow
def test_jupyter_book_builds_the_checkout_as_committed_and_make_book_puts_its_own_back(built):
    """Only here; test_a_small_book_is_built_whole_and_not_built_again is the fast build, and
    test_pages.py has the status of committed chapters.
    """
    junk = built / ".venv" / "lib" / "package"
    junk.mkdir(parents=True)
    (junk / "README.md").write_text("### Not ours {doc}`nowhere`\n")
    (junk / "bad.ipynb").write_text("not json")
    command = [sys.executable, "-c", pages.JUPYTER_BOOK, "build", "-W", "--keep-going", "."]
    run = subprocess.run(
        command,
        cwd=built,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and "WARNING" not in run.stderr, run.stdout + run.stderr
    html = built / "_build" / "html"
    assert "as committed" in (html / "book" / "preface.html").read_text()
    assert "PASSIVE 8" not in (html / "notebooks" / "one.html").read_text()  # nothing was executed
    assert "`make book` puts the scenes" in (html / "_static" / "search" / "scenes.js").read_text()
    code, said = build(built)
    assert code == 0 and said.count("-- ") == 3 and "+  Site" in said, said
    assert "PASSIVE 8" in (html / "notebooks" / "one.html").read_text()


@pytest.mark.slow
def test_another_profile_is_told_and_hidden(built):
    """Only here; the fast build tells its profile, and test_pages.py hides injected parameters."""
    code, said = build(built, PROFILE="smoke")
    assert code == 0 and "data and runs" in said, said
    assert (
        built / "_build" / "html" / "_static" / "search" / "scenes.js"
    ).read_text() == "of smoke"
    assert (
        "The profile is smoke." in (built / "_build" / "html" / "book" / "preface.html").read_text()
    )
    page = (built / "_build" / "html" / "notebooks" / "two.html").read_text()
    assert "injected" not in page
    clean = [sys.executable, "-c", pages.JUPYTER_BOOK, "clean", "."]
    subprocess.run(clean, cwd=built, check=True, capture_output=True)
    assert not (built / "_build" / "html").exists()
    assert len(list((built / ".cache" / "executed").glob("two-*.ipynb"))) == 2  # one a profile


@pytest.mark.parametrize("wrong", [["fly"], ["refresh", "nonsense"]])
def test_a_wrong_goal_and_a_wrong_chapter_are_named(tmp_path, wrong):
    code, said = build(small_book(tmp_path / "x", fit=""), *wrong)
    assert code != 0 and f'invalid parameter: "{":".join(wrong)}"' in said


@pytest.mark.slow
def test_what_a_killed_build_and_a_failing_one_have_finished_is_kept_and_no_kernel_outlives(
    tmp_path,
):
    """Three builds of one book: killed, with a chapter that fails, with a page that warns.

    test_no_kernel_outlives_a_build_that_is_stopped... sees the first, test_book.py a chapter that
    fails and what is kept of it.
    """
    folder = small_book(tmp_path / "x", quick="print(1)", other=ENDLESS)
    process = start(folder, "book")
    try:
        assert within(90, (folder / "pid.txt").exists)
        code, said = build(folder)
        assert code == 1 and "Another build of this book is running" in said
        assert within(90, lambda: executed(folder) == ["quick"])
        process.kill()
        process.communicate(timeout=30)
        assert gone(int((folder / "pid.txt").read_text()))
        assert executed(folder) == ["quick"]
    finally:
        process.kill()
    save(folder, "other", "print('before')\n1 / 0")
    code, said = build(folder)
    assert code != 0 and "other.ipynb failed" in said, said
    assert "ZeroDivisionError" in said and "is kept" in said and "-- quick" in said, said
    assert not (folder / "_build" / "html").exists()
    assert "before" in (folder / "_build" / "failed" / "other.ipynb").read_text()
    save(folder, "other", "print('at last')")
    (folder / "book" / "preface.md").write_text("# Preface\n\n{doc}`nowhere`\n")
    code, said = build(folder)
    assert code != 0 and "-- quick" in said and ".  other" in said, said
    assert "book/preface.md:3: WARNING: unknown document: 'nowhere'" in said
    assert not (folder / "_build" / "html").exists()
    assert executed(folder) == ["other", "quick"]


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),  # the same handler
    ],
)
def test_no_kernel_outlives_a_build_that_is_stopped_and_it_says_how_to_go_on(tmp_path, how):
    folder = small_book(tmp_path / "x", endless=ENDLESS)
    process = start(folder, "book")
    try:
        assert within(90, (folder / "pid.txt").exists)
        process.send_signal(how)
        said, _ = process.communicate(timeout=30)
        assert gone(int((folder / "pid.txt").read_text()))
        assert executed(folder) == []
        assert "the same command goes on from there" in said
    finally:
        process.kill()


def test_the_book_stops_at_a_failing_chapter_and_ends_with_its_traceback(tmp_path):
    others = [f"x{number:02d}" for number in range(12)]
    folder = small_book(
        tmp_path / "x", **{"09_first": "1 / 0"}, **dict.fromkeys(others, "print(1)")
    )
    (folder / "notebooks" / ".ipynb_checkpoints").mkdir()
    (folder / "book" / ".ipynb_checkpoints").mkdir()
    code, said = build(folder)
    assert code != 0 and len(executed(folder)) < len(others), said
    end = "\n".join(said.splitlines()[-15:])
    assert "ZeroDivisionError" in end and "is kept" in end and "In [2]" in said, said


def executed(folder):
    """The chapters that are kept as executed, by name."""
    kept = (folder / ".cache" / "executed").glob("*.ipynb")
    return sorted(path.name.split("-")[0] for path in kept)


def test_refresh_executes_committed_chapters_in_place_and_leaves_failing_ones_as_they_were(
    tmp_path,
):
    folder = small_book(tmp_path / "x", fit="", failing="1 / 0")
    good = chapter()
    good.cells[2].source = "import os; print(os.environ['ATRI_PLAYERS'], end=''); print(1)"
    (folder / "notebooks" / "fit.ipynb").write_text(chapters.written(good))
    before = (folder / "notebooks" / "failing.ipynb").read_text()
    code, said = build(folder, "refresh")
    assert code != 0, said
    assert ".  fit" in said and "failing.ipynb failed" in said, said
    assert (folder / "notebooks" / "failing.ipynb").read_text() == before
    kept = chapters.read(folder / "notebooks" / "fit.ipynb")
    assert [output.text for output in kept.cells[2].outputs] == ["01\n"]
    code, said = build(folder, "refresh", "fit")
    assert code == 0 and "failing" not in said, said


def test_a_full_disk_ends_the_build_with_a_message():
    def full():
        raise OSError(28, "No space left on device")

    failed = tasks.task("x", full)["actions"][0]()
    assert "No space left" in failed.get_msg() and "the same command goes on" in failed.get_msg()


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def gone(pid):
    """Whether a process ends within 20 seconds (a zombie has ended)."""

    def ended():
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return within(20, ended)
