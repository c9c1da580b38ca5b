"""Chapters executed side by side: who shares the machine, what a failure ends, what a kill leaves."""

import pathlib
import signal
import subprocess
import sys
import time

import build
import chapters
import kernels
import psutil
import pytest
from nbformat import v4

ROOT = pathlib.Path(__file__).resolve().parent.parent

WAIT = """import pathlib, time
start = time.time()
pathlib.Path({mine!r}).touch()
while not pathlib.Path({awaited!r}).exists():
    assert time.time() < start + 60, "nobody came"
    time.sleep(0.05)
"""
SPAN = WAIT + """pathlib.Path({mine!r}).write_text(f"{{start}} {{time.time()}}")"""
ENDLESS = """import os, pathlib, time
pathlib.Path("pid.tmp").write_text(str(os.getpid()))
os.replace("pid.tmp", "pid.txt")
time.sleep(600)"""
DRIVER = """import pathlib, sys
sys.path.insert(0, {book!r})
import kernels
folder = pathlib.Path({folder!r})
job = kernels.Job(folder / "endless.ipynb", folder / "out" / "endless.ipynb", False)
kernels.execute([job], {{}}, folder / "failed", print, lambda text: None)"""


def job(folder, stem, source, alone=False):
    cells = [v4.new_markdown_cell("# A chapter"), v4.new_code_cell(source)]
    cells[1].metadata["tags"] = ["measures-time"] if alone else []
    spec = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path = folder / f"{stem}.ipynb"
    path.write_text(chapters.written(v4.new_notebook(cells=cells, metadata=spec)))
    return kernels.Job(path, folder / "out" / path.name, chapters.measures_time(chapters.read(path)))


def execute(folder, *jobs, shown=None):
    said = []
    kernels.execute(list(jobs), {}, folder / "failed", said.append, (shown if shown is not None else []).append)
    return said


def test_two_chapters_overlap_and_one_that_measures_time_overlaps_with_none(tmp_path):
    shown = []
    awaited = {"a": "c.txt", "b": "b.txt", "c": "a.txt"}  # a and c end only when both have begun
    spans = {stem: SPAN.format(mine=f"{stem}.txt", awaited=awaited[stem]) for stem in "abc"}
    jobs = [job(tmp_path, stem, spans[stem], alone=stem == "b") for stem in "abc"]
    said = execute(tmp_path, *jobs, shown=shown)
    (_, a1), (b0, _), (_, c1) = (map(float, (tmp_path / f"{stem}.txt").read_text().split()) for stem in "abc")
    assert b0 > max(a1, c1)
    assert all(one.target.exists() for one in jobs)
    assert [line.split(":")[0] for line in said if line.endswith(" s")][-1] == "b"
    assert any(text.startswith("|              | 0/3 chapters  a: cell 1/2") and "c: cell" in text for text in shown)
    assert shown[-1] == ""


def test_a_failing_chapter_is_named_ends_the_one_beside_it_and_keeps_what_was_finished(tmp_path):
    quick = job(tmp_path, "quick", "1")
    endless = job(tmp_path, "endless", ENDLESS)
    failing = job(tmp_path, "failing", WAIT.format(mine="failing.txt", awaited="pid.txt") + "1 / 0")
    start = time.monotonic()
    with pytest.raises(chapters.ChapterFailed, match=r"(?s)failing.ipynb, cell 2 .*ZeroDivisionError"):
        execute(tmp_path, quick, failing, endless)
    assert time.monotonic() - start < 300  # endless would take 600
    assert quick.target.exists() and not failing.target.exists() and not endless.target.exists()
    assert gone(int((tmp_path / "pid.txt").read_text()))
    assert [path.name for path in (tmp_path / "failed").iterdir()] == ["failing.ipynb"]


def test_what_a_kernel_writes_past_its_notebook_is_neither_progress_nor_error(tmp_path):
    shown = []  # PYTEST_CURRENT_TEST makes ipykernel leave descriptors 1 and 2 as they were inherited
    lines = [f"os.write({fd}, b'stray ' * 20_000 + b'\\n')" for fd in (1, 2)]
    noisy = job(tmp_path, "noisy", "\n".join(["import os, time", *lines, "time.sleep(1)", "1 / 0"]))
    with pytest.raises(chapters.ChapterFailed, match="(?s)^noisy.ipynb, cell 2 .*ZeroDivisionError") as failure:
        execute(tmp_path, noisy, shown=shown)
    assert "stray stray" not in str(failure.value) + "".join(shown)


@pytest.mark.parametrize(
    "program, message",
    [
        ("import sys; sys.exit('disk full')", "quick: disk full"),
        ("import sys; sys.exit('quick.ipynb: disk full')", "quick.ipynb: disk full"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "quick: its process ended with code -9"),
    ],
)
def test_a_process_that_fails_is_named_whatever_it_says(tmp_path, monkeypatch, program, message):
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "program.py"))
    with pytest.raises(chapters.ChapterFailed, match=f"^{message}$"):
        execute(tmp_path, job(tmp_path, "quick", "1"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_kernel_outlives_a_build_however_that_ends(tmp_path, how):
    job(tmp_path, "endless", ENDLESS)
    driver = DRIVER.format(book=str(ROOT / "book"), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert within(60, (tmp_path / "pid.txt").exists)
        process.send_signal(how)
        process.wait(30)
        assert gone(int((tmp_path / "pid.txt").read_text()))
        assert not (tmp_path / "out" / "endless.ipynb").exists()
    finally:
        process.kill()


def test_data_and_runs_are_looked_at_only_when_a_chapter_is_to_be_executed(tmp_path, monkeypatch):
    notebooks, looked, sounds = tmp_path / "notebooks", [], [["frog.ogg", 1, 2]]
    notebooks.mkdir()
    job(notebooks, "one", "1")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(chapters, "environment_key", lambda root: "environment")
    monkeypatch.setattr(build, "sounds_at_hand", lambda: sounds)
    monkeypatch.setattr(build, "prepare", lambda profile: looked.append(profile) or "data")

    def look(profile="book"):
        data, plan = build.data_and_plan(["one"], profile)
        assert data == "data"
        return plan["one"][1].target

    target = look()
    look()
    assert looked == ["book", "book"]  # not executed yet
    target.parent.mkdir(parents=True)
    target.touch()
    assert look() == target and len(looked) == 2
    look("smoke")
    assert looked[2:] == ["smoke"] and look() == target and len(looked) == 3
    sounds[0][1] = 3
    look()
    monkeypatch.setattr(build, "sounds_at_hand", lambda: None)  # synthetic ones: the recordings may be there next time
    look()
    look()
    assert len(looked) == 6


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
