"""The direction error's formulas against the Gram matrix and against vectors."""

import itertools
from fractions import Fraction as F

import numpy as np
import pytest

from atri_lib.theory.symbolic import distribution
from studies.symbolic import direction
from tests.theory.exact import at


def gram_cosine(gram, seen):
    everyone = range(len(gram))
    inner = lambda xs, ys: sum(gram[x][y] for x in xs for y in ys)  # noqa: E731
    return inner(seen, everyone) ** 2 / (inner(seen, seen) * inner(everyone, everyone))


@pytest.mark.parametrize("K, m", [(1, 1), (4, 1), (5, 3), (5, 5)])
@pytest.mark.parametrize("cosine", [F(0), F(2, 3), F(-1, 5)])
def test_direction_cosine_equals_the_gram_matrix(K, m, cosine):
    gram = [[F(1) if s == k else cosine for k in range(K)] for s in range(K)]
    expected = gram_cosine(gram, range(m))
    assert at(direction.direction_cosine() ** 2, K=K, m=m, c=cosine) == expected
    assert (
        at(direction.weighted_direction_cosine(1 / distribution.m) ** 2, K=K, m=m, c=cosine)
        == expected
    )


def test_direction_cosine_holds_for_constructed_unit_vectors(K=6, cosine=0.37):
    texts = np.linalg.cholesky(np.full((K, K), cosine) + (1 - cosine) * np.eye(K))
    for m in range(1, K + 1):
        used, ideal = texts[:m].mean(0), texts.mean(0)
        measured = used @ ideal / np.linalg.norm(used) / np.linalg.norm(ideal)
        derived = direction.direction_cosine().subs(
            {direction.c: cosine, distribution.K: K, distribution.m: m}
        )
        assert measured == pytest.approx(float(derived), abs=1e-12)


def test_direction_error_falls_with_every_language_and_ends_at_zero():
    assert direction.direction_cosine(distribution.K) == 1
    for K, cosine in itertools.product((2, 5), (F(-1, 6), F(0), F(9, 10))):
        values = [
            at(direction.direction_cosine() ** 2, K=K, m=m, c=cosine) for m in range(1, K + 1)
        ]
        assert values == sorted(set(values))
        assert at(direction.direction_slope(), K=K, m=2, c=cosine) > 0


def test_direction_cosine_fails_for_unequal_cosines():
    gram = [[F(1), F(9, 10), F(1, 10)], [F(9, 10), F(1), F(1, 10)], [F(1, 10), F(1, 10), F(1)]]
    mean_cosine = F(11, 30)
    assert (
        gram_cosine(gram, [2])
        < at(direction.direction_cosine(1) ** 2, K=3, c=mean_cosine)
        < gram_cosine(gram, [0])
    )


def test_direction_of_weighted_rows_equals_the_gram_matrix(K=5, cosine=F(1, 4)):
    weights = [F(1, 2)] + [F(1, 2 * (K - 1))] * (K - 1)  # expected CACL
    gram = [[F(1) if s == k else cosine for k in range(K)] for s in range(K)]

    def inner(x, y):
        return sum(x[s] * y[k] * gram[s][k] for s in range(K) for k in range(K))

    ideal = [F(1, K)] * K
    expected = inner(weights, ideal) ** 2 / inner(weights, weights) / inner(ideal, ideal)
    concentration = direction.row_concentration(distribution.expected_row("cacl"))
    assert at(direction.weighted_direction_cosine(concentration) ** 2, K=K, c=cosine) == expected
