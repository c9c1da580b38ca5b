"""Inclusion designs: the linear program against a search, closed forms, and the counter-example to
the law.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pytest import approx

from atri_lib.schemes import SCHEMES
from studies.language_designs import (
    Design,
    _partitions,
    best,
    best_partition,
    deviations,
    language_grams,
    subsets,
)
from studies.mean_square_law import sampling_factor
from studies.task_derivatives import language_spread
from tests.studies.toys import first_step, toy


def gram(languages, dim=3, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(languages, dim))
    return x @ x.T


def variance_of(design, matrix):
    """m^-2 sum_kl (pi_kl - pi_k pi_l) <g_k, g_l>, from inclusion probabilities alone."""
    single = np.diag(design.joint)
    m = design.members[0].sum()
    covariance = design.joint - np.outer(single, single)
    return (covariance * matrix).sum() / m**2


def test_counter_example_unbiased_and_independent_but_not_uniform():
    """K = 4, m = 2: {1, 2} or {3, 4} has variance 1, uniform pairs 1/3, {1, 3} or {2, 4} none."""
    gradients = np.array([1.0, 1.0, -1.0, -1.0])
    opposed = np.outer(gradients, gradients)
    of_pairs = deviations(opposed, subsets(4, 2))  # {1, 2} first, {3, 4} last
    assert of_pairs[0] == approx(1)
    assert of_pairs[-1] == approx(1)
    assert of_pairs.mean() == approx(1 / 3)
    assert sampling_factor(4, 2) == approx(1 / 3)
    design = best(opposed, 2)
    assert design.variance == approx(0, abs=1e-9)
    joint = design.joint
    assert_allclose(np.diag(joint), 0.5)
    assert joint[0, 1] == approx(0)
    assert joint[2, 3] == approx(0)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.data(), st.integers(0, 99))
def test_the_program_finds_an_unbiased_design_no_worse_than_blocks(languages, data, seed):
    m = data.draw(st.integers(1, languages))
    matrix = gram(languages, seed=seed)
    design = best(matrix, m)
    assert_allclose(np.diag(design.joint), m / languages, atol=1e-9)
    assert design.chance.min() >= -1e-9
    assert design.chance.sum() == approx(1)
    assert design.variance == approx(variance_of(design, matrix), abs=1e-9)
    spread = np.trace(matrix) / languages - matrix.mean()
    law = sampling_factor(languages, m) * spread
    assert design.uniform == approx(law, abs=1e-9)
    assert 0 <= design.share <= 1 + 1e-9
    if languages % m == 0:
        blocks = best_partition(matrix, m)
        assert_allclose(np.diag(blocks.joint), m / languages)
        assert design.variance - 1e-9 <= blocks.variance <= blocks.uniform + 1e-9
        assert blocks.variance == approx(variance_of(blocks, matrix), abs=1e-9)
    if m in (1, languages - 1, languages):
        assert design.share == approx(1)


def test_four_languages_in_pairs_have_a_closed_form():
    matrix = gram(4, seed=5)
    of_pairs = deviations(matrix, subsets(4, 2))
    pairings = of_pairs[:3]  # {1, 2}, {1, 3}, {1, 4}; their rests deviate alike
    closed = 3 * pairings.min() / pairings.sum()
    assert closed < 0.9
    assert best(matrix, 2).share == approx(closed)
    assert best_partition(matrix, 2).share == approx(closed)


def test_a_design_of_all_subsets_covaries_as_the_scheme_that_draws_them():
    members = subsets(5, 2)
    chance = np.full(len(members), 1 / len(members))
    uniform = Design(members, chance, 1.0, 1.0)
    scheme = SCHEMES["m_of_k"](clips=1, languages=5, m=2)
    drawn = scheme.covariance(0, 0)
    assert_allclose(uniform.covariance, drawn, atol=1e-12)
    unequal = best(gram(5), 2)
    assert not np.allclose(unequal.covariance, drawn)


def test_equal_pair_inclusion_is_enough_for_the_law():
    """The seven lines of the Fano plane do what all 35 triples of seven languages do."""
    first_line = np.isin(np.arange(7), (0, 1, 3))
    members = np.array([np.roll(first_line, start) for start in range(7)])
    together = members.T.astype(int) @ members
    assert (together == 1 + 2 * np.eye(7)).all()
    matrix = gram(7, dim=4)
    every = deviations(matrix, subsets(7, 3)).mean()
    assert deviations(matrix, members).mean() == approx(every)
    unequal = members[[0, 0, 2, 3, 4, 5, 6]]
    assert deviations(matrix, unequal).mean() != approx(every)


@pytest.mark.parametrize("alike", [0.3 + 0.7 * np.eye(6), np.zeros((6, 6)), np.ones((6, 6))])
def test_languages_that_are_all_alike_leave_nothing_to_choose(alike):
    assert best(alike, 3).share == approx(1)
    assert best_partition(alike, 3).share == approx(1)


def test_a_partition_needs_m_to_divide_k():
    matrix = gram(6)
    with pytest.raises(ValueError, match="do not divide"):
        best_partition(matrix, 4)


@pytest.mark.parametrize("m, count", [(2, 105), (4, 35)])
def test_all_divisions_of_eight_languages_are_looked_at(m, count):
    eight = tuple(range(8))
    assert len(list(_partitions(eight, m))) == count


def test_blocks_in_random_order_grow_like_balanced_times_the_share():
    generator = np.random.default_rng(3)
    x = generator.normal(size=(6, 2))
    x -= x.mean(0)
    design = best_partition(x @ x.T, 2)
    assert design.share < 0.7
    chosen = design.members[design.chance > 0]
    blocks = chosen @ x / 2
    in_order = np.tile(np.arange(3), (20_000, 1))
    orders = generator.permuted(in_order, axis=1)
    sums = blocks[orders].cumsum(1)  # [draws, epochs, 2]
    squares = np.square(sums).sum(-1).mean(0)
    epochs = np.arange(1, 4)
    balanced = epochs * (6 - 2 * epochs) / (6 - 2)
    expected = design.variance * balanced
    assert_allclose(squares, expected, atol=0.02 * design.uniform)


def test_language_grams_are_products_of_pair_gradients():
    setup = toy(clips=4)
    task = setup.task
    start = task.start
    batch = first_step(setup).data
    grams = language_grams(task, start, batch)
    one = torch.zeros(2, 4, 3, dtype=torch.float64)
    one[0, 2, 0] = 1
    one[1, 2, 1] = 1
    first, second = task.gradients(start.expand(2, -1), one, batch).detach()
    assert grams[2, 0, 1] == approx((first @ second).item())
    spread = language_spread(task, start[None], batch, range(3)).item()
    of_clips = grams.trace(axis1=1, axis2=2) / 3 - grams.mean(axis=(1, 2))
    assert spread == approx(of_clips.sum())
