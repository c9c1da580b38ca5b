"""What negatives in mixed languages add to the expected loss, to second order in the spread of
scores.

One clip against n captions. z_j is the score of caption j averaged over the languages, and eps_j
what the language drawn for it adds; over languages eps_j has mean 0. The clip-to-text half is log
sum_j exp(z_j + eps_j) minus the score of the clip's own caption, whose mean does not depend on how
the others are drawn. The text-to-clip half of a caption compares scores in its own language alone.
"""

import itertools

import sympy as sp

from atri_lib.theory.symbolic.distribution import K

n, j, k, l = sp.symbols("n j k l", integer=True, positive=True)  # noqa: E741
B = sp.Symbol("B", integer=True, positive=True)  # clips in a batch
z = sp.IndexedBase("z")
pi = sp.IndexedBase("pi")
cov = sp.IndexedBase("gamma")  # gamma_jk = Cov over languages of the scores of captions j and k

DELTA = sp.KroneckerDelta(k, l)
HALF = sp.Rational(1, 2)  # the clip-to-text half of a pair loss


def curvature() -> sp.Expr:
    """d^2 log sum_j exp(z_j) / dz_k dz_l, with pi_j = exp(z_j) / sum_i exp(z_i)."""
    total = sp.Symbol("Z", positive=True)
    parts = sp.Sum(sp.exp(z[j]), (j, 1, n))

    def slope(expression: sp.Expr, place: sp.Symbol) -> sp.Expr:
        derived = sp.diff(expression, z[place]).doit()
        return derived.replace(sp.Piecewise, lambda *branches: branches[0][0])  # 1 <= place <= n

    first = slope(sp.log(parts), k)
    second = slope(first, l).subs(parts, total)
    chances = {sp.exp(z[place]): total * pi[place] for place in (k, l)}
    return sp.expand(second.subs(chances))


def expected_difference() -> sp.Expr:
    """E(mixed) - E(same language) of one clip's pair loss, clip to text, to second order.

    Half of sum_kl curvature_kl E(eps_k eps_l), both ways. In one language this mean is gamma_kl;
    mixed, the languages of two captions are independent, and only gamma_kk is left.
    """
    same = cov[k, l]
    mixed = cov[k, l] * DELTA
    summand = HALF * HALF * curvature() * (mixed - same)
    return _over_pairs(sp.expand(summand).subs(DELTA**2, DELTA))  # DELTA is its own square


def penalty() -> sp.Expr:
    """R's summand: 1/4 [Var_l(sum_j pi_j z_j) - sum_j pi_j^2 Var_l(z_j)], in covariances."""
    together = pi[k] * pi[l] * cov[k, l]
    apart = together * DELTA
    return _over_pairs((together - apart) / 4)


def _over_pairs(summand: sp.Expr) -> sp.Expr:
    """Summed over pairs of captions."""
    return sp.Sum(sp.expand(summand), (k, 1, n), (l, 1, n))


def by_enumeration(captions: int, languages: int) -> sp.Expr:
    """The same difference for numbers of captions and languages, from all tuples of languages.

    In the symbols z_j and e_jl, what language l adds to caption j; the last language's follow from
    their mean 0.
    """
    scores = sp.symbols(f"z_1:{captions + 1}")
    spread = _spread(captions, languages)
    small = sp.Symbol("epsilon")

    def second_order(chosen: tuple[int, ...]) -> sp.Expr:
        total = 0
        for score, added, language in zip(scores, spread, chosen, strict=True):
            total += sp.exp(score + small * added[language])
        curved = sp.diff(sp.log(total), small, 2).subs(small, 0)
        return HALF * curved / 2

    tuples = list(itertools.product(range(languages), repeat=captions))
    mixed = sum(map(second_order, tuples)) / len(tuples)
    alike = [(language,) * captions for language in range(languages)]
    same = sum(map(second_order, alike)) / languages
    return mixed - same


def penalty_enumerated(captions: int, languages: int) -> sp.Expr:
    """R's summand in the symbols of `by_enumeration`."""
    scores = sp.symbols(f"z_1:{captions + 1}")
    total = sum(map(sp.exp, scores))
    chance = [sp.exp(score) / total for score in scores]
    spread = _spread(captions, languages)

    def variance(values: list[sp.Expr]) -> sp.Expr:
        mean = sum(values) / languages
        return sum((value - mean) ** 2 for value in values) / languages

    levels = [0] * languages
    apart = 0
    for p, row in zip(chance, spread, strict=True):
        apart += p**2 * variance(row)
        for language, added in enumerate(row):
            levels[language] += p * added
    return (variance(levels) - apart) / 4


def tuple_error() -> sp.Expr:
    """D of the mean over tuples (clip, languages of all captions of the batch): from two kinds of
    tuples.

    Ideally all |B| captions are in one language: K tuples with chance 1 / K each, the others never.
    Mixed draws give all K^|B| tuples the same chance.
    """
    alike = K**-B
    of_one_language = K * (1 / K - alike)  # K^-|B| is at most 1 / K
    of_the_others = (K**B - K) * alike
    return sp.powsimp(sp.expand(of_one_language + of_the_others))


def _spread(captions: int, languages: int) -> list[list[sp.Expr]]:
    """e_jl by caption and language; each caption's add up to 0."""
    rows = []
    for caption in range(1, captions + 1):
        free = sp.symbols(f"e_{caption}_1:{languages}")
        rows.append([*free, -sum(free)])
    return rows
