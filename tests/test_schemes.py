"""Schemes: closed forms of error, mean and covariance by enumeration; draws that depend on seed and
epoch alone.
"""

import ast
import hashlib
import pathlib
from itertools import combinations, permutations, product
from math import comb, gcd

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pydantic import Field, ValidationError

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
    own = {"hold": {"hold": hold}, "block": {"block": 1}}.get(name, {})
    if SCHEMES[name].chooses_m:
        own = {"m": m}
    return SCHEMES[name](clips=clips, languages=languages, seed=seed, **own)


sizes = {
    "clips": st.integers(1, 12),
    "languages": st.integers(2, 9),
    "seed": st.integers(0, 2**32),
    "epoch": st.integers(0, 50),
}


def error_of(distribution):
    return data_distribution_error(distribution, ideal_distribution(*distribution.shape))


@settings(deadline=None, max_examples=60)
@given(data=st.data(), **sizes)
def test_error_per_epoch_has_its_closed_form(data, clips, languages, seed, epoch):
    m = data.draw(st.integers(1, languages))
    seen = {"m_of_k": m, "balanced": m, "cacl": 2, "cacl_unbiased": 2, "kcl": languages}
    for name in SCHEMES:
        error = error_of(scheme_of(name, clips, languages, seed, m).distribution(epoch))
        unseen = languages - seen.get(name, 1)
        assert error == pytest.approx(2 * unseen / languages, abs=1e-12), name


@settings(deadline=None, max_examples=40)
@given(data=st.data(), **sizes)
def test_draws_are_distinct_languages_and_their_distribution_counts_them(
    data, clips, languages, seed, epoch
):
    m = data.draw(st.integers(1, languages))
    for name in SCHEMES:
        scheme = scheme_of(name, clips, languages, seed, m)
        weights = [1 / scheme.m] * scheme.m
        if name == "cacl_unbiased":
            weights = [1 / languages, 1 - 1 / languages]
        assert_allclose(scheme.weights, weights, atol=1e-15)
        drawn = scheme.languages(epoch)
        assert drawn.dtype == np.int64
        assert drawn.shape == (clips, scheme.m)
        counted = np.zeros((clips, languages))
        for i, row in enumerate(drawn):
            assert len(set(row)) == len(row)
            for k, weight in zip(row, weights, strict=True):
                counted[i, k] += weight
        realised = scheme.distribution(epoch)
        assert realised.dtype == np.float64
        assert_allclose(realised, counted / clips, atol=1e-15)
        assert realised.sum() == pytest.approx(1)
        assert scheme.mean_distribution().sum() == pytest.approx(1)


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_latin_visits_every_language_once_in_any_k_consecutive_epochs(
    clips, languages, seed, epoch
):
    scheme = scheme_of("latin", clips, languages, seed)
    realised = [scheme.distribution(e) for e in range(epoch, epoch + languages)]
    assert error_of(np.mean(realised, axis=0)) == pytest.approx(0, abs=1e-12)
    one_short = np.mean(realised[:-1], axis=0)
    assert error_of(one_short) > 0.1


@settings(deadline=None, max_examples=60)
@given(data=st.data(), **sizes)
def test_balanced_has_no_error_over_a_cycle_and_reshuffles_after_it(
    data, clips, languages, seed, epoch
):
    m = data.draw(st.integers(1, languages))
    scheme = scheme_of("balanced", clips, languages, seed, m)
    length = languages // gcd(languages, m)
    begin = epoch - epoch % length
    realised = [scheme.distribution(e) for e in range(begin, begin + length)]
    assert error_of(np.mean(realised, axis=0)) == pytest.approx(0, abs=1e-12)
    if length > 1:
        one_short = np.mean(realised[:-1], axis=0)
        assert error_of(one_short) > 1e-3


def test_balanced_takes_every_order_equally_often_and_cycles_are_independent():
    scheme = SCHEMES["balanced"](clips=24_000, languages=3, m=1)
    orders = np.concatenate([scheme.languages(epoch) for epoch in range(6)], axis=1)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    expected = 24_000 / 36
    assert len(counts) == 36
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@settings(deadline=None, max_examples=30)
@given(hold=st.integers(1, 9), **sizes)
def test_hold_keeps_the_draws_of_ml_clap_for_a_block(hold, clips, languages, seed, epoch):
    held = scheme_of("hold", clips, languages, seed, hold=hold)
    free = scheme_of("ml_clap", clips, languages, seed)
    assert np.array_equal(held.languages(epoch), free.languages(epoch // hold))


def rows_of(outcomes, languages, weights=None):
    """The rows of N p' of equally likely outcomes, each a tuple of languages: [outcomes, K]."""
    rows = np.zeros((len(outcomes), languages))
    for row, outcome in zip(rows, outcomes, strict=True):
        row[list(outcome)] = weights or 1 / len(outcome)
    return rows


def outcomes_of(name, languages, m):
    """What a clip can see in one epoch, all equally likely."""
    if name == "m_of_k":
        return list(combinations(range(languages), m))
    if name.startswith("cacl"):
        return [(0, k) for k in range(1, languages)]
    if name == "kcl":
        return [tuple(range(languages))]
    if name == "english":
        return [(0,)]
    return [(k,) for k in range(languages)]


def histories_of(name, languages, m, epochs, hold):
    """All equally likely histories of one clip, each a list of `epochs` outcomes."""
    if name == "latin":
        offsets = range(languages)
        return [[((offset + e) % languages,) for e in range(epochs)] for offset in offsets]
    if name == "balanced":
        length = languages // gcd(languages, m)
        places = np.arange(length * m).reshape(length, m) % languages
        orders = map(np.array, permutations(range(languages)))
        cycles = [list(map(tuple, order[places])) for order in orders]
        chosen = product(cycles, repeat=-(-epochs // length))
        return [sum(choice, [])[:epochs] for choice in chosen]
    block = hold if name == "hold" else 1
    drawn = product(outcomes_of(name, languages, m), repeat=-(-epochs // block))
    return [[choice[e // block] for e in range(epochs)] for choice in drawn]


def every_history(name, languages, m, epochs, hold):
    """The rows of N p' of all equally likely histories of one clip: [histories, epochs, K]."""
    weights = [1 / languages, 1 - 1 / languages] if name == "cacl_unbiased" else None
    histories = histories_of(name, languages, m, epochs, hold)
    return np.stack([rows_of(history, languages, weights) for history in histories])


CASES = [(2, 1), (3, 1), (3, 2), (4, 2), (4, 3)]


@pytest.mark.parametrize("languages, m", CASES)
@pytest.mark.parametrize("name", SCHEMES)
def test_mean_and_covariance_are_those_of_every_history(name, languages, m, epochs=4, hold=2):
    rows = every_history(name, languages, m, epochs, hold)
    scheme = scheme_of(name, 3, languages, m=m, hold=hold)
    mean = rows.mean(0)
    for one in mean:
        assert_allclose(one, 3 * scheme.mean_distribution()[0], atol=1e-12)
    exact = np.einsum("hek,hfl->efkl", rows - mean, rows - mean) / len(rows)
    every = np.arange(epochs)
    assert_allclose(scheme.covariance(every[:, None], every), exact, atol=1e-12)
    for e, f in product(every, repeat=2):
        assert_allclose(scheme.covariance(e, f), exact[e, f], atol=1e-12)


@pytest.mark.parametrize("name", SCHEMES)
def test_mean_and_covariance_are_those_of_many_clips(name, clips=60_000, languages=5, epochs=5):
    """Sampled rows, with a case that no enumeration covers: m that does not divide K, blocks of
    three.
    """
    scheme = scheme_of(name, clips, languages, seed=1, m=3, hold=3)
    every = np.arange(epochs)
    rows = clips * np.stack([scheme.distribution(e) for e in every])  # [E, N, K]
    mean = clips * scheme.mean_distribution()[0]
    assert_allclose(rows.mean(1), np.tile(mean, (epochs, 1)), atol=0.01)
    centred = rows - rows.mean(1, keepdims=True)
    sampled = np.einsum("enk,fnl->efkl", centred, centred) / clips
    assert_allclose(scheme.covariance(every[:, None], every), sampled, atol=0.006)


def test_draws_of_a_cycle_avoid_each_other_and_those_of_a_block_repeat():
    for name in ("balanced", "latin"):
        scheme = scheme_of(name, 4, 6, m=2)
        assert (np.diag(scheme.covariance(0, 1)) < 0).all()
    hold = scheme_of("hold", 4, 6, hold=3)
    assert np.array_equal(hold.covariance(0, 2), hold.covariance(1, 1))
    assert not hold.covariance(2, 3).any()


@pytest.fixture
def embeddings():
    """Of five clips and six texts each."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(5, 4, generator=generator)
    texts = torch.randn(5, 6, 4, generator=generator)
    return clips, texts


@pytest.mark.parametrize("name", SCHEMES)
def test_a_loss_is_the_weighted_mean_over_the_drawn_texts(name, embeddings):
    clips, texts = embeddings
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
    sides = []
    for j, weight in enumerate(scheme.weights.tolist()):
        sides.append(weight * ml_clap_loss(clips, texts[:, j], 0.5))
    torch.testing.assert_close(scheme.loss(clips, texts, 0.5), sum(sides))
    if not scheme.together:
        columns = [slice(j, j + 1) for j in range(scheme.m)]
        parts = [scheme.loss(clips, texts[:, column], 0.5, column) for column in columns]
        torch.testing.assert_close(torch.stack(parts), torch.stack(sides))


@pytest.mark.parametrize("name", SCHEMES)
def test_autocast_does_not_round_a_loss(name, embeddings):
    clips, texts = embeddings
    scheme = scheme_of(name, 5, 6, m=3)
    texts = texts[:, : scheme.m]
    outside = scheme.loss(clips, texts, 0.5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(scheme.loss(clips, texts, 0.5), outside)


# SHA-256 of the draws of ten epochs: another value, and runs of the same seed are other runs
DRAWS = {
    "ml_clap": "5f705982db944117",
    "m_of_k": "9affcf1953570130",
    "latin": "bd171b96266d0620",
    "cacl": "aca5d15a11928ecf",
    "kcl": "073a6123ceab47fd",
    "english": "fc19b19971194257",
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_gives_the_draws_it_always_gave(name):
    scheme = scheme_of(name, 50, 8, seed=3, m=3)
    drawn = np.stack([scheme.languages(epoch) for epoch in range(10)])
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == DRAWS[name]


def constants(node):
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}


LIBRARY = pathlib.Path(atri_lib.__file__).parent


def test_no_other_file_knows_the_new_schemes_or_asks_for_a_scheme_by_name():
    for path in LIBRARY.rglob("*.py"):
        if path.parent.name == "schemes":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not constants(tree) & {"balanced", "cacl_unbiased"}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare | ast.MatchValue):
                assert not constants(node) & set(SCHEMES), path


def test_every_scheme_goes_by_its_name_has_a_look_and_the_settings_of_all_are_known():
    assert all(scheme.name == name for name, scheme in SCHEMES.items())
    for part in ("label", "colour", "marker"):
        assert len({getattr(scheme, part) for scheme in SCHEMES.values()}) == len(SCHEMES)
    own = [name for scheme in SCHEMES.values() for name in scheme.model_fields]
    assert set(own) == {"clips", "k", "seed", *SETTINGS}


def test_m_of_k_draws_every_subset_equally_often():
    drawn = SCHEMES["m_of_k"](clips=30_000, languages=5, m=3).languages(0)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    expected = 30_000 / comb(5, 3)
    assert len(counts) == comb(5, 3)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_settings_may_be_numbers_of_numpy():
    assert SCHEMES["hold"](clips=6, languages=4, hold=np.int64(2)).hold == 2


def test_distributions_of_other_pairs_have_no_distance():
    with pytest.raises(ValueError, match=r"\(32,\) \(8,\)"):
        data_distribution_error(ideal_distribution(4, 8), ideal_distribution(1, 8))


def test_epochs_and_clips_are_drawn_independently():
    scheme = SCHEMES["ml_clap"](clips=20_000, languages=4)
    first = scheme.languages(0)[:, 0]
    second = scheme.languages(1)[:, 0]
    assert np.mean(first == second) == pytest.approx(1 / 4, abs=0.02)
    assert np.mean(first[1:] == first[:-1]) == pytest.approx(1 / 4, abs=0.02)


@pytest.mark.parametrize("name", SCHEMES)
def test_draws_depend_on_seed_and_epoch_not_on_the_order_of_calls(name):
    forward = scheme_of(name, 50, 8)
    backward = scheme_of(name, 50, 8)
    assert forward == backward
    ahead = {epoch: forward.languages(epoch) for epoch in range(4)}
    for epoch in reversed(range(4)):
        assert np.array_equal(backward.languages(epoch), ahead[epoch])
    if name not in ("kcl", "english"):  # these two draw nothing
        assert not np.array_equal(ahead[0], ahead[2])
        other_seed = scheme_of(name, 50, 8, seed=1)
        assert not np.array_equal(ahead[0], other_seed.languages(0))


@settings(deadline=None, max_examples=30)
@given(**sizes)
def test_m_of_k_is_nested_and_runs_from_ml_clap_to_kcl(clips, languages, seed, epoch):
    of_m = []
    for m in range(1, languages + 1):
        of_m.append(scheme_of("m_of_k", clips, languages, seed, m).languages(epoch))
    ml_clap = scheme_of("ml_clap", clips, languages, seed)
    kcl = scheme_of("kcl", clips, languages, seed)
    assert np.array_equal(of_m[0], ml_clap.languages(epoch))
    assert np.array_equal(of_m[-1], kcl.languages(epoch))
    assert np.array_equal(of_m[-1], np.tile(np.arange(languages), (clips, 1)))
    for fewer, more in zip(of_m, of_m[1:], strict=False):
        assert all(set(a) < set(b) for a, b in zip(fewer, more, strict=True))


def test_a_batch_of_block_speaks_one_language_and_batches_differ():
    scheme = SCHEMES["block"](clips=95, languages=8, seed=4, block=10)
    assert not scheme.independent_clips
    assert scheme_of("block", 95, 8).independent_clips  # blocks of one clip
    drawn = scheme.languages(3)[clip_order(95, 4, 3), 0]
    batches = np.split(drawn, range(10, 95, 10))
    assert [len(set(batch)) for batch in batches] == [1] * 10
    assert len(set(drawn)) > 2


@pytest.mark.parametrize("name", ["cacl", "cacl_unbiased"])
def test_cacl_with_another_anchor_is_cacl_with_the_languages_renamed(name):
    plain = SCHEMES[name](clips=300, languages=4, seed=2)
    moved = SCHEMES[name](clips=300, languages=4, seed=2, anchor=3)
    renamed = np.array([2, 0, 1, 3])  # what was first is the third now, the others keep their order
    assert np.array_equal(moved.languages(5), renamed[plain.languages(5)])
    assert_allclose(moved.mean_distribution()[:, renamed], plain.mean_distribution())
    assert_allclose(moved.covariance(1, 1)[renamed][:, renamed], plain.covariance(1, 1))
    rows = [300 * moved.distribution(epoch).mean(0) for epoch in range(60)]
    assert_allclose(np.mean(rows, axis=0), 300 * moved.mean_distribution()[0], atol=0.02)


def test_cacl_puts_english_first_and_another_language_second():
    drawn = SCHEMES["cacl"](clips=500, languages=3).languages(7)
    assert (drawn[:, 0] == 0).all()
    assert set(drawn[:, 1]) == {1, 2}


def test_one_language_leaves_no_error():
    for name in [name for name in SCHEMES if not name.startswith("cacl")]:
        scheme = scheme_of(name, 5, 1, m=1)
        assert error_of(scheme.distribution(0)) == 0
        assert error_of(scheme.mean_distribution()) == 0
        assert not scheme.covariance(0, 0).any()


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("cacl", {"languages": 1}, "cacl cannot draw 2 different languages out of 1: give"),
        ("cacl_unbiased", {"languages": 1}, "cannot draw 2 different languages out of 1: give"),
        ("m_of_k", {"m": 9}, "m_of_k cannot draw 9 different languages out of 8: give more"),
        ("balanced", {"m": 9}, "cannot draw 9 different languages out of 8: give more"),
        ("balanced", {}, "^balanced needs m$"),
        ("m_of_k", {"m": None}, "^m_of_k needs m$"),
        ("m_of_k", {"m": 0}, "m_of_k: m=0: Input should be greater than 0"),
        ("hold", {"m": 2}, "hold over 8 languages has m=1, got m=2: m_of_k lets you choose"),
        ("hold", {"hold": 0}, "hold: hold=0: Input should be greater than 0"),
        ("hold", {"hold": 1.5}, "valid integer"),
        ("ml_clap", {"hold": 2}, "ml_clap has no setting hold$"),
        ("balanced", {"m": 2, "text_text": 0.5}, "balanced has no setting text_text"),
        ("cacl", {"text_text": "half"}, "valid number"),
        ("cacl", {"anchor": 9}, "^anchor=9 is none of the 8 languages: give 1 ... 8$"),
        ("cacl", {"text_text": 1.0}, "cacl: text_text=1.0: Input should be less than 1"),
        ("cacl_unbiased", {"text_text": -0.1}, "text_text=-0.1: Input should be greater"),
        ("cacl", {"text_text": float("nan")}, "text_text=nan: Input should be"),
        ("ml_clap", {"m": 2}, "ml_clap over 8 languages has m=1, got m=2"),
        ("kcl", {"m": 2}, "^kcl over 8 languages has m=8, got m=2: m_of_k lets you choose"),
    ],
)
def test_bad_arguments_say_what_is_wrong(name, arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        SCHEMES[name](**{"clips": 4, "languages": 8} | arguments)
    said = str(raised.value)
    assert "\n" not in said
    assert "clips=" not in said


def test_an_unknown_scheme_lists_the_known_ones():
    known = "ml_clap, m_of_k, latin, balanced, hold, block, cacl,"
    with pytest.raises(ValueError, match=f"'clap': use one of {known}"):
        SCHEMES["clap"]
    assert "clap" not in SCHEMES


def test_a_scheme_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        SCHEMES["kcl"](clips=4, languages=8).seed = 1


class Leaning(SCHEMES["ml_clap"]):
    """A share whose default is written as a whole number."""

    name = "leaning"
    lean: float = Field(0, ge=0, lt=1)


def test_a_setting_is_of_the_kind_that_its_field_says():
    assert Leaning(clips=2, languages=2, seed=0, lean=0.5).lean == 0.5
    with pytest.raises(ValueError, match="leaning: lean=1.5: Input should be less than 1"):
        Leaning(clips=2, languages=2, seed=0, lean=1.5)
