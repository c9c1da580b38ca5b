"""The benchmark tells a busy machine: figures of one are refused, or marked as provisional."""

import json
import os
import sys

import psutil
import pytest
import torch


@pytest.fixture
def seconds(monkeypatch):
    """The benchmark, which measures nothing here and leaves the settings of this process alone."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    import seconds

    for name in ("scene", "training", "steps"):
        monkeypatch.setattr(seconds, name, lambda: None)
    return seconds


def run(seconds, monkeypatch, output, loads, *options):
    """What is measured while other programs use so many percent, before it and after it."""
    left = iter(loads)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: next(left))
    monkeypatch.setattr(sys, "argv", ["seconds.py", "--output", str(output), *options])
    seconds.main()
    return json.loads(output.read_text())


def test_a_busy_machine_is_refused(seconds, monkeypatch, tmp_path, capsys):
    output = tmp_path / "seconds.json"
    with pytest.raises(SystemExit) as stop:
        run(seconds, monkeypatch, output, [50.0])
    assert stop.value.code == 1 and not output.exists()
    assert "Other programs use 50 % of the cores: wait for them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("loads", "options", "busy"),
    [((1, 1), (), False), ((1, 50), (), True), ((50, 1), ("--busy",), True)],
)
def test_figures_of_a_busy_machine_are_marked(seconds, monkeypatch, tmp_path, loads, options, busy):
    found = run(seconds, monkeypatch, tmp_path / "seconds.json", loads, *options)
    assert found["busy"] is busy
