"""Exact values of sympy expressions, and what every scheme can draw."""

import itertools
from fractions import Fraction as F

import sympy as sp

USED = dict.fromkeys(("ml_clap", "latin", "hold", "block", "english"), 1)
USED |= {"cacl": 2, "cacl_unbiased": 2}  # else m


def at(expression, **values):
    """An expression's exact value; values by the printed name of the symbol."""
    chosen = {symbol: sp.Rational(values[symbol.name]) for symbol in expression.free_symbols}
    return F(*sp.Rational(expression.subs(chosen)).as_numer_denom())


def draws(scheme, languages, used):
    """All sets of languages that one clip can see in an epoch, equally likely."""
    if scheme == "english":
        return [(0,)]
    if scheme.startswith("cacl"):
        return [(0, other) for other in range(1, languages)]
    return list(itertools.combinations(range(languages), used))


def weights(scheme, languages, seen):
    """A clip's share of every language when it sees these."""
    english = F(1, languages)
    each = [english, 1 - english] if scheme == "cacl_unbiased" else [F(1, len(seen))] * len(seen)
    share = dict(zip(seen, each, strict=True))
    return [share.get(k, F(0)) for k in range(languages)]


def mean(values):
    values = list(values)
    return sum(values, F(0)) / len(values)


def variance(values):
    return mean(x * x for x in values) - mean(values) ** 2
