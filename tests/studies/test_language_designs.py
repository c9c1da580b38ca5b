"""Inclusion designs: the linear program against a search, closed forms, and the counter-example to
the law.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.schemes import SCHEMES
from atri_lib.theory import bounds
from atri_lib.theory.experiment import Experiment
from studies import language_designs
from tests.theory.toy_heads import features, heads

OPPOSED = np.outer([1, 1, -1, -1], [1, 1, -1, -1]).astype(float)  # gradients 1, 1, -1, -1


def gram(languages, dim=3, seed=0):
    x = np.random.default_rng(seed).normal(size=(languages, dim))
    return x @ x.T


def variance_of(design, matrix):
    """m^-2 sum_kl (pi_kl - pi_k pi_l) <g_k, g_l>, from inclusion probabilities alone."""
    single, m = np.diag(design.joint), design.members[0].sum()
    return ((design.joint - np.outer(single, single)) * matrix).sum() / m**2


def test_counter_example_unbiased_and_independent_but_not_uniform():
    """K = 4, m = 2: {1, 2} or {3, 4} has variance 1, uniform pairs 1/3, {1, 3} or {2, 4} none."""
    members, deviations = (
        language_designs.subsets(4, 2),
        language_designs.deviations(OPPOSED, language_designs.subsets(4, 2)),
    )
    by_pair = {
        tuple(np.flatnonzero(row)): value for row, value in zip(members, deviations, strict=True)
    }
    assert (by_pair[0, 1] + by_pair[2, 3]) / 2 == pytest.approx(1)
    assert (
        np.mean(deviations) == pytest.approx(bounds.sampling_factor(4, 2)) == pytest.approx(1 / 3)
    )
    best = language_designs.best(OPPOSED, 2)
    assert best.variance == pytest.approx(0, abs=1e-9) and best.uniform == pytest.approx(1 / 3)
    np.testing.assert_allclose(np.diag(best.joint), 0.5)
    assert best.joint[0, 1] == pytest.approx(0) == best.joint[2, 3]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.data(), st.integers(0, 99))
def test_the_program_finds_an_unbiased_design_no_worse_than_any_tried(languages, data, seed):
    m = data.draw(st.integers(1, languages))
    matrix = gram(languages, seed=seed)
    best = language_designs.best(matrix, m)
    np.testing.assert_allclose(np.diag(best.joint), m / languages, atol=1e-9)
    assert best.chance.min() >= -1e-9 and best.chance.sum() == pytest.approx(1)
    assert best.variance == pytest.approx(variance_of(best, matrix), abs=1e-9)
    assert best.variance == pytest.approx((best.covariance * matrix).sum(), abs=1e-9)
    centred = matrix - matrix.mean(0) - matrix.mean(1)[:, None] + matrix.mean()
    assert best.uniform == pytest.approx(
        bounds.sampling_factor(languages, m) * np.trace(centred) / languages, abs=1e-9
    )
    assert 0 <= best.share <= 1 + 1e-9
    if languages % m == 0:
        blocks = language_designs.best_partition(matrix, m)
        np.testing.assert_allclose(np.diag(blocks.joint), m / languages)
        assert best.variance - 1e-9 <= blocks.variance <= blocks.uniform + 1e-9
        assert blocks.variance == pytest.approx(variance_of(blocks, matrix), abs=1e-9)
    if m in (1, languages - 1, languages):
        assert best.share == pytest.approx(1)


def test_four_languages_in_pairs_have_a_closed_form():
    matrix = gram(4, seed=5)
    pairings = language_designs.deviations(matrix, language_designs.subsets(4, 2))[
        :3
    ]  # {1, 2}, {1, 3}, {1, 4}; their rests deviate alike
    assert language_designs.best(matrix, 2).share == pytest.approx(
        3 * pairings.min() / pairings.sum()
    )
    assert language_designs.best(matrix, 2).share == pytest.approx(
        language_designs.best_partition(matrix, 2).share
    )
    assert language_designs.best(matrix, 2).share < 0.9


def test_a_design_of_all_subsets_covaries_as_the_scheme_that_draws_them(languages=5, m=2):
    members = language_designs.subsets(languages, m)
    uniform = language_designs.Design(members, np.full(len(members), 1 / len(members)), 1.0, 1.0)
    scheme = SCHEMES["m_of_k"](clips=1, languages=languages, m=m)
    np.testing.assert_allclose(uniform.covariance, scheme.covariance(0, 0), atol=1e-12)
    assert not np.allclose(
        language_designs.best(gram(languages), m).covariance, scheme.covariance(0, 0)
    )


def test_equal_pair_inclusion_is_enough_for_the_law():
    """The seven lines of the Fano plane do what all 35 triples of seven languages do."""
    lines = [{(start + step) % 7 for step in (0, 1, 3)} for start in range(7)]
    members = np.array([[k in line for k in range(7)] for line in lines])
    together = members.T.astype(int) @ members
    assert set(together[~np.eye(7, dtype=bool)]) == {1} and set(np.diag(together)) == {3}
    for seed in range(5):
        matrix = gram(7, dim=4, seed=seed)
        every = language_designs.deviations(matrix, language_designs.subsets(7, 3)).mean()
        assert language_designs.deviations(matrix, members).mean() == pytest.approx(every)
    unequal = members[[0, 0, 2, 3, 4, 5, 6]]
    assert language_designs.deviations(matrix, unequal).mean() != pytest.approx(every)


def test_languages_that_are_all_alike_leave_nothing_to_choose():
    alike = 0.3 + 0.7 * np.eye(6)
    assert (
        language_designs.best(alike, 3).share
        == pytest.approx(1)
        == language_designs.best_partition(alike, 3).share
    )
    assert language_designs.best(np.zeros((4, 4)), 2).share == 1


def test_partition_is_the_best_of_all_and_needs_m_to_divide_k():
    matrix = gram(6, seed=2)
    members = language_designs.subsets(6, 3)
    halves = language_designs.deviations(matrix, members)[
        members[:, 0]
    ]  # a half and its rest deviate alike
    assert language_designs.best_partition(matrix, 3).variance == pytest.approx(min(halves))
    eight = tuple(range(8))
    assert len(list(language_designs._partitions(eight, 2))) == 105
    assert len(list(language_designs._partitions(eight, 4))) == 35
    with pytest.raises(ValueError, match="do not divide"):
        language_designs.best_partition(matrix, 4)


def test_blocks_in_random_order_grow_like_balanced_times_the_share(languages=6, m=2, draws=20_000):
    x = np.random.default_rng(3).normal(size=(languages, 2))
    x -= x.mean(0)
    design = language_designs.best_partition(x @ x.T, m)
    blocks = np.stack([x[row].mean(0) for row in design.members[design.chance > 0]])
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(3), (draws, 1)), axis=1)
    sums = np.square(blocks[orders].cumsum(1)).sum(-1).mean(0)
    balanced = np.array(
        [epochs * (languages - m * epochs) / (languages - m) for epochs in (1, 2, 3)]
    )
    np.testing.assert_allclose(sums, design.variance * balanced, atol=0.02 * design.uniform)
    assert design.share < 0.7


def test_language_grams_are_products_of_pair_gradients():
    clip_features, texts = features(4, 3)
    setup = Experiment(heads(), clip_features, texts, batch=4, epochs=1)
    step = next(iter(setup.steps("")))
    grams = language_designs.language_grams(setup.task, setup.task.flat.start, step.data)
    one = torch.zeros(2, 4, 3, dtype=torch.float64)
    one[0, 2, 0] = one[1, 2, 1] = 1
    first, second = setup.task.gradients(
        setup.task.flat.start.expand(2, -1), one, step.data
    ).detach()
    assert grams[2, 0, 1] == pytest.approx((first @ second).item())
    spread = setup.task.language_spread(setup.task.flat.start[None], step.data, range(3)).item()
    assert spread == pytest.approx(sum(np.trace(g) / 3 - g.mean() for g in grams))
