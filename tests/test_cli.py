"""The command line: help that teaches, exit codes that scripts can trust, JSON where it is
wanted.
"""

import json
import re
import subprocess
import sys
import time

import pytest

from atri_lib.__main__ import COMMANDS, explained, main, parser
from atri_lib.commands.base import OPTIONS
from atri_lib.commands.settings import NOTES, config_of
from atri_lib.languages import CODES
from atri_lib.schemes import SCHEMES
from atri_lib.training import PROFILES, TrainConfig, load_or_train
from atri_lib.training.config import settings


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and f"atri_lib {command}" in text and "Example:" in text


def test_options_become_a_typed_config():
    line = "--scheme m_of_k --m 2 --epochs 2 --learning-rate 0.1 --learn-temperature"
    line += " --scenes 9 8 7 --unfreeze clips=2 text=all"
    line += " --languages eng fra --no-learn-temperature --learn-temperature --temperature 1"
    config = config_of(parser("train").parse_args(line.split()))
    assert config == TrainConfig(
        scheme="m_of_k", m=2, epochs=2, learning_rate=0.1, learn_temperature=True, scenes=(9, 8, 7),
        languages=("eng", "fra"), temperature=1.0, unfreeze={"clips": 2, "text": "all"},
    )  # fmt: skip


def test_the_help_of_train_teaches_every_setting_in_a_line(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    lines = capsys.readouterr().out.partition("profile book's")[2].splitlines()
    for name, about in settings().items():
        flag = "--" + name.replace("_", "-")
        at = next(i for i, line in enumerate(lines) if line.startswith(f"  {flag}"))
        told = " ".join(" ".join(lines[at : at + 2]).split())  # a long flag stands alone
        assert about["description"] in told
        assert " | ".join(about.get("enum", ())) in told
        for key, word in NOTES.items():
            assert key not in about or f"{word} {about[key]}" in told


def test_the_help_of_train_says_what_each_scheme_is_in_a_line(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = capsys.readouterr().out.partition("schemes:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in told] == list(SCHEMES)
    assert "All languages in every epoch, in their order: the ideal distribution." in told[8]
    assert all(line.endswith(".") and len(line) <= 150 for line in told)


def test_the_table_of_options_names_the_languages_and_profiles_that_there_are():
    assert OPTIONS["search"]["--language CODE"]["choices"] == list(CODES)
    assert OPTIONS["translate"]["--to CODE"]["choices"] == list(CODES[1:])
    profiles = OPTIONS["train"]["--profile"]
    assert profiles["choices"] == list(PROFILES)
    for changes in PROFILES.values():
        assert all(f"{name}={value}" in profiles["help"] for name, value in changes.items())


def test_features_have_the_options_that_data_depend_on_and_no_others(capsys):
    with pytest.raises(SystemExit):
        main(["features", "--help"])
    told = capsys.readouterr().out
    assert all(
        flag in told for flag in ("--data ", "--clip-encoder", "--scenes", "--parts", "--languages")
    )
    for flag in (
        "--epochs",
        "--scheme",
        "--temperature",
        "--seed",
        "--unfreeze",
        "--batch-size",
        "--init",
    ):
        assert f"{flag} " not in told


def test_the_list_of_commands_comes_within_a_second():
    def seconds(*arguments):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started

    for arguments in (["--help"], ["search", "--help"], ["compare", "--help"]):
        took = min(seconds("-m", "atri_lib", *arguments) for _ in range(3))
        assert took < 1 or took < 5 * seconds(
            "-c", "import json, argparse, pathlib"
        )  # a busy machine


def test_evaluate_prints_a_table_for_people(toy, tmp_path, capsys):
    config = TrainConfig(epochs=1, batch_size=20, width=8, hidden=8)
    run = load_or_train(config, toy(), folder=tmp_path)
    assert main(["evaluate", str(run.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "languages:"
    assert lines[1].split()[0] == "language"
    assert lines[2].split()[:2] == ["eng", f"{run.scores.table.iloc[0, 0]:.4g}"]
    assert f"  mrv: {run.metrics['test']['mrv']:.4g}" in lines


CLOSED = {
    "stdout": (">&-", 0, ""),
    "stderr": ("2>&-", 0, ""),
    "both": (">&- 2>&-", 0, ""),
    "all three": ("<&- >&- 2>&-", 0, ""),
    "a full disk": (">/dev/full", 1, "No space left on device"),
    "a stream to read from": ("1</dev/null", 1, "Bad file descriptor|not writable"),
}


@pytest.mark.parametrize(
    "name",
    [
        # One real process here and others in test_hostile.py, which closes each in a child too.
        pytest.param(name, marks=pytest.mark.slow if name in ("stdout", "stderr", "both") else ())
        for name in CLOSED
    ],
)
def test_streams_that_are_closed_or_full_cost_no_traceback(name):
    redirected, code, message = CLOSED[name]
    command = f"{sys.executable} -m atri_lib doctor {redirected}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == code
    assert (
        re.search(message, done.stderr)
        and "Traceback" not in done.stderr
        and "Exception" not in done.stderr
    )
    assert message or not done.stderr


def test_help_and_doctor_start_without_the_packages_that_training_needs():
    script = """
import sys
from atri_lib.__main__ import main
main(["doctor", "--json"])
heavy = ("pandas", "scipy", "transformers", "pydantic")
sys.exit(any(name in sys.modules for name in heavy))
"""
    subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=True)


FULL = "not enough memory; give smaller audio or captions, a smaller --batch-size, or --text-chunk"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), " (MemoryError)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), " (DefaultCPUAllocator: "),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB."), " (CUDA out of memory."),
        (RuntimeError("CUDA error: out of memory"), " (CUDA error: out of memory)"),
    ],
)
def test_memory_that_is_full_is_explained(error, reason):
    assert explained(error).startswith(FULL + reason)


def test_evaluate_prints_a_run_as_json(toy, tmp_path, capsys):
    config = TrainConfig(epochs=1, batch_size=20, width=8, hidden=8)
    run = load_or_train(config, toy(), folder=tmp_path)
    assert main(["evaluate", str(run.path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test"]["mrv"] == run.metrics["test"]["mrv"] and "jpn" in result["languages"]


def test_of_several_processes_one_speaks(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert main(["doctor", "--json"]) == 0
    assert capsys.readouterr().out == ""


def test_doctor_says_what_is_missing_and_how_to_mend_it(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]["torch (needed)"]
    assert all(entry["why"] and entry["fix"] for entry in found["missing"].values())


def test_doctor_runs_where_packages_are_missing():
    hide = "import sys; sys.modules['torch'] = sys.modules['accelerate'] = None; "
    call = "from atri_lib.__main__ import main; sys.exit(main(sys.argv[1:]))"
    for command, code in (("doctor", 0), ("train", 1)):
        done = subprocess.run(
            [sys.executable, "-c", hide + call, command], capture_output=True, text=True
        )
        assert done.returncode == code and "Traceback" not in done.stderr
    assert "atri_lib doctor" in done.stderr


def test_doctor_names_the_models_that_are_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--mispeech--ced-base").mkdir()
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert "mispeech/ced-base" in found["ok"]
    sonar = found["missing"]["cointegrated/SONAR_200_text_encoder"]
    assert "hf download cointegrated/SONAR_200_text_encoder" in sonar["fix"]
