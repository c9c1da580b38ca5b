"""What a step costs: memory that is counted exactly, and that does not grow with K unless asked to;
stored seconds.
"""

import dataclasses
import subprocess
import types

import pandas as pd
import pytest
from pytest import approx

from atri_lib import storage
from atri_lib.training import TrainConfig
from studies import benchmark_seconds
from studies.cost import Setting, measure, step_cost

FIGURES = ["seconds", "tensors", "resident"]


def small(scheme, languages, text_chunk=0, m=None):
    sizes = {"batch": 8, "length": 8, "layers": 1, "width": 64, "repeats": 1}
    return Setting(scheme, languages, text_chunk, m=m, **sizes)


@pytest.mark.slow
def test_memory_is_exact_and_chunks_bound_it_and_nothing_is_said(capfd):
    """One measurement for all of it: every one starts processes of its own. Chapter 14, which
    `make test` executes, sees it too.

    A notebook shows what a process writes to its error stream; the profiler in the children warns
    there.
    """
    settings = [small("kcl", k, chunk) for chunk in (0, 8, 4) for k in (2, 6, 10)]
    settings.append(small("m_of_k", 10, m=1))
    settings += [small("ml_clap", 10)] * 2
    settings += [Setting("cacl", 4, chunk, layers=1, repeats=1) for chunk in (0, 12)]
    table = measure(settings)
    assert capfd.readouterr() == ("", "")
    assert (table[FIGURES] > 0).all(axis=None)
    tensors = table.tensors.tolist()
    # Plain KCL grows linearly with K, and chunks stay flat.
    few, some, many = tensors[:3]
    assert many > 2 * few
    assert many - some == approx(some - few, rel=0.05)
    by_language = tensors[3:6]
    cached = tensors[6:9]
    one_of_k, clap, again, whole, in_chunks = tensors[9:]
    assert by_language[2] <= 1.05 * by_language[0] <= 1.3 * clap
    assert cached[2] <= 1.05 * cached[0]
    assert cached[0] < by_language[0]
    # The bytes of tensors are the same every time.
    assert clap == approx(again, rel=1e-3)
    assert clap == approx(one_of_k, rel=1e-3)  # one of K is what ML-CLAP takes
    # Chunks bound the memory of CACL too.
    assert in_chunks < 0.7 * whole


WRONG = Setting("cacl", 2, batch=1)


def test_what_cannot_be_measured_says_why(monkeypatch):
    """The child in this process; the next test starts a real one."""

    def child(command, **options):
        with pytest.raises(ValueError) as failed:
            step_cost(WRONG)
        return subprocess.CompletedProcess(command, 1, "", f"ValueError: {failed.value}\n")

    monkeypatch.setattr(subprocess, "run", child)
    with pytest.raises(RuntimeError, match="a step failed: ValueError: .*at least 2"):
        measure([WRONG])


@pytest.mark.slow
def test_what_a_process_cannot_measure_says_why():
    """The test above with a real process."""
    with pytest.raises(RuntimeError, match="at least 2"):
        measure([WRONG])


KCL = TrainConfig(scheme="kcl")
STEP = Setting("kcl", 8, text_chunk=24)


@pytest.fixture
def figures(tmp_path):
    """A file as the benchmark writes it."""
    found = {"machine": "2 cores of X", "date": "2026-01-02", "busy": False, "scene": 0.01}
    found["training"] = [{"config": benchmark_seconds.cost_of(KCL), "epoch": 0.5}]
    costs = {"seconds": 0.7, "tensors": 5.0, "resident": 6.0}
    found["steps"] = [dataclasses.asdict(STEP) | costs]
    path = tmp_path / "seconds.json"
    storage.write_sealed(path, found)
    return path


def change(path, **values):
    """Change a sealed file; a value of None is taken out."""
    found = storage.read_sealed(path) | values
    kept = {name: value for name, value in found.items() if value is not None}
    storage.write_sealed(path, kept)


def test_stored_seconds_are_those_of_the_settings_whatever_the_seed_and_the_epochs(figures):
    longer = KCL.replace(seed=3, epochs=60, learning_rate=0.1)
    found = benchmark_seconds.of_configs([KCL, longer], figures)
    assert found.values == [15.0, 30.0]
    assert found.source == "seconds: measured 2026-01-02 on 2 cores of X, otherwise idle"
    assert benchmark_seconds.of_scene(figures).values == [0.01]
    other_seed = dataclasses.replace(STEP, seed=5)
    table, source = benchmark_seconds.of_steps([other_seed], figures)
    assert table[FIGURES].values.tolist() == [[0.7, 5.0, 6.0]]
    assert source == found.source


@pytest.mark.parametrize(
    "other", [{"scheme": "cacl"}, {"batch_size": 50}, {"languages": ("eng", "fra")}]
)
def test_runs_that_the_benchmark_does_not_have_keep_their_own_seconds(figures, other):
    known = types.SimpleNamespace(config=KCL, seconds=7.0)
    unknown = types.SimpleNamespace(config=KCL.replace(**other), seconds=8.0)
    assert benchmark_seconds.of_runs([known], figures).values == [15.0]
    found = benchmark_seconds.of_runs([known, unknown], figures)
    assert found == ([7.0, 8.0], benchmark_seconds.HERE)
    with pytest.raises(ValueError, match="no run like .*make benchmark"):
        benchmark_seconds.of_configs([unknown.config], figures)


def test_steps_that_the_benchmark_does_not_have_are_measured_here(figures, monkeypatch):
    measured = pd.DataFrame({"seconds": [9.0, 9.0]})
    monkeypatch.setattr(benchmark_seconds, "measure", lambda settings: measured)
    unknown = dataclasses.replace(STEP, batch=8)
    table, source = benchmark_seconds.of_steps([STEP, unknown], figures)
    assert table is measured
    assert source == benchmark_seconds.HERE


@pytest.mark.parametrize("text", [None, "{", "[1]", '{"scene": 1}'])
def test_a_file_that_is_no_benchmark_names_the_command(tmp_path, text):
    path = tmp_path / "seconds.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match="seconds.json: not readable.*make benchmark"):
        benchmark_seconds.stored(path)


def test_a_changed_digit_is_noticed(figures):
    changed = figures.read_text().replace("0.7", "0.8")
    figures.write_text(changed)
    with pytest.raises(ValueError, match="checksum differs.*make benchmark"):
        benchmark_seconds.stored(figures)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("date", None, "no date"),
        ("training", 3, "figures"),
        ("training", [{}], "figures"),
        ("training", [{"config": 3, "epoch": 1.0}], "figures"),
        ("steps", [{}], "figures"),
        ("scene", "0.01", "figures"),
    ],
)
def test_figures_that_are_missing_or_no_numbers_are_refused(figures, name, value, message):
    change(figures, **{name: value})
    with pytest.raises(ValueError, match=f"seconds.json: {message}.*make benchmark"):
        benchmark_seconds.stored(figures)


def test_provisional_figures_are_called_so(figures):
    change(figures, busy=True)
    source = benchmark_seconds.of_scene(figures).source
    assert source.endswith("beside other programs (provisional)")


def test_the_committed_figures_have_what_chapters_ask_for():
    schemes = [KCL.replace(scheme=name) for name in ("ml_clap", "cacl", "kcl")]
    clap, cacl, kcl = benchmark_seconds.of_configs(schemes).values
    assert 0 < clap < kcl
    assert 0 < cacl < kcl
    settings = [Setting("kcl", k, chunk) for k in (1, 2, 4, 8, 16) for chunk in (0, 24, 12)]
    table, source = benchmark_seconds.of_steps(settings)
    assert source != benchmark_seconds.HERE
    assert (table[FIGURES] > 0).all(axis=None)
