"""The split of disagreement, against simulated ranks and brute force."""

import numpy as np
import pytest

from atri_lib.evaluation import two_way_interval
from atri_lib.schemes import SCHEMES
from studies import split_law
from studies.fixed_counts import Favourite, Few, accumulated_error, coverage
from studies.schedule_lists import FIXED_COUNTS
from studies.split import (
    agreement,
    own_and_stable,
    pairs,
    parts,
    profiles,
    pseudo_values,
)


def simulated(seeds: int, captions: int, stable: float, own: float, seed: int = 0) -> np.ndarray:
    """Ranks [S, M, 8] whose logarithms have such parts: not whole numbers, which no step needs."""
    generator = np.random.default_rng(seed)
    kept = generator.normal(size=(captions, 8))
    fresh = generator.normal(size=(seeds, captions, 8))
    return np.exp(3 + np.sqrt(stable) * kept + np.sqrt(own) * fresh)


def test_both_parts_are_estimated_without_bias():
    found = own_and_stable(simulated(16, 4000, stable=0.4, own=0.2))
    # A language mean is taken off: 7 of 8 degrees of freedom are left.
    assert found.own == pytest.approx(0.2 * 7 / 8, rel=0.02)
    assert found.stable == pytest.approx(0.4 * 7 / 8, rel=0.03)
    assert found.total == pytest.approx(found.own + found.stable)
    assert found.stable_share == pytest.approx(2 / 3, abs=0.01)


def test_the_parts_add_up_to_the_variance_of_the_log_ranks():
    ranks = simulated(3, 50, 0.4, 0.2)
    own, stable = parts(ranks)
    assert (own + stable).mean() == pytest.approx(np.log(ranks).var(axis=-1).mean())


def test_one_seed_has_no_split():
    with pytest.raises(ValueError, match="two seeds"):
        parts(simulated(1, 5, 1, 1))


@pytest.mark.parametrize("part, truth", [("own", 0.2 * 7 / 8), ("stable", 0.4 * 7 / 8)])
def test_the_interval_of_a_part_covers_it(part, truth):
    held = []
    for seed in range(300):
        said = pseudo_values(simulated(8, 60, 0.4, 0.2, seed), part)
        found = two_way_interval(said, np.zeros_like(said))
        held.append(found.low <= truth <= found.high)
    assert 0.93 <= np.mean(held) <= 0.985  # no seed has an effect of its own: it is careful


def test_profiles_of_two_encoders_agree_only_where_their_stable_parts_do():
    first = simulated(8, 2000, 0.4, 0.2)
    same = agreement(first[:4], first[4:])
    assert same == pytest.approx(1, abs=0.02)
    other = np.random.default_rng(5).permutation(first, axis=1)
    assert agreement(first, other) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("part", ["own", "stable"])
def test_both_parts_are_means_over_pairs_of_seeds(part):
    ranks = simulated(5, 30, 0.4, 0.2)
    table = pairs(ranks, part)
    different = table[~np.eye(5, dtype=bool)].mean()
    assert different == pytest.approx(getattr(own_and_stable(ranks), part))


SCHEDULES = {
    "pairs": (lambda clips: Few(clips, 8, used=8, row=2), 0.0),
    "four by turns": (lambda clips: Few(clips, 8, used=4, row=1), 32 / (7 / 8)),
    "four in blocks": (lambda clips: Few(clips, 8, used=4, row=4), 32 / (7 / 8)),
    "two by turns": (lambda clips: Few(clips, 8, used=2, row=1), 96 / (7 / 8)),
    "two in blocks": (lambda clips: Few(clips, 8, used=2, row=8), 96 / (7 / 8)),
    "favourite": (lambda clips: Favourite(clips, 8, often=9), 64.0),
    "balanced": (lambda clips: SCHEMES["balanced"](clips, 8, m=1), 0.0),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_accumulated_error_is_that_of_the_counts(name):
    make, expected = SCHEDULES[name]
    assert accumulated_error(make(3), 16) == pytest.approx(expected, abs=1e-9)
    scheme = make(50)
    counts = sum(scheme.distribution(epoch) * 50 for epoch in range(16))
    squared = np.square(counts - 2).sum(axis=1)
    np.testing.assert_allclose(squared / (7 / 8), expected, atol=1e-9)


def test_held_and_independent_draws_accumulate_what_the_chapters_say():
    assert accumulated_error(SCHEMES["ml_clap"](3, 8), 16) == pytest.approx(16)
    assert accumulated_error(SCHEMES["hold"](3, 8, hold=4), 16) == pytest.approx(64)


def test_a_favourite_over_several_cycles_against_its_draws():
    scheme = Favourite(4000, 8, often=3)
    counts = sum(scheme.distribution(epoch) * 4000 for epoch in range(25))
    measured = np.square(counts - 25 / 8).sum(axis=1).mean() / (7 / 8)
    assert accumulated_error(scheme, 25) == pytest.approx(measured, rel=0.03)


def test_order_alone_differs_within_each_pair():
    for used, row in ((8, 2), (4, 4), (2, 8)):
        turns, blocks = Few(40, 8, used=used), Few(40, 8, used=used, row=row)
        heard = [np.sort(_heard(scheme), axis=1) for scheme in (turns, blocks)]
        assert (heard[0] == heard[1]).all()
        assert (_heard(turns) != _heard(blocks)).any()
    assert coverage(Few(40, 8, used=4), 16) == 0.5


def _heard(scheme) -> np.ndarray:
    return np.concatenate([scheme.languages(epoch) for epoch in range(16)], axis=1)


def test_the_committed_predictions_are_those_of_the_lines():
    committed = split_law.read_predictions()
    for study, fitted in {"fixed_counts": "dose_16", "fixed_counts_e5": "dose_16_e5"}.items():
        table = split_law.predicted(fitted)
        for label, row in committed["own"][study].items():
            assert table.loc[label, "law"] == pytest.approx(row["law"], abs=1e-4)
    assert committed["own"]["fixed_counts_new"] == committed["own"]["fixed_counts"]


def test_profiles_have_no_mean_over_languages():
    assert np.abs(profiles(simulated(2, 5, 1, 1)).mean(axis=-1)).max() < 1e-12


def test_memory_of_one_is_the_accumulated_error_and_less_of_it_knows_the_order():
    turns, blocks = Few(3, 8, used=4), Few(3, 8, used=4, row=4)
    for scheme in (turns, blocks):
        whole = accumulated_error(scheme, 16, 1.0)
        assert whole == pytest.approx(accumulated_error(scheme, 16))
    recent = [accumulated_error(scheme, 16, 0.9) for scheme in (turns, blocks)]
    assert recent[0] < recent[1]
    assert accumulated_error(blocks, 16, 0.0) == pytest.approx(16)


def test_the_committed_memory_is_the_one_that_fits():
    new = [
        label for label in FIXED_COUNTS if label not in ("hold 4", "ML-CLAP", "2 each, shuffled")
    ]
    tables = [
        split_law.schedules("dose_16").loc[list(split_law.FITTED)],
        split_law.schedules("fixed_counts", seeds=8).loc[new],  # which it was fitted to
    ]
    line, memory = split_law.fit_memory(tables)
    committed = split_law.read_predictions()["memory"]
    assert memory == committed["memory"]
    scheme = tables[1].loc["8 of 2, by turns", "scheme"]
    expected = committed["own"]["fixed_counts_new"]["8 of 2, by turns"]
    remembered = accumulated_error(scheme, 16, memory)
    assert line(remembered) == pytest.approx(expected, abs=1e-4)


def test_verdicts_name_what_was_off():
    table = split_law.law_verdicts("fixed_counts")
    assert set(table.verdict) <= {"held", "refuted"}
    off = table.own / table.law - 1
    assert ((off.abs() <= 0.1) == (table.verdict == "held")).all()
