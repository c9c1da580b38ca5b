"""The environment: exact pins, set up once, never half."""

import re
import subprocess

import install
import pytest
import yaml
from small_chapters import ROOT


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
