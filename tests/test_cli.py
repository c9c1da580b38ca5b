"""The command line: help that teaches, exit codes that scripts can trust, JSON where it is wanted."""

import json
import subprocess
import sys

import pytest

from atri_lib.__main__ import EXAMPLES, _config, main, parser
from atri_lib.training import TrainConfig, fit


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and f"atri_lib {command}" in text and "Example:" in text


def test_options_become_a_typed_config():
    line = "train --scheme m_of_k --m 3 --epochs 2 --learning-rate 0.1 --learn-temperature"
    line += " --scenes 9 8 7 --unfreeze audio=2 text=all"
    config = _config(parser().parse_args(line.split()))
    assert config == TrainConfig(
        scheme="m_of_k", m=3, epochs=2, learning_rate=0.1, learn_temperature=True, scenes=(9, 8, 7),
        unfreeze={"audio": 2, "text": "all"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "line, code, message",
    [
        ("train --scheme magic", 1, "scheme='magic'"),
        ("train --batch-size 1", 1, "at least 2 clips"),
        ("train --epochs many", 2, "invalid int value"),
        ("evaluate nowhere", 1, "not a complete run"),
        ("train --resume nowhere", 1, "config.json"),
        ("search --run nowhere", 1, "either a text or --audio"),
        ("search x --run nowhere --language xx", 2, "invalid choice"),
        ("translate nowhere.txt --out x.csv", 1, "nowhere.txt"),
        ("fly", 2, "invalid choice"),
        ("features --profile paper", 1, "frozen encoders"),
        ("train --unfreeze audio", 1, "--unfreeze audio="),
        ("train --unfreeze text=some", 1, "number of blocks or all"),
        ("train --preset large", 1, "preset='large': use one of mini, paper"),
        ("train --text-encoder bert", 1, "unknown encoder 'bert': use one of use, e5, sonar"),
        ("train --data nowhere.jsonl", 1, "nowhere.jsonl: "),
        ("search rain --run nowhere --captions c.txt", 1, "give --audio FILE instead"),
        ("search rain --run nowhere -k 0", 1, "at least 1 result"),
        ("scenes --out x --train 0", 2, "'0' is not a positive number"),
        ("translate nowhere.txt --to eng --out x.csv", 2, "invalid choice"),
    ],
)
def test_what_cannot_be_done_ends_with_a_message_and_a_code(line, code, message, capsys):
    try:
        found = main(line.split())
    except SystemExit as stop:
        found = stop.code
    assert found == code and message in capsys.readouterr().err


def test_evaluate_prints_a_run_as_json(toy, tmp_path, capsys):
    run = fit(TrainConfig(epochs=1, batch_size=20, width=8, hidden=8), toy(), folder=tmp_path)
    assert main(["evaluate", str(run.path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test"]["mrv"] == run.metrics["test"]["mrv"] and "jpn" in result["languages"]


def test_captions_that_are_not_text_are_named(tmp_path, capsys):
    (tmp_path / "latin1.txt").write_bytes("Küche".encode("latin-1"))
    (tmp_path / "empty.txt").write_text("\n")
    for name, message in (("latin1.txt", "latin1.txt: not UTF-8"), ("empty.txt", "no captions")):
        assert main(["translate", str(tmp_path / name), "--out", str(tmp_path / "x.csv")]) == 1
        assert message in capsys.readouterr().err


def test_of_several_processes_one_speaks(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert main(["doctor", "--json"]) == 0
    assert capsys.readouterr().out == ""


def test_doctor_says_what_is_missing_and_how_to_mend_it(capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert any(entry["what"] == "torch" and entry["ok"] for entry in findings)
    assert all(entry["ok"] or entry["fix"] for entry in findings)


def test_doctor_runs_where_packages_are_missing():
    hide = "import sys; sys.modules['torch'] = sys.modules['accelerate'] = None; "
    call = "from atri_lib.__main__ import main; sys.exit(main(sys.argv[1:]))"
    for command, code in (("doctor", 0), ("train", 1)):
        done = subprocess.run([sys.executable, "-c", hide + call, command], capture_output=True, text=True)
        assert done.returncode == code and "Traceback" not in done.stderr
    assert "atri_lib doctor" in done.stderr


def test_doctor_names_the_models_that_are_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--mispeech--ced-base").mkdir()
    main(["doctor", "--json"])
    (hub,) = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["what"].startswith("models")]
    assert not hub["ok"] and "SONAR" in hub["fix"] and "ced-base" not in hub["fix"]
