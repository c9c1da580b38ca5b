"""The commands as people type them: pytest --nbval, papermill from anywhere, what a kernel is given."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
from nbformat import v4, write
from small_chapters import COMMITTED, ROOT

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("ATRI_", "OMP_", "PYTEST_"))}
ENVIRONMENT |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def run(folder, *command):
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )


@pytest.mark.parametrize("option", ["--nbval", "--nbval-lax"])
def test_pytest_nbval_without_a_path_collects_every_chapter_and_nothing_else(option):
    found = run(ROOT, "pytest", option, "--collect-only")
    files = re.findall(r"(?m)^(\S+?)::", found.stdout)
    assert set(files) == {f"notebooks/{path.name}" for path in COMMITTED}, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("command", "passed", "workers"),
    [
        ("--nbval", 6, {"at-gw0", "at-gw1"}),
        ("--nbval-lax", 6, {"at-gw0", "at-gw1"}),
        ("-n 2 --nbval notebooks/a.ipynb", 2, {"at-gw0"}),
        ("-n 2 --nbval-lax notebooks/a.ipynb", 2, {"at-gw0"}),
    ],
)
def test_chapters_go_to_two_workers_whole_and_these_start_none_of_their_own(tmp_path, command, passed, workers):
    for name in ("conftest.py", "pyproject.toml", "tests/margins.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "tasks.py").write_text("import sys; print('prepared', *sys.argv[1:])\n")
    (tmp_path / "notebooks").mkdir()
    mark = "import os, pathlib; pathlib.Path('at-' + os.environ['PYTEST_XDIST_WORKER']).touch()"
    printed = v4.new_output("stream", text="2\n")
    for name in "abc":
        cells = [v4.new_code_cell(mark, execution_count=1)]
        # Not defined if another worker ran the first cell.
        cells.append(v4.new_code_cell("assert os\nprint(2)", execution_count=2, outputs=[printed]))
        write(v4.new_notebook(cells=cells), tmp_path / "notebooks" / f"{name}.ipynb")
    given = ENVIRONMENT | {"PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *command.split()],
        cwd=tmp_path,
        env=given,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=120)  # workers that start workers never end
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert f"{passed} passed" in said, said
    assert ("prepared prepare" in said) == (passed == 6), said
    marks = {path.name for path in (tmp_path / "notebooks").glob("at-*")}
    assert marks == workers or (len(marks) == len(workers) == 1), marks


def test_nbval_gives_kernels_what_the_build_gives_them():
    source = "import os; print(*(os.environ[n] for n in ('OMP_WAIT_POLICY', 'ATRI_PROGRESS', 'ATRI_PLAYERS')))"
    printed, wrong = v4.new_output("stream", text="PASSIVE 0 0\n"), v4.new_output("stream", text="3\n")
    cells = [v4.new_code_cell(source, execution_count=1, outputs=[printed])]
    cells.append(v4.new_code_cell("print(2)", execution_count=2, outputs=[wrong]))
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "absent", "display_name": "Absent"}})
    (ROOT / "_build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "_build") as folder:
        write(notebook, f"{folder}/a.ipynb")
        found = run(ROOT, "pytest", "--nbval", f"{folder}/a.ipynb", "-p", "no:cacheprovider")
    assert "1 failed, 1 passed" in found.stdout and "Cell 1" in found.stdout, found.stdout


@pytest.mark.parametrize(
    ("parameter", "answer"),
    [
        ("profile smoke", None),
        ("profile nonsense", "profile='nonsense': use one of book, smoke, paper"),
        (
            "profil smoke",
            "profil='smoke': not a parameter of this chapter (did you mean profile?): use profile, seed, preset, data",
        ),
    ],
)
def test_papermill_runs_a_chapter_from_another_folder_and_a_wrong_parameter_is_answered(tmp_path, parameter, answer):
    chapter = next(path for path in COMMITTED if path.stem.startswith("07"))
    done = run(tmp_path, "papermill", chapter, "out.ipynb", "-p", *parameter.split(), "--no-progress-bar")
    if answer is None:
        assert done.returncode == 0, done.stderr[-2000:]
    else:
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1] == f"ValueError: {answer}"
    assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"]


def test_papermill_says_what_a_chapter_takes():
    chapter = next(path for path in COMMITTED if path.stem.startswith("05"))
    said = run(ROOT, "papermill", "--help-notebook", chapter).stdout
    assert re.search(r'profile: str \(default "book"\)\s+book, smoke or paper', said), said
    assert "Unknown type" not in said
