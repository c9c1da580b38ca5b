"""Rank changes against brute force, and the Gaussian form against simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib import evaluation
from studies import rank_margins

SCORES = st.lists(st.integers(-6, 6), min_size=2, max_size=7)  # whole numbers, so that ties happen


def margins_of(scores):
    scores = np.asarray(scores, dtype=float)
    result = scores[0] - scores
    result[0] = np.inf
    return result


def test_margins_give_the_ranks_of_the_evaluation():
    generator = np.random.default_rng(0)
    clips, texts = generator.normal(size=(9, 4)), generator.normal(size=(12, 3, 4))
    owner = np.r_[np.arange(9), 0, 3, 3]
    assert (
        rank_margins.ranks_of(rank_margins.margins(clips, texts, owner))
        == evaluation.rank_matrix(clips, texts, owner)
    ).all()


@settings(max_examples=60, deadline=None)
@given(SCORES, st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_no_change_of_scores_moves_a_rank_further_than_the_bound(scores, change, seed):
    worse, better = rank_margins.rank_shift_bound(margins_of(scores), change)
    before = rank_margins.ranks_of(margins_of(scores))
    moves = (
        np.random.default_rng(seed).choice([-1, -0.5, 0, 0.5, 1], size=(64, len(scores))) * change
    )
    shifts = [rank_margins.ranks_of(margins_of(scores + move)) - before for move in moves]
    assert max(shifts) <= worse and -min(shifts) <= better


@settings(max_examples=60, deadline=None)
@given(SCORES, st.integers(0, 4))
def test_the_bound_is_attained_on_both_sides(scores, change):
    worse, better = rank_margins.rank_shift_bound(margins_of(scores), change)
    before, push = rank_margins.ranks_of(margins_of(scores)), np.full(len(scores), change)
    push[0] = -change  # the positive goes against all others
    assert rank_margins.ranks_of(margins_of(scores + push)) - before == worse
    assert before - rank_margins.ranks_of(margins_of(scores - push)) == better


def test_half_the_reach_is_not_enough():
    scores, change = (
        np.array([0.0, -1.5]),
        1.0,
    )  # one competitor, further than the change but within twice of it
    worse, _ = rank_margins.rank_shift_bound(margins_of(scores), change / 2)
    moved = rank_margins.ranks_of(margins_of(scores + [-change, change])) - rank_margins.ranks_of(
        margins_of(scores)
    )
    assert moved == 1 > worse


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_root_of_mrv_moves_at_most_by_the_root_mean_square_bound(seed, change):
    generator = np.random.default_rng(seed)
    before = generator.normal(size=(5, 3, 6))
    before[..., 0] = np.inf
    after = before + generator.uniform(-2 * change, 2 * change, size=before.shape)
    bound = np.maximum(*rank_margins.rank_shift_bound(before, change))
    roots = [
        np.sqrt(evaluation.mean_rank_variance(rank_margins.ranks_of(m))) for m in (before, after)
    ]
    assert abs(roots[0] - roots[1]) <= np.sqrt((bound**2).mean()) + 1e-12


def test_expected_rank_is_the_mean_of_simulated_ranks():
    generator = np.random.default_rng(0)
    mean, spread = margins_of([0.4, 1.0, 0.3, -0.2, -1.0]), np.array([0, 0.5, 0.2, 0.6, 0.0])
    simulated = rank_margins.ranks_of(mean + spread * generator.normal(size=(40_000, 5))).mean()
    assert rank_margins.expected_ranks(mean, spread**2) == pytest.approx(simulated, abs=0.02)
    assert rank_margins.expected_ranks(mean, 0) == rank_margins.ranks_of(mean)


def test_gaussian_ranks_have_the_mean_that_the_flip_probabilities_give():
    generator = np.random.default_rng(1)
    draws = generator.normal(size=(3, 4, 2, 7)) + generator.normal(size=(4, 2, 7))
    draws[..., 0] = np.inf
    finite = draws[..., 1:].astype(np.float32)
    expected = rank_margins.expected_ranks(finite.mean(0), finite.var(0, ddof=1))
    sampled = rank_margins.gaussian_ranks(draws, 4000, seed=0)
    assert sampled.shape == (4000, 4, 2)
    np.testing.assert_allclose(sampled.mean(0), expected, atol=0.12)


def test_a_variance_needs_two_draws_and_a_change_is_a_length():
    with pytest.raises(ValueError, match="at least 2 draws"):
        rank_margins.gaussian_ranks(np.zeros((1, 2, 3)), 5, seed=0)
    with pytest.raises(ValueError, match="change >= 0"):
        rank_margins.rank_shift_bound(np.zeros(3), -1.0)
