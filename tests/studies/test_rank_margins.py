"""Rank changes against brute force, and the Gaussian form against simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib import evaluation
from studies.rank_margins import (
    expected_ranks,
    gaussian_ranks,
    margins,
    rank_shift_bound,
    ranks_of,
)

SEED = st.integers(0, 2**32 - 1)


def margins_of(scores):
    scores = np.asarray(scores, dtype=float)
    result = scores[0] - scores
    result[0] = np.inf
    return result


def rank(scores):
    return ranks_of(margins_of(scores))


def test_margins_give_the_ranks_of_the_evaluation():
    generator = np.random.default_rng(0)
    clips = generator.normal(size=(9, 4))
    texts = generator.normal(size=(12, 3, 4))
    owner = np.r_[np.arange(9), 0, 3, 3]
    found = ranks_of(margins(clips, texts, owner))
    expected = evaluation.rank_matrix(clips, texts, owner)
    assert (found == expected).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=7), st.integers(0, 4), SEED)
def test_no_change_of_scores_moves_a_rank_further_than_the_bound_which_is_attained(
    numbers, change, seed
):
    """Whole numbers, so that ties happen."""
    scores = np.array(numbers)
    worse, better = rank_shift_bound(margins_of(scores), change)
    before = rank(scores)
    generator = np.random.default_rng(seed)
    for move in generator.choice([-1, -0.5, 0, 0.5, 1], size=(64, len(scores))):
        assert -better <= rank(scores + change * move) - before <= worse
    push = np.full(len(scores), change)
    push[0] = -change  # the positive goes against all others
    assert rank(scores + push) - before == worse
    assert before - rank(scores - push) == better


def test_half_the_reach_is_not_enough():
    """One competitor, further than the change but within twice of it."""
    scores = np.array([0.0, -1.5])
    worse, _ = rank_shift_bound(margins_of(scores), 0.5)
    assert worse < 1
    assert rank(scores + [-1, 1]) - rank(scores) == 1


@settings(max_examples=30, deadline=None)
@given(SEED, st.floats(0, 1))
def test_the_root_of_mrv_moves_at_most_by_the_root_mean_square_bound(seed, change):
    generator = np.random.default_rng(seed)
    before = generator.normal(size=(5, 3, 6))
    before[..., 0] = np.inf
    after = before + generator.uniform(-2 * change, 2 * change, size=before.shape)
    worse, better = rank_shift_bound(before, change)
    bound = np.maximum(worse, better)
    roots = []
    for some in (before, after):
        variance = evaluation.mean_rank_variance(ranks_of(some))
        roots.append(np.sqrt(variance))
    most = np.sqrt((bound**2).mean())
    assert abs(roots[0] - roots[1]) <= most + 1e-12


def test_expected_rank_is_the_mean_of_simulated_ranks():
    generator = np.random.default_rng(0)
    mean = margins_of([0.4, 1.0, 0.3, -0.2, -1.0])
    spread = np.array([0, 0.5, 0.2, 0.6, 0.0])
    noise = generator.normal(size=(40_000, 5))
    simulated = ranks_of(mean + spread * noise).mean()
    assert expected_ranks(mean, spread**2) == pytest.approx(simulated, abs=0.02)
    assert expected_ranks(mean, 0) == ranks_of(mean)


def test_gaussian_ranks_have_the_mean_that_the_flip_probabilities_give():
    generator = np.random.default_rng(1)
    own = generator.normal(size=(3, 4, 2, 7))
    draws = own + generator.normal(size=(4, 2, 7))
    draws[..., 0] = np.inf
    finite = draws[..., 1:].astype(np.float32)
    variance = finite.var(0, ddof=1)
    expected = expected_ranks(finite.mean(0), variance)
    sampled = gaussian_ranks(draws, 4000, seed=0)
    assert sampled.shape == (4000, 4, 2)
    np.testing.assert_allclose(sampled.mean(0), expected, atol=0.12)


def test_a_variance_needs_two_draws():
    with pytest.raises(ValueError, match="at least 2 draws"):
        gaussian_ranks(np.zeros((1, 2, 3)), 5, seed=0)


def test_a_change_is_a_length():
    with pytest.raises(ValueError, match="change >= 0"):
        rank_shift_bound(np.zeros(3), -1.0)
