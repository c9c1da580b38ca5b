"""Schemes: closed forms of error, mean and covariance by enumeration; draws that depend on seed and
epoch alone.
"""

import ast
import dataclasses
import hashlib
import pathlib
from dataclasses import dataclass
from itertools import combinations, permutations, product
from math import comb, gcd

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import atri_lib
from atri_lib.losses import cacl_loss, kcl_loss, ml_clap_loss
from atri_lib.schemes import (
    SCHEMES,
    SETTINGS,
    clip_order,
    data_distribution_error,
    ideal_distribution,
)


def scheme_of(name, clips, languages, seed=0, m=2, hold=2):
    own = {}
    if SCHEMES[name].chooses_m:
        own["m"] = m
    if name == "hold":
        own["hold"] = hold
    if name == "block":
        own["block"] = 1  # its clips are independent, as ML-CLAP's are
    return SCHEMES[name](clips=clips, languages=languages, seed=seed, **own)


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
    seen = {
        "m_of_k": m,
        "balanced": m,
        "cacl": 2,
        "cacl_unbiased": 2,
        "kcl": languages,
    }  # the others: 1
    for name in SCHEMES:
        realised = scheme_of(name, clips, languages, seed, m).distribution(epoch)
        error = data_distribution_error(ideal_distribution(clips, languages), realised)
        assert error == pytest.approx(2 * (languages - seen.get(name, 1)) / languages, abs=1e-12), (
            name
        )


@settings(deadline=None, max_examples=40)
@given(data=st.data(), **sizes)
def test_draws_are_distinct_languages_and_their_distribution_counts_them(
    data, clips, languages, seed, epoch
):
    m = data.draw(st.integers(1, languages))
    for name in SCHEMES:
        scheme = scheme_of(name, clips, languages, seed, m)
        drawn, realised = scheme.languages(epoch), scheme.distribution(epoch)
        assert (
            drawn.dtype == np.int64
            and realised.dtype == np.float64
            and drawn.shape == (clips, scheme.m)
        )
        weights = (
            [1 / languages, 1 - 1 / languages]
            if name == "cacl_unbiased"
            else [1 / scheme.m] * scheme.m
        )
        np.testing.assert_allclose(scheme.weights, weights, atol=1e-15)
        counted = np.zeros((clips, languages))
        for i, row in enumerate(drawn):
            assert len(set(row)) == len(row)
            for k, weight in zip(row, weights, strict=True):
                counted[i, k] += weight
        np.testing.assert_allclose(realised, counted / clips, atol=1e-15)
        assert realised.sum() == pytest.approx(
            1
        ) and scheme.mean_distribution().sum() == pytest.approx(1)


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_latin_visits_every_language_once_in_any_k_consecutive_epochs(
    clips, languages, seed, epoch
):
    scheme = scheme_of("latin", clips, languages, seed)
    epochs = range(epoch, epoch + languages)
    average = sum(scheme.distribution(e) for e in epochs) / languages
    assert data_distribution_error(average, ideal_distribution(clips, languages)) == pytest.approx(
        0, abs=1e-12
    )
    short = sum(scheme.distribution(e) for e in epochs[:-1]) / (
        languages - 1
    )  # one epoch short: not ideal
    assert data_distribution_error(short, ideal_distribution(clips, languages)) > 0.1


@settings(deadline=None, max_examples=60)
@given(data=st.data(), **sizes)
def test_balanced_has_no_error_over_a_cycle_and_reshuffles_after_it(
    data, clips, languages, seed, epoch
):
    m = data.draw(st.integers(1, languages))
    scheme = scheme_of("balanced", clips, languages, seed, m)
    length = languages // gcd(languages, m)
    begin = epoch - epoch % length
    average = sum(scheme.distribution(e) for e in range(begin, begin + length)) / length
    assert data_distribution_error(average, ideal_distribution(clips, languages)) == pytest.approx(
        0, abs=1e-12
    )
    if length > 1:
        short = sum(scheme.distribution(e) for e in range(begin, begin + length - 1)) / (length - 1)
        assert data_distribution_error(short, ideal_distribution(clips, languages)) > 1e-3


def test_balanced_takes_every_order_equally_often_and_cycles_are_independent():
    scheme = SCHEMES["balanced"](clips=24_000, languages=3, m=1)
    orders = np.concatenate([scheme.languages(epoch) for epoch in range(6)], axis=1)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 36 and np.abs(counts - 24_000 / 36).max() < 5 * np.sqrt(24_000 / 36)


@settings(deadline=None, max_examples=30)
@given(hold=st.integers(1, 9), **sizes)
def test_hold_keeps_the_draws_of_ml_clap_for_a_block(hold, clips, languages, seed, epoch):
    held, free = (
        scheme_of("hold", clips, languages, seed, hold=hold),
        scheme_of("ml_clap", clips, languages, seed),
    )
    assert np.array_equal(held.languages(epoch), free.languages(epoch // hold))


def test_hold_of_one_epoch_is_ml_clap_and_of_all_epochs_never_changes():
    sizes = {"clips": 200, "languages": 8, "seed": 3}
    ml_clap = SCHEMES["ml_clap"](**sizes)
    one = SCHEMES["hold"](**sizes, hold=1)
    always = SCHEMES["hold"](**sizes, hold=20)
    for epoch in range(20):
        assert np.array_equal(one.languages(epoch), ml_clap.languages(epoch))
        assert np.array_equal(always.languages(epoch), ml_clap.languages(0))


def rows_of(outcomes, languages, weights=None):
    """The rows of N p' of equally likely outcomes, each a tuple of languages: [outcomes, K]."""
    rows = np.zeros((len(outcomes), languages))
    for row, outcome in zip(rows, outcomes, strict=True):
        row[list(outcome)] = weights or 1 / len(outcome)
    return rows


def every_history(name, languages, m, epochs, hold):
    """All equally likely histories of one clip: rows of N p', [histories, epochs, K]."""
    everyone, subsets = range(languages), list(combinations(range(languages), m))
    if name == "latin":
        histories = [[((offset + e) % languages,) for e in range(epochs)] for offset in everyone]
    elif name == "balanced":
        length = languages // gcd(languages, m)
        cycles = [[tuple(order[(e * m + j) % languages] for j in range(m)) for e in range(length)]
                  for order in permutations(everyone)]  # fmt: skip
        histories = [
            sum(choice, [])[:epochs] for choice in product(cycles, repeat=-(-epochs // length))
        ]
    else:
        outcomes = {"m_of_k": subsets, "kcl": [tuple(everyone)], "english": [(0,)]}.get(
            name, [(k,) for k in everyone]
        )
        outcomes = [(0, k) for k in everyone[1:]] if name.startswith("cacl") else outcomes
        block = hold if name == "hold" else 1
        drawn = product(outcomes, repeat=-(-epochs // block))
        histories = [[choice[e // block] for e in range(epochs)] for choice in drawn]
    weights = [1 / languages, 1 - 1 / languages] if name == "cacl_unbiased" else None
    return np.stack([rows_of(history, languages, weights) for history in histories])


CASES = [(2, 1), (3, 1), (3, 2), (4, 2), (4, 3)]


@pytest.mark.parametrize("languages, m", CASES)
@pytest.mark.parametrize("name", SCHEMES)
def test_mean_and_covariance_are_those_of_every_history(name, languages, m, epochs=4, hold=2):
    rows = every_history(name, languages, m, epochs, hold)
    scheme = scheme_of(name, 3, languages, m=m, hold=hold)
    mean = rows.mean(0)
    np.testing.assert_allclose(
        mean, np.tile(scheme.mean_distribution()[0] * 3, (epochs, 1)), atol=1e-12
    )
    exact = np.einsum("hek,hfl->efkl", rows - mean, rows - mean) / len(rows)
    np.testing.assert_allclose(
        scheme.covariance(np.arange(epochs)[:, None], np.arange(epochs)), exact, atol=1e-12
    )
    for e, f in product(range(epochs), repeat=2):
        np.testing.assert_allclose(scheme.covariance(e, f), exact[e, f], atol=1e-12)
    # All but CACL and English are unbiased; CACL over two languages has nothing to choose.
    assert scheme.biased == (name == "english" or (name == "cacl" and languages > 2))
    assert scheme.chance.tolist() == np.flatnonzero(rows[:, 0].std(0) > 1e-12).tolist()
    for epoch in range(epochs):
        assert scheme.remembers(epoch) == (epoch > 0 and np.abs(exact[:epoch, epoch]).max() > 1e-12)


@pytest.mark.parametrize("name", SCHEMES)
def test_mean_and_covariance_are_those_of_many_clips(name, clips=60_000, languages=5, epochs=5):
    """Sampled rows, with a case that no enumeration covers: m that does not divide K, blocks of
    three.
    """
    scheme = scheme_of(name, clips, languages, seed=1, m=3, hold=3)
    rows = np.stack([scheme.distribution(e) for e in range(epochs)]) * clips  # [E, N, K]
    np.testing.assert_allclose(
        rows.mean(1), np.tile(scheme.mean_distribution()[0] * clips, (epochs, 1)), atol=0.01
    )
    centred = rows - rows.mean(1, keepdims=True)
    sampled = np.einsum("enk,fnl->efkl", centred, centred) / clips
    np.testing.assert_allclose(
        scheme.covariance(np.arange(epochs)[:, None], np.arange(epochs)), sampled, atol=0.006
    )


def test_draws_of_a_cycle_avoid_each_other_and_those_of_a_block_repeat():
    for name in ("balanced", "latin"):
        scheme = scheme_of(name, 4, 6, m=2)
        assert (np.diag(scheme.covariance(0, 1)) < 0).all() and scheme.remembers(1)
    hold = scheme_of("hold", 4, 6, hold=3)
    assert (
        np.array_equal(hold.covariance(0, 2), hold.covariance(1, 1))
        and not hold.covariance(2, 3).any()
    )


@pytest.mark.parametrize("name", SCHEMES)
def test_noise_share_is_the_variance_of_a_weighted_mean_of_values(name, languages=4, m=3):
    scheme = scheme_of(name, 2, languages, m=m)
    values = np.array([3.0, -1.0, 0.5, 2.0])
    variance = (every_history(name, languages, m, 1, 2)[:, 0] @ values).var()
    assert variance == pytest.approx(
        scheme.noise_share * (values[scheme.chance].var() if len(scheme.chance) else 0)
    )
    assert variance == pytest.approx(values @ scheme.covariance(0, 0) @ values)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_loss_is_the_weighted_mean_over_the_drawn_texts(name):
    generator = torch.Generator().manual_seed(0)
    clips, texts = torch.randn(5, 4, generator=generator), torch.randn(5, 6, 4, generator=generator)
    scheme = scheme_of(name, 5, 6, m=3)
    texts = texts[:, : scheme.m]
    expected = {
        "cacl": cacl_loss(clips, texts[:, 0], texts[:, -1], 0.5),
        "kcl": kcl_loss(clips, texts, 0.5),
        "ml_clap": ml_clap_loss(clips, texts[:, 0], 0.5),
    }
    if name in expected:
        torch.testing.assert_close(scheme.loss(clips, texts, 0.5), expected[name])
    if scheme.together:
        scheme = SCHEMES[name](clips=5, languages=6, text_text=0.0)
    sides = [
        weight * ml_clap_loss(clips, texts[:, j], 0.5)
        for j, weight in enumerate(scheme.weights.tolist())
    ]
    torch.testing.assert_close(scheme.loss(clips, texts, 0.5), sum(sides))
    if not scheme.together:
        parts = [
            scheme.loss(clips, texts[:, j : j + 1], 0.5, slice(j, j + 1)) for j in range(scheme.m)
        ]
        torch.testing.assert_close(torch.stack(parts), torch.stack(sides))


@pytest.mark.parametrize("name", SCHEMES)
def test_autocast_does_not_round_a_loss(name):
    generator = torch.Generator().manual_seed(0)
    scheme = scheme_of(name, 5, 6, m=3)
    clips, texts = (
        torch.randn(5, 4, generator=generator),
        torch.randn(5, scheme.m, 4, generator=generator),
    )
    outside = scheme.loss(clips, texts, 0.5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(scheme.loss(clips, texts, 0.5), outside)


# SHA-256 of the draws of ten epochs: another value, and runs of the same seed are other runs
DRAWS = {
    "ml_clap": "5f705982db944117", "m_of_k": "9affcf1953570130", "latin": "bd171b96266d0620",
    "cacl": "aca5d15a11928ecf", "kcl": "073a6123ceab47fd", "english": "fc19b19971194257",
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_gives_the_draws_it_always_gave(name):
    scheme = scheme_of(name, 50, 8, seed=3, m=3)
    drawn = np.stack([scheme.languages(epoch) for epoch in range(10)])
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == DRAWS[name]


def test_no_other_file_knows_the_new_schemes_or_asks_for_a_scheme_by_name():
    for path in pathlib.Path(atri_lib.__file__).parent.rglob("*.py"):
        if path.parent.name == "schemes" or path.name in ("studies.py", "causes.py", "showcase.py"):
            continue  # what is trained for the book: there schemes are data
        tree = ast.parse(path.read_text(encoding="utf-8"))
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not strings & {"balanced", "cacl_unbiased"}, path
        compared = [
            node for node in ast.walk(tree) if isinstance(node, ast.Compare | ast.MatchValue)
        ]
        names = {
            part.value
            for node in compared
            for part in ast.walk(node)
            if isinstance(part, ast.Constant)
        }
        assert not names & set(SCHEMES), path


def test_every_scheme_goes_by_its_name_and_the_settings_of_all_are_known():
    assert all(scheme.name == name for name, scheme in SCHEMES.items())
    assert SETTINGS == ("m", "hold", "block", "text_text", "anchor")


def test_m_of_k_draws_every_subset_equally_often():
    drawn = SCHEMES["m_of_k"](clips=30_000, languages=5, m=3).languages(0)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    expected = 30_000 / comb(5, 3)
    assert len(counts) == comb(5, 3)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("block", [1, 2])
def test_clips_of_a_block_share_their_language(block):
    scheme = SCHEMES["block"](clips=6, languages=4, block=block)
    assert scheme.independent_clips == (block == 1)


@pytest.mark.parametrize("wrong", [{"m": 0}, {"m": -1}, {"m": 5}])
def test_m_is_a_number_of_languages(wrong):
    with pytest.raises(ValueError, match="m must be|cannot draw 5"):
        SCHEMES["m_of_k"](clips=6, languages=4, **wrong)


def test_settings_may_be_numbers_of_numpy():
    assert SCHEMES["hold"](clips=6, languages=4, hold=np.int64(2)).hold == 2


def test_distributions_of_other_pairs_have_no_distance():
    with pytest.raises(ValueError, match=r"two shapes .* \(4, 8\) and \(1, 8\)"):
        data_distribution_error(ideal_distribution(4, 8), ideal_distribution(1, 8))


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
        assert not np.array_equal(ahead[0], ahead[2])
        assert not np.array_equal(ahead[0], scheme_of(name, 50, 8, seed=1).languages(0))


@settings(deadline=None, max_examples=30)
@given(**sizes)
def test_m_of_k_is_nested_and_runs_from_ml_clap_to_kcl(clips, languages, seed, epoch):
    by_m = [
        scheme_of("m_of_k", clips, languages, seed, m).languages(epoch)
        for m in range(1, languages + 1)
    ]
    assert np.array_equal(by_m[0], scheme_of("ml_clap", clips, languages, seed).languages(epoch))
    assert np.array_equal(by_m[-1], scheme_of("kcl", clips, languages, seed).languages(epoch))
    assert np.array_equal(by_m[-1], np.tile(np.arange(languages), (clips, 1)))
    for fewer, more in zip(by_m, by_m[1:], strict=False):
        assert all(set(a) < set(b) for a, b in zip(fewer, more, strict=True))


def test_a_batch_of_block_speaks_one_language_and_batches_differ():
    drawn = SCHEMES["block"](clips=95, languages=8, seed=4, block=10).languages(3)[
        clip_order(95, 4, 3), 0
    ]
    batches = np.split(drawn, range(10, 95, 10))
    assert [len(set(batch)) for batch in batches] == [1] * 10 and len(set(drawn)) > 2


@pytest.mark.parametrize("name", ["cacl", "cacl_unbiased"])
def test_cacl_with_another_anchor_is_cacl_with_the_languages_renamed(name):
    plain, moved = (
        SCHEMES[name](clips=300, languages=4, seed=2, anchor=anchor) for anchor in (1, 3)
    )
    renamed = np.array(
        [2, 0, 1, 3]
    )  # what was first is the third language now, the others keep their order
    assert np.array_equal(moved.languages(5), renamed[plain.languages(5)])
    np.testing.assert_allclose(moved.mean_distribution()[:, renamed], plain.mean_distribution())
    np.testing.assert_allclose(moved.covariance(1, 1)[renamed][:, renamed], plain.covariance(1, 1))
    rows = 300 * np.mean([moved.distribution(epoch).mean(0) for epoch in range(60)], axis=0)
    np.testing.assert_allclose(rows, 300 * moved.mean_distribution()[0], atol=0.02)


def test_cacl_puts_english_first_and_another_language_second():
    drawn = SCHEMES["cacl"](clips=500, languages=3).languages(7)
    assert (drawn[:, 0] == 0).all() and set(drawn[:, 1]) == {1, 2}


def test_one_language_leaves_no_error():
    for name in [name for name in SCHEMES if not name.startswith("cacl")]:
        scheme = scheme_of(name, 5, 1, m=1)
        assert data_distribution_error(scheme.distribution(0), ideal_distribution(5, 1)) == 0


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("cacl", {"languages": 1}, "cacl cannot draw 2 different languages out of 1"),
        ("cacl_unbiased", {"languages": 1}, "cannot draw 2 different languages out of 1"),
        ("m_of_k", {"m": 9}, "9 different languages out of 8"),
        ("balanced", {"m": 9}, "9 different languages out of 8"),
        ("balanced", {}, "balanced needs m"),
        ("hold", {"m": 2}, "has m=1, got m=2"),
        ("hold", {"hold": 0}, "hold must be an integer of at least 1, got 0"),
        ("hold", {"hold": 1.5}, "hold must be an integer"),
        ("ml_clap", {"hold": 2}, "ml_clap has no setting hold"),
        ("balanced", {"m": 2, "text_text": 0.5}, "balanced has no setting text_text"),
        ("cacl", {"text_text": "half"}, "text_text is a share"),
        ("cacl", {"anchor": 9}, "anchor=9 is none of the 8 languages: give 1 ... 8"),
        ("cacl", {"text_text": 1.0}, "text_text is a share, 0 <= text_text < 1, got 1.0"),
        ("cacl_unbiased", {"text_text": -0.1}, "text_text is a share"),
        ("m_of_k", {}, "m_of_k needs m"),
        ("ml_clap", {"m": 2}, "has m=1, got m=2"),
        ("kcl", {"m": 2}, "has m=8"),
    ],
)
def test_bad_arguments_say_what_is_wrong(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        SCHEMES[name](**{"clips": 4, "languages": 8} | arguments)


def test_an_unknown_scheme_lists_the_known_ones():
    with pytest.raises(
        ValueError,
        match="'clap': use one of ml_clap, m_of_k, latin, balanced, hold, block, cacl,",
    ):
        SCHEMES["clap"]
    assert "clap" not in SCHEMES


def test_a_scheme_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SCHEMES["kcl"](clips=4, languages=8).seed = 1


@dataclass(frozen=True, init=False)
class Leaning(SCHEMES["ml_clap"]):
    """A share whose default is written as a whole number."""

    name = "leaning"
    lean: float = 0


def test_a_setting_is_of_the_kind_that_its_field_says():
    assert Leaning(clips=2, languages=2, seed=0, lean=0.5).lean == 0.5
    with pytest.raises(ValueError, match="lean is a share"):
        Leaning(clips=2, languages=2, seed=0, lean=1.5)
