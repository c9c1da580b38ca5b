"""Rank spread and agreement against plain loops; what they can and cannot see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.evaluation import mean_rank_std, mean_rank_variance


def some_ranks(clips, languages, seed):
    return np.random.default_rng(seed).integers(1, 30, size=(clips, languages))


def loop_variances(ranks):
    variances = []
    for row in ranks:
        mean = sum(row) / len(row)
        variances.append(sum((rank - mean) ** 2 for rank in row) / len(row))
    return variances


sizes = {"clips": st.integers(1, 8), "languages": st.integers(1, 8), "seed": st.integers(0, 2**16)}


@settings(deadline=None, max_examples=60)
@given(**sizes)
def test_measures_equal_plain_loops(clips, languages, seed):
    ranks = some_ranks(clips, languages, seed)
    variances = loop_variances(ranks)
    assert mean_rank_variance(ranks) == pytest.approx(np.mean(variances), abs=1e-9)
    assert mean_rank_std(ranks) == pytest.approx(np.mean(np.sqrt(variances)), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(shift=st.integers(0, 10), **sizes)
def test_order_of_clips_and_languages_and_a_common_shift_do_not_matter(
    shift, clips, languages, seed
):
    ranks = some_ranks(clips, languages, seed)
    rng = np.random.default_rng(seed)
    shuffled = ranks[rng.permutation(clips)][:, rng.permutation(languages)] + shift
    for measure in (mean_rank_variance, mean_rank_std):
        assert measure(shuffled) == pytest.approx(measure(ranks), abs=1e-9)
    assert mean_rank_std(ranks) ** 2 <= mean_rank_variance(ranks) + 1e-9
    assert mean_rank_variance(3 * ranks) == pytest.approx(9 * mean_rank_variance(ranks))


def test_agreement_is_zero_spread_even_if_all_are_wrong():
    ranks = np.array([[7, 7, 7], [400, 400, 400]])
    assert mean_rank_variance(ranks) == mean_rank_std(ranks) == 0
    assert mean_rank_variance([[5], [9]]) == 0


def test_variance_is_the_population_one():
    assert mean_rank_variance([[1, 3]]) == 1  # the sample variance would be 2
    assert mean_rank_variance([[1, 3], [1, 1]]) == 0.5
    assert mean_rank_std([[1, 3], [1, 1]]) == 0.5


def test_variance_and_deviation_can_order_two_systems_differently():
    """Why the book prints both: one lost instance outweighs many small disagreements in MRV
    only.
    """
    all_small = np.tile([1, 4], (10, 1))
    one_lost = np.ones((10, 2))
    one_lost[0, 1] = 21
    assert mean_rank_variance(one_lost) > mean_rank_variance(all_small)
    assert mean_rank_std(one_lost) < mean_rank_std(all_small)


@pytest.mark.parametrize("ranks", [[1.0, 2.0], np.ones((0, 8)), [[1.0, np.nan]]])
@pytest.mark.parametrize("measure", [mean_rank_variance, mean_rank_std])
def test_what_holds_no_ranks_of_languages_is_refused(measure, ranks):
    with pytest.raises(ValueError, match="finite ranks"):
        measure(ranks)
