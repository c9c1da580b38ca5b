"""The data distribution error of every scheme, from its definition: a sum of |p - p'| over all (clip, language) pairs.

A clip's row of p' takes few values. Renaming the languages of a clip (which changes no sum over languages) puts equal
values side by side, so a row is written as segments (how many languages, value of p').
"""

import sympy as sp

N, K, m = sp.symbols("N K m", integer=True, positive=True)
clip, language = sp.symbols("i k", integer=True, positive=True)
offset, start = sp.symbols("o e_0", integer=True)  # of a Latin clip; the first epoch of a window
_slack = sp.Symbol("r", integer=True, nonnegative=True)

IDEAL = 1 / (N * K)  # p_ik: every clip in every language, equally often
USED = {"ml_clap": 1, "m_of_k": m, "latin": 1, "cacl": 2, "kcl": K}

Row = tuple[tuple[sp.Expr | int, sp.Expr | int], ...]


def row(scheme: str) -> Row:
    """One clip's p' in one epoch: the used languages share the clip's mass 1/N equally. Keys: those of USED."""
    used = USED[scheme]
    return (used, 1 / (N * used)), (K - used, 0)


def error_sum(segments: Row, ideal: sp.Expr = IDEAL) -> sp.Sum:
    """sum_ik |p_ik - p'_ik| for rows made of `segments`, as an unevaluated double sum."""
    inner, first = 0, 0
    for count, value in segments:
        inner += sp.Sum(sp.Abs(ideal - value), (language, first + 1, first + count))
        first += count
    return sp.Sum(inner, (clip, 1, N))


def evaluate(total: sp.Sum, least: sp.Expr | int = 1) -> sp.Expr:
    """Do the sums of `error_sum`, given K >= least (which is what settles the signs inside the absolute values)."""
    free_of_signs = total.subs(K, least + _slack).replace(sp.Abs, lambda term: sp.Abs(sp.factor(term)))
    return sp.factor(sp.simplify(free_of_signs.doit())).subs(_slack, K - least)


def distribution_error(scheme: str) -> sp.Expr:
    """D of one epoch of a scheme, closed form in K (and m); CACL for K >= 2, m-of-K for K >= m."""
    least = 1 if scheme == "kcl" else USED[scheme]
    return evaluate(error_sum(row(scheme)), least)


def inclusion_probability(chosen: sp.Expr | int, languages: sp.Expr, named: int = 1) -> sp.Expr:
    """Chance that `named` given languages are all among `chosen` of `languages` drawn without replacement.

    Subsets that contain them, divided by all subsets.
    """
    return sp.factor(sp.combsimp(sp.binomial(languages - named, chosen - named) / sp.binomial(languages, chosen)))


def expected_row(scheme: str) -> Row:
    """E[p'] of one clip for the random schemes; Latin: the mean over any K epochs."""
    if scheme == "cacl":  # English always; the other one uniformly among K - 1
        value = 1 / (N * USED[scheme])
        return (1, value), (K - 1, value * inclusion_probability(1, K - 1))
    if scheme == "latin":
        return ((K, latin_visits(K) / (N * K)),)
    return ((K, sp.simplify(inclusion_probability(USED[scheme], K) / (N * USED[scheme]))),)


def bias(scheme: str) -> sp.Expr:
    """Data distribution error of E[p']: what no amount of averaging over draws removes."""
    return evaluate(error_sum(expected_row(scheme)), 2 if scheme == "cacl" else 1)


def latin_visits(epochs: sp.Expr) -> sp.Expr:
    """In how many of `epochs` consecutive epochs Latin shows a clip in a given language.

    Epoch e shows language k if (offset + e - k) mod K = 0, so this counts the multiples of K in a window.
    """
    shift = start + offset - language
    return sp.floor(sp.expand((shift + epochs - 1) / K)) - sp.floor(sp.expand((shift - 1) / K))


def latin_accumulated_error(remainder: sp.Expr = m) -> sp.Expr:
    """sum_ik |q K p - sum_e p'_e| after E = q K + remainder epochs of Latin, 0 <= remainder <= K.

    K epochs visit every language once (latin_visits), so `remainder` languages have been seen q + 1 times, the rest q.
    """
    rounds = sp.Symbol("q", integer=True, nonnegative=True)
    seen = (remainder, (rounds + 1) / N), (K - remainder, rounds / N)
    return evaluate(error_sum(seen, ideal=(rounds * K + remainder) * IDEAL), least=remainder)
