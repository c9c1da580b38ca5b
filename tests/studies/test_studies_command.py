"""`python -m studies`: what it computes, and how it answers."""

import sys

import pytest

from studies import __main__ as command
from studies import weights_to_ranks
from studies.registry import STUDIES


@pytest.fixture
def typed(monkeypatch):
    """A function that types a command and returns the studies that it computes."""
    computed = []
    monkeypatch.setenv("ATRI_PROGRESS", "0")
    monkeypatch.setattr(command, "compute", computed.append)
    monkeypatch.setattr(weights_to_ranks, "compute", lambda name: computed.append(f"file {name}"))
    monkeypatch.setattr(weights_to_ranks, "stale", lambda: ["long"])

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["studies", *words])
        command.main()
        return computed

    return run


def test_without_a_name_all_studies_are_looked_at_and_stale_files_are_made(typed):
    assert typed() == [*STUDIES, "file long"]


def test_what_is_named_is_computed_whether_stale_or_not(typed):
    names = ["anchors", "weights_to_ranks/descent", "descent"]
    assert typed(*names) == ["anchors", "file descent", "descent"]


def test_a_wrong_name_is_answered_with_the_choices(typed, capsys):
    with pytest.raises(SystemExit) as stopped:
        typed("anchor")
    assert stopped.value.code == 2
    assert "no study is called 'anchor': use some of dose_16, " in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [[], ["anchors, jpn, seed 0: mrv"]])
def test_runs_that_are_not_what_is_stored_end_it_with_a_code(typed, monkeypatch, wrong):
    asked = []
    monkeypatch.setattr(command, "verify", lambda count: asked.append(count) or wrong)
    if wrong:
        with pytest.raises(SystemExit, match="Not what is stored: anchors, jpn, seed 0: mrv"):
            typed("--verify", "3")
    else:
        assert typed("--verify", "3") == []
    assert asked == [3]
