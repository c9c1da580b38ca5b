"""Noise that a schedule of languages sums up over E epochs, for gradients that stand still: one
formula for all.

Let x_k be a clip's gradients with their mean subtracted, so that sum_k x_k = 0. Of the noise of two
epochs only one number matters where languages are exchangeable (Latin: on average over lags): how
often both show the same language.
"""

import sympy as sp

from atri_lib.theory.symbolic.distribution import K, inclusion_probability, m

# Epochs in all; epochs for which `hold` keeps a language.
E = sp.Symbol("E", integer=True, positive=True)
b = sp.Symbol("b", integer=True, positive=True)
# E m = q K + r: whole rounds, and what is left of the next.
q = sp.Symbol("q", integer=True, nonnegative=True)
r = sp.Symbol("r", integer=True, nonnegative=True)
_first = sp.Symbol("e", integer=True, positive=True)
_second = sp.Symbol("f", integer=True, positive=True)

# Chance that a given language is shown in both of two epochs.
REPEATED = inclusion_probability(m, K)
INDEPENDENT = REPEATED**2


def contrast(same: sp.Expr) -> sp.Expr:
    """P(k in both epochs) - P(k in one, l in the other): E[n_e . n_f] is this times sum_k |x_k|^2 /
    m^2.

    Two epochs show m^2 pairs of languages, K of them with chance `same`, and by symmetry K (K - 1)
    with one other chance. sum_(k != l) x_k x_l = -sum_k |x_k|^2 does the rest; what the languages'
    means contribute cancels.
    """
    pairs = K * (K - 1)
    other = (m**2 - K * same) / pairs
    return sp.factor(same - other)


def correlation(same: sp.Expr) -> sp.Expr:
    """Mean product of two epochs' noise / that of one epoch with itself (where a language is shown
    with chance m/K).
    """
    itself = contrast(REPEATED)
    share = contrast(same) / itself
    return sp.factor(sp.simplify(share))


def double_sum(other: sp.Expr, epochs: sp.Expr = E, blocks: sp.Expr | int = 1) -> sp.Expr:
    """sum_(e,f) of the correlations: 1 for an epoch with itself, `other` for two of a block of
    `epochs`, else 0.
    """
    earlier = sp.Sum(other, (_second, 1, _first - 1))
    later = sp.Sum(other, (_second, _first + 1, epochs))
    row = 1 + earlier + later
    block = sp.Sum(row.doit(), (_first, 1, epochs))
    total = blocks * block.doit()
    return sp.factor(sp.simplify(total))


def independent() -> sp.Expr:
    """A fresh draw in every epoch: E."""
    fresh = correlation(INDEPENDENT)
    return double_sum(fresh)


def hold() -> sp.Expr:
    """One draw for b epochs, then another: E b, for whole blocks."""
    kept = correlation(REPEATED)
    return double_sum(kept, epochs=b, blocks=E / b)


def balanced() -> sp.Expr:
    """No language twice within a cycle, E <= K/m: E (K - m E) / (K - m). Latin with m = 1, on
    average over lags.
    """
    return double_sum(correlation(sp.S.Zero))


def visits_variance(rounds: sp.Expr | int, remainder: sp.Expr) -> sp.Expr:
    """Variance of how often a language is shown, if `remainder` of K have been shown rounds + 1
    times, the rest rounds.

    The double sum of covariances of inclusion is the variance of a sum of inclusions: of the
    visits.
    """

    def moment(power: int) -> sp.Expr:
        ahead = remainder * (rounds + 1) ** power
        behind = (K - remainder) * rounds**power
        return (ahead + behind) / K

    variance = moment(2) - moment(1) ** 2
    return sp.factor(sp.expand(variance))


def round_robin() -> sp.Expr:
    """Any m, any E: balanced within a cycle that goes round one order, and Latin (m = 1): r (K - r)
    / (m (K - m)).

    r = E m mod K languages are one visit ahead; whole rounds add nothing.
    """
    growth = visits_variance(q, r) / visits_variance(0, m)
    return sp.factor(sp.simplify(growth))
