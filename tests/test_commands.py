"""The commands as people type them: pytest --nbval, papermill from anywhere, and those of the
pages.
"""

import csv
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
from markdown_it import MarkdownIt
from nbformat import v4, write
from small_chapters import COMMITTED, ROOT

from atri_lib.__main__ import COMMANDS, main, parser
from atri_lib.data import banks
from atri_lib.data.manifest import load_manifest
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.encoders import presets
from atri_lib.languages import CODES

ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("ATRI_", "OMP_", "PYTEST_"))
}
ENVIRONMENT |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def run(folder, *command):
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--nbval", "--nbval-lax"])
def test_pytest_nbval_without_a_path_collects_every_chapter_and_nothing_else(option):
    """The next two see it in a small project."""
    found = run(ROOT, "pytest", option, "--collect-only")
    files = re.findall(r"(?m)^(\S+?)::", found.stdout)
    assert set(files) == {f"notebooks/{path.name}" for path in COMMITTED}, (
        found.stdout + found.stderr
    )


@pytest.mark.parametrize("option", ["nbval", "nbval_lax"])
@pytest.mark.parametrize("path", [None, "notebooks/a.ipynb"])
@pytest.mark.parametrize("given", [None, 2])
@pytest.mark.parametrize("worker", [False, True])
def test_what_the_options_mean_is_settled_before_a_process_starts(
    option, path, given, worker, request, monkeypatch
):
    """Every combination, in this process; the next test types one of them, others are slow."""
    found = types.SimpleNamespace(
        nbval=False,
        nbval_lax=False,
        nbval_kernel_name=None,
        nbval_kernel_startup_timeout=60,
        collectonly=False,
        usepdb=False,
        numprocesses=given,
        dist="no",
    )
    setattr(found, option, True)
    source = pytest.Config.ArgsSource.ARGS if path else pytest.Config.ArgsSource.TESTPATHS
    config = types.SimpleNamespace(
        option=found, stash=pytest.Stash(), args_source=source, args=[path or "tests"]
    )
    if worker:
        config.workerinput = {}
    monkeypatch.setattr(os, "environ", dict(ENVIRONMENT))
    request.config.pluginmanager.get_plugin(str(ROOT / "conftest.py")).pytest_cmdline_main(config)
    assert config.args == [path or str(ROOT / "notebooks")]
    assert found.numprocesses == (given if path or worker else 2)
    assert found.dist == ("loadfile" if found.numprocesses else "no")
    assert found.nbval_current_env and found.nbval_kernel_startup_timeout == 120
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


PRINTED = ("OMP_WAIT_POLICY", "ATRI_PROGRESS", "ATRI_PLAYERS")  # what the build gives kernels
MARK = "import os, pathlib; pathlib.Path('at-' + os.environ['PYTEST_XDIST_WORKER']).touch()"


@pytest.mark.parametrize(
    ("command", "counted", "workers"),
    [
        ("--nbval", "1 failed, 4 passed", {"at-gw0", "at-gw1"}),
        pytest.param("--nbval-lax", "5 passed", {"at-gw0", "at-gw1"}, marks=pytest.mark.slow),
        pytest.param(
            "-n 2 --nbval notebooks/b.ipynb",
            "1 failed, 2 passed",
            {"at-gw0"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "-n 2 --nbval-lax notebooks/b.ipynb", "3 passed", {"at-gw0"}, marks=pytest.mark.slow
        ),
    ],
)
def test_chapters_go_to_two_workers_whole_which_start_none_and_kernels_get_what_builds_give(
    tmp_path, command, counted, workers
):
    for name in ("conftest.py", "pyproject.toml", "tests/margins.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "tasks.py").write_text("import sys; print('prepared', *sys.argv[1:])\n")
    (tmp_path / "tests" / "test_other.py").write_text("def test_not_collected(): pass\n")
    (tmp_path / "notebooks").mkdir()
    printed = v4.new_output("stream", text="PASSIVE 0 0\n")
    wrong = v4.new_output("stream", text="3\n")
    source = f"print(*(os.environ[name] for name in {PRINTED}))"
    kernel = {"name": "absent", "display_name": "Absent"}  # this Python is taken
    for name in "ab":
        cells = [v4.new_code_cell(MARK, execution_count=1)]
        # os is not defined if another worker ran the first cell.
        cells.append(v4.new_code_cell(source, execution_count=2, outputs=[printed]))
        if name == "b":
            cells.append(v4.new_code_cell("print(2)", execution_count=3, outputs=[wrong]))
        notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
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
    assert counted in said and ("Cell 2:" in said) == ("failed" in counted), said
    assert ("prepared prepare" in said) == (len(workers) == 2), said
    marks = {path.name for path in (tmp_path / "notebooks").glob("at-*")}
    assert marks == workers or (len(marks) == len(workers) == 1), marks
    assert not (tmp_path / "_build" / "skipped.txt").exists()  # only `make test` asks for it


@pytest.mark.parametrize(
    ("parameter", "answer"),
    [
        pytest.param("profile smoke", None, marks=pytest.mark.slow),  # nbval runs it too, as book
        pytest.param(
            "profile nonsense",
            "profile='nonsense': use one of book, smoke, paper",
            marks=pytest.mark.slow,  # in tests/book without papermill
        ),
        (
            "profil smoke",
            "profil: not a parameter of this chapter: use profile, seed, preset, data",
        ),
    ],
)
def test_papermill_runs_a_chapter_from_another_folder_and_a_wrong_parameter_is_answered(
    tmp_path, parameter, answer
):
    chapter = next(path for path in COMMITTED if path.stem.startswith("07"))
    done = run(
        tmp_path, "papermill", chapter, "out.ipynb", "-p", *parameter.split(), "--no-progress-bar"
    )
    if answer is None:
        assert done.returncode == 0, done.stderr[-2000:]
    else:
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1] == f"ValueError: {answer}"
    assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"]


def blocks(page):
    """The code on a page in its order: (language, text)."""
    tokens = MarkdownIt().parse((ROOT / "book" / f"{page}.md").read_text(encoding="utf-8"))
    return [(token.info, token.content) for token in tokens if token.type == "fence"]


def type_in(line):
    """Run a line of a shell, the library's own commands in this process; returns the exit code."""
    if not line.startswith("python -m atri_lib "):
        return subprocess.run(["bash", "-c", line]).returncode
    words = shlex.split(line)[3:]
    return main([path for word in words for path in sorted(glob.glob(word)) or [word]])


def write_recordings(columns):
    """Three sounds in the current folder and captions.csv with the columns given."""
    with open("captions.csv", "w", encoding="utf-8", newline="") as table:
        rows = csv.DictWriter(table, columns)
        rows.writeheader()
        for number, split in enumerate(("train", "val", "test")):
            noise = np.random.default_rng(number).normal(size=4000) / 10
            soundfile.write(f"{split}.wav", noise, 16_000)
            row = {"audio": f"{split}.wav", "split": split, "sentence": f"A {split} sound."}
            rows.writerow({column: row.get(column, f"{column} {split}") for column in columns})


@pytest.fixture
def newcomer(tmp_path, monkeypatch):
    """A folder to type in, the encoders of the page on own ones in place of the pretrained ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(banks, "default_bank", synthetic_sounds)
    for _, source in blocks("own"):
        if saved := re.match(r"# (\w+\.py)\n", source):
            (tmp_path / saved[1]).write_text(source, encoding="utf-8")
    import my_encoders

    monkeypatch.setitem(presets.CLIP_ENCODERS, "yamnet", my_encoders.Loudness)
    monkeypatch.setitem(presets.TEXT_ENCODERS, "use", my_encoders.Letters)
    for name, columns in {
        "recordings": ["audio", "split", *CODES],
        "english": ["sentence", "fra", "deu"],
    }.items():
        (tmp_path / name).mkdir()
        with monkeypatch.context() as there:
            there.chdir(tmp_path / name)
            write_recordings(columns)
    clips = [
        {"audio": f"{split}.wav", "split": split, "captions": {"eng": f"A {split} sound."}}
        for split in ("train", "val", "test")
    ]
    (tmp_path / "english" / "manifest.jsonl").write_text("\n".join(map(json.dumps, clips)))
    yield tmp_path
    for name in ("my_encoders", "my_schemes"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("page", ["use", "own"])
def test_everything_on_the_pages_for_own_data_works_in_the_order_of_the_page(
    page, newcomer, capsys
):
    names = {}
    for kind, text in blocks(page):
        if kind == "python":
            exec(text, names)
        for line in text.replace("\\\n", " ").splitlines() if kind == "bash" else []:
            assert not type_in(line), line + capsys.readouterr().err
    if page == "use":
        splits = load_manifest("recordings")
        assert {split: len(data) for split, data in splits.items()} == {
            "train": 1,
            "val": 1,
            "test": 1,
        }
        assert splits["val"].captions[0]["jpn"] == ("jpn val",)
        first, *_ = (newcomer / "english" / "manifest.jsonl").read_text().split("\n")
        assert json.loads(first)["captions"] == {
            "eng": "A train sound.",
            "fra": "fra train",
            "deu": "deu train",
        }
        assert -1 <= names["sound"] @ names["query"] <= 1


@pytest.mark.parametrize("page", ["use", "own"])
def test_every_option_on_the_pages_for_own_data_exists(page):
    text = (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")
    for command in re.findall(r"`python -m atri_lib ([^`]+)`", text):
        words = shlex.split(command)
        assert parser(words[0]).parse_args(words[1:])
    known = {option for name in COMMANDS for option in options_of(name)}
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= known


def options_of(name):
    """All options that a command takes."""
    return parser(name)._option_string_actions


def test_papermill_says_what_a_chapter_takes():
    chapter = next(path for path in COMMITTED if path.stem.startswith("05"))
    said = run(ROOT, "papermill", "--help-notebook", chapter).stdout
    assert re.search(r'profile: str \(default "book"\)\s+book, smoke or paper', said), said
    assert "Unknown type" not in said
