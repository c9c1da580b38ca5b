"""The environment: exact pins with hashes, set up once by the Makefile, never half."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from small_chapters import ROOT

FAKE_PYTHON = """#!/bin/bash
echo "$@" >> log
if [[ "$*" == *version_info* ]]; then [[ "$*" == *format* ]] && echo {version}; exit 0; fi
if [[ "$1 $2" == "-m venv" ]]; then
    venv="${{@: -1}}"; [[ "$3" == --clear ]] && rm -rf "$venv"/*
    mkdir -p "$venv/bin"; touch "$venv/pyvenv.cfg"; cp "$0" "$venv/bin/python"; cp "$0" "$venv/bin/uv"; exit 0
fi
[[ "$*" == *requirements.txt* && -e offline ]] && exit 1
[[ "$*" == *requirements.txt* && -e killed ]] && kill -9 $PPID
exit 0
"""


def requirements():
    text = (ROOT / "requirements.txt").read_text()
    return re.sub(r"\\\n\s+", "", text).splitlines()


def test_every_package_is_pinned_exactly_with_hashes_and_linux_only_ones_are_marked():
    lines = [line for line in requirements() if line and not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.+!]+(; [^;]+?)? *(--hash=sha256:[0-9a-f]{64} *)+", line), line[:200]
        name = line.split("==")[0]
        assert not re.match(r"nvidia-|cuda-|triton$", name) or '; sys_platform == "linux"' in line, line[:200]
    names = [re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines]
    assert len(set(names)) == len(names) and {"doit", "filelock", "papermill"} <= set(names)
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["-r requirements.txt"]}]


@pytest.fixture
def checkout(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\n")
    fake(tmp_path)
    return tmp_path


def fake(folder, version="3.11"):
    (folder / "python").write_text(FAKE_PYTHON.format(version=version))
    (folder / "python").chmod(0o755)


def make(folder, *arguments):
    """Exit code, what was said, and what the fake Python was called with since the last time."""
    (folder / "log").unlink(missing_ok=True)
    command = ["make", "--no-print-directory", "env", f"PYTHON={folder}/python", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    calls = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return run.returncode, run.stdout + run.stderr, [call for call in calls if "version_info" not in call]


def test_an_environment_is_made_once_and_again_for_other_pins(checkout):
    code, said, calls = make(checkout)
    assert code == 0, said
    assert calls[0] == "-m venv .venv" and any("--require-hashes" in call for call in calls)
    assert make(checkout)[2] == []
    (checkout / "requirements.txt").touch()
    assert make(checkout)[2] == []  # the content counts, not the time
    (checkout / "requirements.txt").write_text("numpy==2.4.7\n")
    assert any("requirements.txt" in call for call in make(checkout)[2])
    assert len(list((checkout / ".venv").glob(".ready-*"))) == 1


def test_an_installation_that_was_killed_starts_from_nothing(checkout):
    (checkout / "killed").touch()
    assert make(checkout)[0] != 0
    (checkout / ".venv" / "half-written").touch()
    (checkout / ".venv" / "pyvenv.cfg").unlink()  # as an interrupted removal leaves it
    (checkout / "killed").unlink()
    code, said, calls = make(checkout)
    assert code == 0 and "interrupted: starting it again" in said and calls[0] == "-m venv --clear .venv"
    assert not (checkout / ".venv" / "half-written").exists()


def test_a_download_that_fails_leaves_the_environment_as_it_was(checkout):
    make(checkout)
    (checkout / ".venv" / "kept").touch()
    (checkout / "requirements.txt").write_text("numpy==2.4.7\n")
    (checkout / "offline").touch()
    code, said, _ = make(checkout)
    assert code != 0 and "run make again once this is solved" in said
    (checkout / "offline").unlink()
    code, said, calls = make(checkout)
    assert code == 0 and "interrupted" not in said and calls[0] == "-m venv .venv"
    assert (checkout / ".venv" / "kept").exists()


def test_where_uv_does_not_find_the_packages_pip_installs_them(checkout):
    script = (checkout / "python").read_text()
    script = script.replace("[[ \"$*\" == *requirements.txt* && -e offline ]]", "[[ \"$*\" == \"pip install\"* ]]")
    (checkout / "python").write_text(script)
    code, said, calls = make(checkout)
    assert code == 0, said
    with_pins = [call for call in calls if "requirements.txt" in call]
    assert with_pins[0].startswith("pip install") and with_pins[1].startswith("-m pip")


def test_a_folder_that_is_no_environment_is_left_alone(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.txt").touch()
    code, said, calls = make(checkout)
    assert code != 0 and "move it away, then run make again" in said and calls == []
    assert [path.name for path in (checkout / ".venv").iterdir()] == ["thesis.txt"]


def test_another_python_is_refused_and_a_missing_one_is_asked_for(checkout):
    fake(checkout, "3.13")
    code, said, _ = make(checkout)
    assert code != 0 and "is Python 3.13, the pins are for 3.11" in said
    code, said, _ = make(checkout, "PYTHON=")
    assert code != 0 and "Python 3.11 was not found" in said and "apt-get install python3.11" in said
    assert not (checkout / ".venv").exists()


def test_an_environment_of_ones_own_is_used_as_it_is(checkout):
    assert make(checkout, "PY=python")[2] == []
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("given, expected", [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(given, expected):
    code = "import atri_lib, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | given
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert run.stdout.strip() == f"{expected} False"  # set while torch is still to be loaded
