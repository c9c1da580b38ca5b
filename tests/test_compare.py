"""Comparing runs: the book's paired interval, over the clips and seeds that both sides share."""

import dataclasses
import json
import re

import numpy as np
import pytest

from atri_lib import compare, evaluation
from atri_lib.__main__ import main
from atri_lib.compare import CompareError, compare_runs
from atri_lib.training import TrainConfig, load_or_train
from conftest import toy_data

SMALL = TrainConfig(epochs=1, batch_size=20, width=8, hidden=8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of two schemes with two seeds each, on the same data."""
    folder, data = tmp_path_factory.mktemp("runs"), toy_data()
    return {
        (scheme, seed): load_or_train(SMALL.replace(scheme=scheme, seed=seed), data, folder=folder)
        for scheme in ("kcl", "english")
        for seed in (0, 1)
    }


def test_the_interval_is_the_two_way_one(runs):
    kcl, english = ([runs[scheme, seed] for seed in (0, 1)] for scheme in ("kcl", "english"))
    found = compare_runs(kcl[::-1], english)
    assert list(found.index) == ["T2A R@1", "A2T R@1", "mrv", "rank_std"]
    measures = {
        "T2A R@1": lambda run: 100 * (run.scores.t2a == 1).mean(axis=1),
        "A2T R@1": lambda run: 100 * (run.scores.a2t == 1).mean(axis=1),
        "mrv": lambda run: run.scores.t2a.var(axis=1),
        "rank_std": lambda run: run.scores.t2a.std(axis=1),
    }
    for name, value in measures.items():
        sides = [np.stack([value(run) for run in side]) for side in (kcl, english)]
        expected = evaluation.two_way_interval(*sides)
        one = found.loc[name]
        assert (one.difference, one.low, one.high, one.p_value) == dataclasses.astuple(expected)
        assert one.first == pytest.approx(np.mean([run.metrics["test"][name] for run in kcl]))


def test_lower_variance_is_better_and_an_interval_with_zero_decides_nothing(runs, monkeypatch):
    pair = [runs["kcl", 0]], [runs["english", 0]]
    for low, high, better in (
        (1, 3, ("first", "second")),
        (-3, -1, ("second", "first")),
        (-1, 1, ("cannot tell", "cannot tell")),
    ):
        found = evaluation.Difference((low + high) / 2, low, high, 0.01)
        monkeypatch.setattr(compare, "paired_bootstrap", lambda *_, found=found, **__: found)
        verdicts = compare_runs(*pair).better
        assert (verdicts["T2A R@1"], verdicts["mrv"]) == better


def test_runs_that_do_not_pair_up_are_refused(runs, tmp_path):
    kcl, english = runs["kcl", 0], runs["english", 0]
    assert len(compare_runs([kcl], [runs["english", 1]])) == 4  # one on each side: any seeds
    with pytest.raises(
        CompareError, match=r"seeds \[0, 1\] and \[0\] do not pair up: give two runs"
    ):
        compare_runs([kcl, runs["kcl", 1]], [english])
    with pytest.raises(CompareError, match=r"seeds \[0, 0\] and \[0, 0\] do not pair up"):
        compare_runs([kcl, kcl], [english, english])
    with pytest.raises(CompareError, match="is on both sides: name different runs"):
        compare_runs([kcl], [kcl])
    other = load_or_train(SMALL, toy_data(clips=80), folder=tmp_path)
    with pytest.raises(
        CompareError, match="its data have changed|its test clips cannot be looked at"
    ):
        compare_runs([kcl], [other])


def test_small_probabilities_are_not_printed_as_zero(runs, monkeypatch, capsys):
    found = evaluation.Difference(2.0, 1.0, 3.0, 0.0004)
    monkeypatch.setattr(compare, "paired_bootstrap", lambda *_, **__: found)
    assert main(["compare", *(str(runs[scheme, 0].path) for scheme in ("kcl", "english"))]) == 0
    assert re.search(" 3 +0.0004 +second\n", capsys.readouterr().out)


def test_clips_with_several_captions_count_once(tmp_path, monkeypatch):
    data = toy_data(captions_per_clip=3)
    pair = [load_or_train(SMALL.replace(seed=seed), data, folder=tmp_path) for seed in (0, 1)]
    owner = data.splits["test"].owner.numpy()
    monkeypatch.setattr(compare, "_test_split", lambda *_: data.splits["test"].dataset)
    monkeypatch.setattr(type(data.splits["test"].dataset), "owner", owner, raising=False)
    monkeypatch.setattr(type(data.splits["test"].dataset), "checksum", "same", raising=False)
    found = compare_runs(pair[:1], pair[1:]).loc["T2A R@1"]
    hits = [evaluation.clip_means(100 * (run.scores.t2a == 1).mean(axis=1), owner) for run in pair]
    expected = evaluation.paired_bootstrap(*hits, repeats=4000)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_the_command_prints_a_table_or_json(runs, capsys):
    kcl = [str(runs["kcl", seed].path) for seed in (0, 1)]
    english = [str(runs["english", seed].path) for seed in (0, 1)]
    assert main(["compare", kcl[0], english[0]]) == 0
    sides, table = capsys.readouterr().out.split("\nmeasures:\n")
    assert sides == f"first: {kcl[0]}\nsecond: {english[0]}"
    lines = table.splitlines()
    assert lines[0].split()[:4] == ["measure", "first", "second", "difference"]
    assert [line.split("  ")[0] for line in lines[1:]] == ["T2A R@1", "A2T R@1", "mrv", "rank_std"]
    assert main(["compare", *kcl, "--with", *english, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"]) == (kcl, english)
    sides = [runs[scheme, seed] for scheme in ("kcl", "english") for seed in (0, 1)]
    assert found["measures"] == compare_runs(sides[:2], sides[2:]).to_dict("index")
