"""The command line: help that teaches, exit codes that scripts can trust, JSON where it is wanted."""

import json

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


def test_doctor_says_what_is_missing_and_how_to_mend_it(capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert any(entry["what"] == "torch" and entry["ok"] for entry in findings)
    assert all(entry["ok"] or entry["fix"] for entry in findings)
