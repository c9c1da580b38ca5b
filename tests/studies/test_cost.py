"""What a step costs: memory that is counted exactly, and that does not grow with K unless asked to;
stored seconds.
"""

import dataclasses
import subprocess
import types
from dataclasses import asdict

import pandas as pd
import pytest

from atri_lib import storage
from atri_lib.training import TrainConfig
from studies import benchmark_seconds
from studies.cost import Setting, measure, step_cost

SMALL = {"batch": 8, "length": 8, "layers": 1, "width": 64, "repeats": 1}


@pytest.mark.slow
def test_memory_is_exact_and_chunks_bound_it_and_nothing_is_said(capfd):
    """One measurement for all of it: every one starts processes of its own. Chapter 14, which
    `make test` executes, sees it too.

    A notebook shows what a process writes to its error stream; the profiler in the children warns
    there.
    """
    settings = [Setting("kcl", k, chunk, **SMALL) for k in (2, 6, 10) for chunk in (0, 8, 4)]
    settings += [Setting("m_of_k", 10, m=1, **SMALL)] + [Setting("ml_clap", 10, **SMALL)] * 2
    settings += [Setting("cacl", 4, chunk, layers=1, repeats=1) for chunk in (0, 12)]
    table = measure(settings)
    assert capfd.readouterr() == ("", "")
    assert (table[["seconds", "tensors", "resident"]] > 0).all(axis=None)
    *peaks, whole, in_chunks = table.tensors.tolist()
    plain, by_language, cached = peaks[0:9:3], peaks[1:9:3], peaks[2:9:3]
    # Plain KCL grows linearly with K, and chunks stay flat.
    assert (
        plain[2] - plain[1] == pytest.approx(plain[1] - plain[0], rel=0.05)
        and plain[2] > 2 * plain[0]
    )
    assert by_language[2] <= 1.05 * by_language[0] <= 1.3 * peaks[-1]
    assert cached[2] <= 1.05 * cached[0] and cached[0] < by_language[0]
    # The bytes of tensors are the same every time.
    assert peaks[-1] == pytest.approx(peaks[-2], rel=1e-3)
    assert peaks[-1] == pytest.approx(peaks[-3], rel=1e-3)  # one of K is what ML-CLAP takes
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
    with pytest.raises(RuntimeError, match="a step failed: ValueError: .*at least 2 clips"):
        measure([WRONG])


@pytest.mark.slow
def test_what_a_process_cannot_measure_says_why():
    """The test above with a real process."""
    with pytest.raises(RuntimeError, match="at least 2 clips"):
        measure([WRONG])


KCL = TrainConfig(scheme="kcl")
STEP = Setting("kcl", 8, text_chunk=24)


@pytest.fixture
def figures(tmp_path):
    """A file as the benchmark writes it."""
    found = {"machine": "2 cores of X", "date": "2026-01-02", "busy": False, "scene": 0.01}
    found["training"] = [{"config": benchmark_seconds.cost_of(KCL), "epoch": 0.5}]
    costs = {"seconds": 0.7, "tensors": 5.0, "resident": 6.0}
    found["steps"] = [asdict(STEP) | costs]
    path = tmp_path / "seconds.json"
    storage.write_sealed(path, found)
    return path


def test_stored_seconds_are_those_of_the_settings_whatever_the_seed_and_the_epochs(figures):
    found = benchmark_seconds.of_configs(
        [KCL, KCL.replace(seed=3, epochs=60, learning_rate=0.1)], figures
    )
    assert found == ([15.0, 30.0], "seconds: measured 2026-01-02 on 2 cores of X, otherwise idle")
    assert benchmark_seconds.of_scene(figures).values == [0.01]
    table, source = benchmark_seconds.of_steps([dataclasses.replace(STEP, seed=5)], figures)
    assert table[["seconds", "tensors", "resident"]].values.tolist() == [[0.7, 5.0, 6.0]]
    assert source == found.source


@pytest.mark.parametrize(
    "other", [{"scheme": "cacl"}, {"batch_size": 50}, {"languages": ("eng", "fra")}]
)
def test_runs_that_the_benchmark_does_not_have_keep_their_own_seconds(figures, other):
    runs = [
        types.SimpleNamespace(config=config, seconds=7.0) for config in (KCL, KCL.replace(**other))
    ]
    assert benchmark_seconds.of_runs(runs[:1], figures).values == [15.0]
    assert benchmark_seconds.of_runs(runs, figures) == ([7.0, 7.0], benchmark_seconds.HERE)
    with pytest.raises(ValueError, match="no run like .*make benchmark"):
        benchmark_seconds.of_configs([run.config for run in runs], figures)


def test_steps_that_the_benchmark_does_not_have_are_measured_here(figures, monkeypatch):
    measured = pd.DataFrame({"seconds": [9.0, 9.0]})
    monkeypatch.setattr(benchmark_seconds, "measure", lambda settings: measured)
    settings = [STEP, dataclasses.replace(STEP, batch=8)]
    assert benchmark_seconds.of_steps(settings, figures) == (measured, benchmark_seconds.HERE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not readable"),
        ("{", "not readable"),
        ("{}", "not readable"),
        ("[1]", "not readable"),
        ('{"scene": NaN}', "not readable"),
        ('{"scene": 1e999}', "not readable"),
        ('{"scene": 1, "scene": 2}', "not readable"),
        ('{"scene": 1}', "not readable"),  # no checksum
    ],
)
def test_a_file_that_is_no_benchmark_names_the_command(tmp_path, text, said):
    path = tmp_path / "seconds.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=f"seconds.json: {said}.*make benchmark"):
        benchmark_seconds.stored(path)


def test_a_changed_digit_and_a_missing_figure_are_noticed(figures):
    found = storage.read_sealed(figures)
    figures.write_text(figures.read_text().replace("0.7", "0.8"))
    with pytest.raises(ValueError, match="checksum differs.*make benchmark"):
        benchmark_seconds.stored(figures)
    storage.write_sealed(figures, {"machine": found["machine"]})
    with pytest.raises(ValueError, match="no date.*make benchmark"):
        benchmark_seconds.stored(figures)


@pytest.mark.parametrize(
    "change",
    [
        {"training": None},
        {"training": [{}]},
        {"training": [{"config": 3, "epoch": 1.0}]},
        {"steps": None},
        {"steps": [{}]},
        {"scene": "0.01"},
    ],
)
def test_figures_that_are_no_numbers_are_refused(figures, change):
    found = storage.read_sealed(figures)
    del found["checksum"]
    storage.write_sealed(figures, found | change)
    with pytest.raises(ValueError, match="seconds.json: figures.*make benchmark"):
        benchmark_seconds.stored(figures)


def test_provisional_figures_are_called_so(figures):
    found = storage.read_sealed(figures)
    del found["checksum"]
    storage.write_sealed(figures, found | {"busy": True})
    assert benchmark_seconds.of_scene(figures).source.endswith(
        "beside other programs (provisional)"
    )


def test_the_committed_figures_have_what_chapters_ask_for():
    schemes = [KCL.replace(scheme=name) for name in ("ml_clap", "cacl", "kcl")]
    clap, cacl, kcl = benchmark_seconds.of_configs(schemes).values
    assert 0 < clap < kcl and 0 < cacl < kcl
    settings = [Setting("kcl", k, chunk) for k in (1, 2, 4, 8, 16) for chunk in (0, 24, 12)]
    table, source = benchmark_seconds.of_steps(settings)
    assert source != benchmark_seconds.HERE
    assert (table[["seconds", "tensors", "resident"]] > 0).all(axis=None)
