"""The data distribution error of every scheme, from its definition: a sum of |p - p'| over all
(clip, language) pairs.

A clip's row of p' takes few values. Renaming the languages of a clip (which changes no sum over
languages) puts equal values side by side, so a row is written as segments (how many languages,
value of p').
"""

from collections.abc import Sequence

import sympy as sp

from atri_lib.schemes import SCHEMES

N, K, m = sp.symbols("N K m", integer=True, positive=True)
clip, language = sp.symbols("i k", integer=True, positive=True)
_slack = sp.Symbol("r", integer=True, nonnegative=True)  # by how much K exceeds the least

IDEAL = 1 / (N * K)  # p_ik: every clip in every language, equally often

Row = Sequence[tuple[sp.Expr | int, sp.Expr | int]]


def pools(scheme: str) -> sp.Tuple:
    """What an epoch of a scheme draws, as the scheme itself says it, in K and m: (size, drawn,
    weight) of every pool.
    """
    return sp.sympify(SCHEMES[scheme].pools(K, m))


def row(scheme: str) -> Row:
    """One clip's p' in one epoch: of every pool the drawn languages have their weight / N, the
    others nothing.
    """
    segments = []
    for size, drawn, weight in pools(scheme):
        segments.append((drawn, weight / N))
        segments.append((size - drawn, sp.S.Zero))
    return segments


def error_sum(segments: Row, ideal: sp.Expr = IDEAL) -> sp.Sum:
    """sum_ik |p_ik - p'_ik| for rows made of `segments`, as an unevaluated double sum."""
    inner = 0
    passed = 0
    for count, value in segments:
        inner += sp.Sum(sp.Abs(ideal - value), (language, passed + 1, passed + count))
        passed += count
    return sp.Sum(inner, (clip, 1, N))


def evaluate(total: sp.Sum, least: sp.Expr | int) -> sp.Expr:
    """Do the sums of `error_sum`, given K >= least, which settles the signs of absolute values."""
    many = total.subs(K, least + _slack)
    signed = many.replace(sp.Abs, lambda term: sp.Abs(sp.factor(term)))
    closed = sp.factor(sp.simplify(signed.doit()))
    return closed.subs(_slack, K - least)


def distribution_error(scheme: str) -> sp.Expr:
    """D of one epoch of a scheme, closed form in K (and m), for as many languages as it draws or
    more.
    """
    total = error_sum(row(scheme))
    least = sum(drawn for _, drawn, _ in pools(scheme))
    return evaluate(total, least)


def inclusion_probability(chosen: sp.Expr | int, languages: sp.Expr, named: int = 1) -> sp.Expr:
    """Chance that `named` given languages are all among `chosen` of `languages` drawn without
    replacement.

    Subsets that contain them, divided by all subsets.
    """
    subsets = sp.binomial(languages, chosen)
    containing = sp.binomial(languages - named, chosen - named)
    return sp.factor(sp.combsimp(containing / subsets))


def expected_row(scheme: str) -> Row:
    """E[p'] of one clip: every language of a pool has its chance to be drawn times its weight /
    N.
    """
    segments = []
    for size, drawn, weight in pools(scheme):
        chance = inclusion_probability(drawn, size)
        expected = sp.simplify(chance * weight / N)
        segments.append((size, expected))
    return segments


def bias(scheme: str) -> sp.Expr:
    """Data distribution error of E[p']: what no amount of averaging over draws removes."""
    total = error_sum(expected_row(scheme))
    return evaluate(total, least=len(pools(scheme)))
