"""Schemes: closed forms of their error, unbiasedness by enumeration, draws that depend on seed and epoch alone."""

import dataclasses
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.sampling import SCHEMES, UnknownScheme, data_distribution_error, ideal_distribution


def scheme_of(name, clips, languages, seed=0, m=2):
    return SCHEMES[name](clips=clips, languages=languages, seed=seed, m=m if name == "m_of_k" else None)


sizes = {
    "clips": st.integers(1, 12),
    "languages": st.integers(2, 9),
    "seed": st.integers(0, 2**32),
    "epoch": st.integers(0, 50),
}


@settings(deadline=None, max_examples=60)
@given(data=st.data(), **sizes)
def test_error_per_epoch_has_its_closed_form(data, clips, languages, seed, epoch):
    m = data.draw(st.integers(1, languages))
    seen = {"ml_clap": 1, "m_of_k": m, "latin": 1, "cacl": 2, "kcl": languages, "english": 1}
    for name in SCHEMES:
        realised = scheme_of(name, clips, languages, seed, m).distribution(epoch)
        error = data_distribution_error(ideal_distribution(clips, languages), realised)
        assert error == pytest.approx(2 * (languages - seen[name]) / languages, abs=1e-12), name


@settings(deadline=None, max_examples=40)
@given(data=st.data(), **sizes)
def test_draws_are_distinct_languages_and_their_distribution_counts_them(data, clips, languages, seed, epoch):
    m = data.draw(st.integers(1, languages))
    for name in SCHEMES:
        scheme = scheme_of(name, clips, languages, seed, m)
        drawn, realised = scheme.languages(epoch), scheme.distribution(epoch)
        assert drawn.dtype == np.int64 and realised.dtype == np.float64 and drawn.shape == (clips, scheme.m)
        counted = np.zeros((clips, languages))
        for i, row in enumerate(drawn):
            assert len(set(row)) == len(row)
            for k in row:
                counted[i, k] += 1
        np.testing.assert_allclose(realised, counted / counted.sum(), atol=1e-15)
        assert realised.sum() == pytest.approx(1) and scheme.mean_distribution().sum() == pytest.approx(1)


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_latin_visits_every_language_once_in_any_k_consecutive_epochs(clips, languages, seed, epoch):
    scheme = scheme_of("latin", clips, languages, seed)
    epochs = range(epoch, epoch + languages)
    average = sum(scheme.distribution(e) for e in epochs) / languages
    assert data_distribution_error(average, ideal_distribution(clips, languages)) == pytest.approx(0, abs=1e-12)
    short = sum(scheme.distribution(e) for e in epochs[:-1]) / (languages - 1)  # one epoch short: not ideal
    assert data_distribution_error(short, ideal_distribution(clips, languages)) > 0.1


def enumerated_mean(name, languages, m):
    """The mean of p' for one clip, over all equally likely draws."""
    outcomes = {
        "ml_clap": combinations(range(languages), 1),
        "m_of_k": combinations(range(languages), m),
        "latin": combinations(range(languages), 1),
        "cacl": product([0], range(1, languages)),
        "kcl": [tuple(range(languages))],
        "english": [(0,)],
    }
    total, count = np.zeros(languages), 0
    for outcome in outcomes[name]:
        total[list(outcome)] += 1 / len(outcome)
        count += 1
    return total / count


@pytest.mark.parametrize("languages, m", [(2, 1), (3, 2), (4, 3), (5, 2)])
@pytest.mark.parametrize("name", SCHEMES)
def test_mean_distribution_is_the_enumerated_mean_and_draws_reach_it(name, languages, m):
    clips = 4000
    scheme = scheme_of(name, clips, languages, m=m)
    mean = scheme.mean_distribution() * clips
    np.testing.assert_allclose(mean, np.tile(enumerated_mean(name, languages, m), (clips, 1)), atol=1e-12)
    frequencies = np.mean([scheme.distribution(epoch).sum(axis=0) for epoch in range(3)], axis=0)
    np.testing.assert_allclose(frequencies, mean[0], atol=0.03)
    # All but CACL and English are unbiased; CACL over two languages has nothing to choose.
    biased = data_distribution_error(scheme.mean_distribution(), ideal_distribution(clips, languages)) > 1e-9
    assert biased == (name == "english" or (name == "cacl" and languages > 2))


def test_m_of_k_draws_every_subset_equally_often():
    drawn = SCHEMES["m_of_k"](clips=30_000, languages=5, m=3).languages(0)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    expected = 30_000 / comb(5, 3)
    assert len(counts) == comb(5, 3)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_epochs_and_clips_are_drawn_independently():
    scheme = SCHEMES["ml_clap"](clips=20_000, languages=4)
    first, second = scheme.languages(0)[:, 0], scheme.languages(1)[:, 0]
    assert np.mean(first == second) == pytest.approx(1 / 4, abs=0.02)
    assert np.mean(first[1:] == first[:-1]) == pytest.approx(1 / 4, abs=0.02)


@pytest.mark.parametrize("name", SCHEMES)
def test_draws_depend_on_seed_and_epoch_not_on_the_order_of_calls(name):
    forward, backward = scheme_of(name, 50, 8), scheme_of(name, 50, 8)
    assert forward == backward
    ahead = [forward.languages(epoch) for epoch in range(4)]
    behind = [backward.languages(epoch) for epoch in reversed(range(4))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(ahead, behind, strict=True))
    if name not in ("kcl", "english"):  # these two draw nothing
        assert not np.array_equal(ahead[0], ahead[1])
        assert not np.array_equal(ahead[0], scheme_of(name, 50, 8, seed=1).languages(0))


@settings(deadline=None, max_examples=30)
@given(**sizes)
def test_m_of_k_is_nested_and_runs_from_ml_clap_to_kcl(clips, languages, seed, epoch):
    by_m = [scheme_of("m_of_k", clips, languages, seed, m).languages(epoch) for m in range(1, languages + 1)]
    assert np.array_equal(by_m[0], scheme_of("ml_clap", clips, languages, seed).languages(epoch))
    assert np.array_equal(by_m[-1], scheme_of("kcl", clips, languages, seed).languages(epoch))
    assert np.array_equal(by_m[-1], np.tile(np.arange(languages), (clips, 1)))
    for fewer, more in zip(by_m, by_m[1:], strict=False):
        assert all(set(a) < set(b) for a, b in zip(fewer, more, strict=True))


def test_cacl_puts_english_first_and_another_language_second():
    drawn = SCHEMES["cacl"](clips=500, languages=3).languages(7)
    assert (drawn[:, 0] == 0).all() and set(drawn[:, 1]) == {1, 2}


def test_one_language_leaves_no_error():
    for name in ("ml_clap", "m_of_k", "latin", "kcl"):
        scheme = scheme_of(name, 5, 1, m=1)
        assert data_distribution_error(scheme.distribution(0), ideal_distribution(5, 1)) == 0


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("cacl", {"languages": 1}, "at least one other language"),
        ("m_of_k", {"m": 9}, "9 different languages out of 8"),
        ("m_of_k", {"m": 0}, "m must be an integer of at least 1, got 0"),
        ("m_of_k", {"m": 2.0}, "m must be an integer"),
        ("m_of_k", {}, "m_of_k needs m"),
        ("ml_clap", {"m": 2}, "has m=1, got m=2"),
        ("kcl", {"m": 2}, "has m=8"),
        ("kcl", {"clips": 0}, "clips must be"),
        ("latin", {"languages": 0}, "languages must be"),
        ("latin", {"seed": -1}, "seed must be"),
    ],
)
def test_bad_arguments_say_what_is_wrong(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        SCHEMES[name](**{"clips": 4, "languages": 8} | arguments)


def test_an_unknown_scheme_lists_the_known_ones():
    with pytest.raises(UnknownScheme, match="'clap': use one of ml_clap, m_of_k, latin, cacl, kcl"):
        SCHEMES["clap"]
    assert "clap" not in SCHEMES


@pytest.mark.parametrize("name", [name for name in SCHEMES if name not in ("kcl", "english")])
def test_epochs_count_from_zero(name):
    with pytest.raises(ValueError, match="epochs count from 0"):
        scheme_of(name, 4, 8).languages(-1)


def test_a_scheme_cannot_be_changed_and_distributions_must_match():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SCHEMES["kcl"](clips=4, languages=8).seed = 1
    with pytest.raises(ValueError, match="one shape"):
        data_distribution_error(ideal_distribution(4, 8), ideal_distribution(4, 7))
