"""The direction error: the angle between the mean of K texts and the mean of the texts a scheme
used.

All inner products come from the Gram matrix of K unit texts with one common pairwise cosine c: 1 on
its diagonal, c off it.
"""

import sympy as sp

from atri_lib.theory.symbolic.distribution import K, Row, m

c = sp.Symbol("c", real=True)
s, k = sp.symbols("s k", integer=True, positive=True)


def gram_sum(first: sp.Expr | int, second: sp.Expr | int) -> sp.Expr:
    """Inner product of t_1 + ... + t_first and t_1 + ... + t_second (first <= second), summed from
    Gram entries.
    """
    left = sp.Sum(c, (k, 1, s - 1))  # of the diagonal
    right = sp.Sum(c, (k, s + 1, second))
    one_row = (left + 1 + right).doit()
    all_rows = sp.Sum(one_row, (s, 1, first)).doit()
    return sp.factor(all_rows)


def direction_cosine(used: sp.Expr | int = m) -> sp.Expr:
    """cos(theta_m): cosine between the mean of `used` texts and the mean of all K."""
    own = gram_sum(used, used)
    ideal = gram_sum(K, K)
    shared = gram_sum(used, K)
    squared = sp.cancel(shared**2 / (own * ideal))
    return sp.sqrt(squared.factor())


def direction_slope() -> sp.Expr:
    """d cos^2(theta_m) / dm, factored; not negative for -1/(K-1) <= c <= 1, the range in which such
    texts exist.
    """
    squared = direction_cosine() ** 2
    slope = sp.diff(squared, m)
    return sp.factor(slope)


def row_concentration(segments: Row) -> sp.Expr:
    """sum_k q_k^2 of a clip's row, normalised to sum to one: 1/m for m texts used equally, 1/K for
    all.
    """
    mass = sum(count * value for count, value in segments)
    squares = 0
    for count, value in segments:
        share = value / mass
        squares += count * share**2
    return sp.simplify(squares)


def weighted_direction_cosine(concentration: sp.Expr) -> sp.Expr:
    """The same cosine for any weights q_k that sum to one; they enter only through `concentration`
    = sum_k q_k^2.

    <sum_k q_k t_k, sum_l u_l t_l> = c sum_k q_k sum_l u_l + (1 - c) sum_k q_k u_k: the Gram matrix
    is c + (1 - c) I.
    """
    own = c + (1 - c) * concentration
    mean = c + (1 - c) / K
    with_mean = mean
    return sp.sqrt(with_mean**2 / (own * mean))
