"""Every derived formula against enumeration or a plain loop in exact rationals, with a case that
must fail.
"""

import functools
import itertools
from fractions import Fraction as F

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.schemes import SCHEMES, data_distribution_error, ideal_distribution
from atri_lib.theory.symbolic import bound, direction, distribution, law

A, B = bound.series("a"), bound.series("zeta")
fractions = st.fractions(min_value=-2, max_value=2, max_denominator=9)
counts = st.integers(1, 6).flatmap(
    lambda k: st.tuples(st.just(k), st.integers(1, k), st.integers(1, 3))
)


def at(expression, **values):
    """An expression's exact value; values by the printed name of the symbol."""
    chosen = {symbol: sp.Rational(values[symbol.name]) for symbol in expression.free_symbols}
    return F(*sp.Rational(expression.subs(chosen)).as_numer_denom())


USED = dict.fromkeys(("ml_clap", "latin", "hold", "block", "english"), 1) | {
    "cacl": 2,
    "cacl_unbiased": 2,
}  # else m


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


def l1(rows, ideal):
    return sum(abs(ideal - value) for row in rows for value in row)


def mean(values):
    values = list(values)
    return sum(values, F(0)) / len(values)


def variance(values):
    return mean(x * x for x in values) - mean(values) ** 2


# --- data distribution error


@settings(max_examples=40, deadline=None)
@given(counts, st.sampled_from(sorted(SCHEMES)), st.randoms(use_true_random=False))
def test_distribution_error_equals_the_sum_over_pairs(size, scheme, random):
    K, m, N = size
    if scheme.startswith("cacl") and K == 1:
        return
    used = USED.get(scheme, K if scheme == "kcl" else m)
    rows = [
        [w / N for w in weights(scheme, K, random.choice(draws(scheme, K, used)))] for _ in range(N)
    ]
    assert at(distribution.distribution_error(scheme), N=N, K=K, m=m) == l1(rows, F(1, N * K))


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_closed_forms_are_those_of_the_scheme_that_trains(scheme):
    built = SCHEMES[scheme](clips=5, languages=8, m=3 if SCHEMES[scheme].chooses_m else None)
    ideal = ideal_distribution(5, 8)
    measured = data_distribution_error(ideal, built.distribution(epoch=2))
    assert measured == pytest.approx(
        float(at(distribution.distribution_error(scheme), K=8, m=3)), abs=1e-12
    )
    of_mean = data_distribution_error(ideal, built.mean_distribution())
    assert of_mean == pytest.approx(float(at(distribution.bias(scheme), K=8, m=3)), abs=1e-12)
    assert (of_mean > 1e-12) == built.biased == (scheme in ("english", "cacl"))
    assert built.noise_share == pytest.approx(
        float(at(law.noise_share(scheme), K=8, m=3)), abs=1e-12
    )


def test_closed_forms_of_the_new_schemes():
    K, m = distribution.K, distribution.m
    expected = {
        "balanced": 2 * (K - m) / K,
        "hold": 2 * (K - 1) / K,
        "cacl_unbiased": 2 * (K - 2) / K,
    }
    for scheme, error in expected.items():
        assert sp.simplify(distribution.distribution_error(scheme) - error) == 0
        assert distribution.bias(scheme) == 0
        assert all(
            sp.simplify(value - distribution.IDEAL) == 0
            for _, value in distribution.expected_row(scheme)
        )
    assert sp.simplify(distribution.bias("cacl") - (K - 2) / K) == 0
    assert sp.simplify(law.noise_share("cacl_unbiased") - (K - 1) ** 2 / K**2) == 0


def test_distribution_error_needs_the_sum_over_all_pairs():
    only_seen_pairs = distribution.evaluate(distribution.error_sum(distribution.row("ml_clap")[:1]))
    assert sp.simplify(only_seen_pairs - distribution.distribution_error("ml_clap")) != 0


@pytest.mark.parametrize("K, m, named", [(5, 2, 1), (5, 3, 2), (4, 4, 2), (6, 1, 1), (6, 1, 2)])
def test_inclusion_probability_counts_subsets(K, m, named):
    subsets = list(itertools.combinations(range(K), m))
    counted = F(sum(set(range(named)) <= set(s) for s in subsets), len(subsets))
    derived = distribution.inclusion_probability(distribution.m, distribution.K, named)
    assert at(derived, K=K, m=m) == counted


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_expected_row_is_the_mean_over_all_draws(scheme, N=2, K=5, m=3):
    seen = draws(scheme, K, USED.get(scheme, K if scheme == "kcl" else m))
    averaged = [
        mean(column) / N for column in zip(*(weights(scheme, K, s) for s in seen), strict=True)
    ]
    derived = [at(sp.sympify(v), N=N, K=K, m=m) for n, v in distribution.expected_row(scheme)
               for _ in range(int(at(sp.sympify(n), K=K)))]  # fmt: skip
    assert averaged == derived
    assert at(distribution.bias(scheme), K=K) == N * sum(
        abs(F(1, N * K) - value) for value in averaged
    )
    assert (distribution.bias(scheme) == 0) == (scheme not in ("cacl", "english"))


def latin_counts(offset, epochs, K):
    return [sum((offset + e) % K == k for e in epochs) for k in range(K)]


@pytest.mark.parametrize("K", [1, 2, 5])
def test_latin_visits_every_language_once_in_any_K_epochs(K):
    assert distribution.latin_visits(distribution.K) == 1
    for start, offset in itertools.product(range(7), range(K)):
        assert latin_counts(offset, range(start, start + K), K) == [1] * K
    visits = distribution.latin_visits(distribution.m)
    for epochs, k in itertools.product(range(2 * K), range(K)):
        values = {"start": 3, "offset": 1, "K": K, "m": epochs, "language": k}
        derived = visits.subs(
            {getattr(distribution, name): value for name, value in values.items()}
        )
        assert derived == latin_counts(1, range(3, 3 + epochs), K)[k]


@pytest.mark.parametrize("epochs", range(11))
def test_latin_error_accumulated_over_epochs_never_exceeds_half_the_languages(epochs, K=5, N=2):
    rows = [[F(count, N) for count in latin_counts(offset, range(epochs), K)] for offset in (0, 3)]
    accumulated = l1(rows, F(epochs, N * K))
    assert at(distribution.latin_accumulated_error(), K=K, m=epochs % K) == accumulated <= F(K, 2)
    assert (accumulated == 0) == (epochs % K == 0)


# --- direction error


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


# --- the published bound


INDEXED = {}
for i, k in itertools.product(range(2), repeat=2):
    for name, base in (("p", bound.p), ("q", bound.p_scheme), ("lipschitz", bound.lipschitz)):
        INDEXED[base[i + 1, k + 1]] = sp.Symbol(f"{name}_{i}_{k}")


@functools.cache
def concrete(expression):
    """An expression for two clips and two languages, its indexed symbols as plain ones."""
    return expression.subs({bound.N: 2, bound.K: 2}).doit().xreplace(INDEXED)


def numbers(expression, p, q, gradient, weights, weights_scheme, eta):
    """The exact value of a vector expression in one dimension, where the norm is the absolute
    value.
    """
    pairs = list(itertools.product(range(2), range(2)))
    values = {
        sp.Symbol(f"{name}_{i}_{k}"): table[i][k]
        for i, k in pairs
        for name, table in (("p", p), ("q", q))
    }
    values |= {sp.Symbol(f"lipschitz_{i}_{k}"): abs(gradient[i][k][0]) for i, k in pairs}
    values |= {bound.eta: eta, bound.w: weights, bound.w_scheme: weights_scheme}
    slope = lambda i, k, x: gradient[i - 1][k - 1][0] * x + gradient[i - 1][k - 1][1]  # noqa: E731
    largest = lambda x: max(abs(slope(i + 1, k + 1, x)) for i, k in pairs)  # noqa: E731
    functions = {"PairGradient": slope, "LargestGradient": largest, "Norm": abs, "Abs": abs}
    return F(sp.lambdify(list(values), concrete(expression), modules=[functions])(*values.values()))


rows_of_two = st.lists(st.fractions(0, 1, max_denominator=5), min_size=4, max_size=4).filter(any)


def as_distribution(values):
    return [
        [value / sum(values) for value in values[:2]],
        [value / sum(values) for value in values[2:]],
    ]


lines = st.tuples(fractions, fractions)
pair_of_lines = st.lists(lines, min_size=2, max_size=2)
problems = st.fixed_dictionaries(
    {
        "p": rows_of_two.map(as_distribution),
        "q": rows_of_two.map(as_distribution),
        "gradient": st.lists(pair_of_lines, min_size=2, max_size=2),
        "weights": fractions,
        "weights_scheme": fractions,
        "eta": st.fractions(F(1, 9), 2, max_denominator=9),
    }
)


@settings(max_examples=25, deadline=None)
@given(problems)
def test_splits_add_up_to_the_weight_error_and_every_step_of_the_bound_is_an_inequality(problem):
    error = numbers(bound.weight_error(), **problem)
    for parts in (bound.published_split(), bound.trajectory_split()):
        assert sum(numbers(part, **problem) for part in parts) == error
        assert abs(error) <= numbers(bound.triangle(parts), **problem)
    after_triangle = bound.triangle(bound.published_split())
    a, b = (numbers(term, **problem) for term in bound.one_step())
    final = a * abs(problem["weights"] - problem["weights_scheme"]) + b
    assert (
        final
        == numbers(bound.assume_constants(after_triangle), **problem)
        >= numbers(after_triangle, **problem)
    )


@settings(max_examples=25, deadline=None)
@given(problems)
def test_one_step_weighs_lipschitz_constants_with_the_scheme_and_gradients_at_the_ideal_run(
    problem,
):
    a, b = (numbers(term, **problem) for term in bound.one_step())
    pairs = list(itertools.product(range(2), range(2)))
    slopes = {(i, k): problem["gradient"][i][k] for i, k in pairs}
    assert a == 1 + problem["eta"] * sum(
        problem["q"][i][k] * abs(slopes[i, k][0]) for i, k in pairs
    )
    error = sum(abs(problem["p"][i][k] - problem["q"][i][k]) for i, k in pairs)
    assert b == problem["eta"] * error * max(
        abs(h * problem["weights"] + offset) for h, offset in slopes.values()
    )


def test_the_bound_is_broken_by_a_halved_lipschitz_constant_or_a_halved_distribution_error():
    even = [[F(1, 4)] * 2] * 2
    expanding = {"p": even, "q": even, "gradient": [[(F(-1), F(0))] * 2] * 2, "weights": F(1),
                 "weights_scheme": F(0), "eta": F(1)}  # fmt: skip
    a, _ = (numbers(term, **expanding) for term in bound.one_step())
    assert abs(numbers(bound.weight_error(), **expanding)) == a == 2  # tight here,
    assert (
        abs(numbers(bound.weight_error(), **expanding)) > 1 + (a - 1) / 2
    )  # so half of lambda is too little
    one_sided = [[F(1, 2), F(0)]] * 2
    opposed = {
        "p": even,
        "q": one_sided,
        "gradient": [[(F(0), F(1)), (F(0), F(-1))]] * 2,
        "weights": F(0),
        "weights_scheme": F(0),
        "eta": F(1),
    }
    _, b = (numbers(term, **opposed) for term in bound.one_step())
    assert (
        abs(numbers(bound.weight_error(), **opposed)) == b == 1
    )  # tight as well: half of D would give 1/2


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(fractions, fractions), min_size=1, max_size=5), fractions)
def test_unrolled_recursion_equals_the_loop(steps, start):
    x = start
    for factor, source in steps:
        x = factor * x + source
    values = {bound.x0: start}
    for index, (factor, source) in enumerate(steps, 1):
        values |= {A(index): factor, B(index): source}
    values = {key: sp.Rational(value) for key, value in values.items()}
    assert bound.iterate(len(steps), A, B).subs(values) == sp.Rational(x)
    assert bound.unrolled(sp.Integer(len(steps)), A, B).doit().subs(values) == sp.Rational(x)


def test_induction_step_accepts_the_unrolled_form_and_rejects_a_shifted_one():
    def shifted(steps):  # every source multiplied by its own factor as well
        first, own = (sp.Product(A(bound.s), (bound.s, low, steps)) for low in (1, bound.t))
        return first * bound.x0 + sp.Sum(B(bound.t) * own, (bound.t, 1, steps))

    assert bound.induction_residual(lambda steps: bound.unrolled(steps, A, B), A, B) == 0
    residual = bound.induction_residual(shifted, A, B)
    assert sp.simplify(residual - (A(bound.T + 1) - 1) * B(bound.T + 1)) == 0


def test_epoch_sum_runs_from_zero_to_the_last_step():
    total = bound.epoch_sum(B)
    assert total.limits == ((bound.j, 0, bound.T - 1),)
    for steps in range(1, 5):
        expected = bound.iterate(steps, lambda _: bound.a, B).subs(bound.x0, 0)
        assert sp.expand(total.subs(bound.T, steps).doit() - expected) == 0
        from_one = sp.Sum(total.function, (bound.j, 1, bound.T - 1)).subs(bound.T, steps).doit()
        assert sp.expand(expected - from_one) == B(
            steps
        )  # the last source is missing: at T = 1 nothing is left
    assert sp.Sum(total.function, (bound.j, 1, bound.T - 1)).subs(bound.T, 1).doit() == 0


@pytest.mark.parametrize("factor, source, start", [(F(3, 2), F(1, 3), F(0)), (F(1, 2), F(2), F(5))])
def test_closed_forms_equal_the_loop(factor, source, start):
    x = start
    for steps in range(6):
        assert at(bound.closed_form(), a=factor, zeta=source, T=steps, x_0=start) == x
        x = factor * x + source
    per_epoch = bound.closed_form(
        bound.a**3, bound.closed_form(steps=sp.Integer(3), start=0), steps=sp.Integer(4)
    )
    assert (
        at(per_epoch - bound.closed_form(steps=sp.Integer(12)), a=factor, zeta=source, x_0=start)
        == 0
    )


def test_special_cases_of_the_published_bound():
    cases = bound.special_cases()
    small, values = 1e-7, {bound.lam: 3.0, bound.D: 1.5, bound.g: 2.0}

    def exact(eta, steps):
        given = values | {bound.eta: eta, bound.T: steps}
        return float(bound.published_bound().subs(given))

    assert cases["no distribution error"] == cases["small steps, their number fixed"] == 0
    assert exact(small, 5) < 1e-5
    at_time_one = float(
        cases["small steps, training time fixed"].subs(values | {bound.duration: 1})
    )
    assert at_time_one == pytest.approx(exact(1e-5, 10**5), rel=1e-3) and at_time_one > 1
    flat = bound.published_bound().subs(
        {bound.lam: small, bound.D: 1, bound.g: 1, bound.eta: 1, bound.T: 9}
    )
    assert float(flat) == pytest.approx(9, rel=1e-5)
    assert cases["flat loss"].subs({bound.D: 1, bound.g: 1, bound.eta: 1, bound.T: 9}) == 9
    growth = float(cases["growth per step"].subs(values | {bound.eta: 0.1}))
    assert growth == pytest.approx(exact(0.1, 201) / exact(0.1, 200))


# --- the mean-square law


@pytest.mark.parametrize("K, m", [(2, 1), (5, 1), (5, 2), (5, 4), (5, 5)])
def test_sampling_variance_equals_the_variance_over_all_draws(K, m):
    gradients = [F((k + 1) ** 2, 3) - k for k in range(K)]
    drawn = [mean(gradients[k] for k in seen) for seen in itertools.combinations(range(K), m)]
    assert variance(drawn) == at(law.sampling_variance(), K=K, m=m) * variance(gradients)
    if 1 < m < K:  # with replacement there is no correction
        assert variance(drawn) != variance(gradients) / m


@pytest.mark.parametrize("scheme", ["cacl", "cacl_unbiased"])
def test_cacl_bias_and_variance_equal_those_over_all_draws(scheme, K=5):
    gradients = [F((k + 1) ** 2, 3) - k for k in range(K)]
    english = F(1, K) if scheme == "cacl_unbiased" else F(1, 2)
    drawn = [english * gradients[0] + (1 - english) * gradients[other] for other in range(1, K)]
    assert variance(drawn) == at(law.noise_share(scheme), K=K) * variance(gradients[1:])
    assert mean(drawn) - mean(gradients) == at(law.english_bias(scheme), K=K) * (
        gradients[0] - mean(gradients[1:])
    )
    assert law.english_bias(scheme).subs(distribution.K, 2) == 0


def test_latin_noise_grows_and_returns_to_zero(K=4):
    gradients = [F((k + 1) ** 2, 3) - k for k in range(K)]
    centred = [g - mean(gradients) for g in gradients]
    for epochs in range(K + 1):
        sums = [sum(order[:epochs], F(0)) ** 2 for order in itertools.permutations(centred)]
        assert mean(sums) == at(law.latin_growth(), K=K, m=epochs) * variance(gradients)
        if epochs > 1:  # below independent draws, whose squares add
            assert at(law.latin_growth(), K=K, m=epochs) < epochs


def test_square_expands_into_known_part_cross_term_and_noise():
    known, cross, noise = (term.subs(law.draws, 2).doit() for term in law.square_expanded())
    chance, n = sp.IndexedBase("pi"), sp.IndexedBase("n")
    unbiased = {chance[1]: sp.Rational(1, 3), chance[2]: sp.Rational(2, 3), n[1]: 4, n[2]: -2}
    assert cross.subs(unbiased) == 0 and cross.subs(unbiased | {n[2]: 0}) != 0
    assert known.subs(unbiased) == sp.Symbol("u") ** 2 and noise.subs(unbiased) == 8 * law.eta**2


def enumerate_runs(curvature, target, chances, eta, steps, force=lambda x: x):
    """All runs on losses with gradient curvature_k force(w - target_k): (E delta^2 per step, ideal,
    scheme's mean).
    """
    K = len(curvature)
    grad = lambda k, w: curvature[k] * force(w - target[k])  # noqa: E731
    full = lambda w, q: sum(q[k] * grad(k, w) for k in range(K))  # noqa: E731
    ideal, expected, runs, squares = F(0), F(0), [(F(1), F(0))], []
    mean_row = [sum(chance * row[k] for chance, row in chances) for k in range(K)]
    for _ in range(steps):
        ideal -= eta * full(ideal, [F(1, K)] * K)
        expected -= eta * full(expected, mean_row)
        runs = [
            (weight * chance, w - eta * full(w, row))
            for weight, w in runs
            for chance, row in chances
        ]
        squares.append(sum(weight * (ideal - w) ** 2 for weight, w in runs))
    return squares, (ideal - expected) ** 2, sum(weight * (expected - w) ** 2 for weight, w in runs)


ONE_OF_THREE = [(F(1, 3), [F(int(k == chosen)) for k in range(3)]) for chosen in range(3)]
CACL_OF_THREE = [(F(1, 2), [F(1, 2), F(int(k == 1), 2), F(int(k == 2), 2)]) for k in (1, 2)]


def test_mean_square_law_is_exact_on_quadratics_for_unbiased_draws_and_wrong_for_biased_ones():
    eta, target = F(1, 4), [F(0), F(1), F(3)]
    squares, _, _ = enumerate_runs([F(2)] * 3, target, ONE_OF_THREE, eta, steps=5)
    rho, noise = 1 - 2 * eta, variance([2 * t for t in target])
    predicted = [
        at(law.mean_square() / law.sigma**2, rho=rho, eta=eta, T=t) * noise for t in range(1, 6)
    ]
    assert squares == predicted
    biased, _, _ = enumerate_runs([F(2)] * 3, target, CACL_OF_THREE, eta, steps=5)
    cacl_noise = sp.Rational(variance([2 * t for t in target[1:]])) * law.noise_share("cacl")
    assert biased[-1] > at(law.mean_square() / law.sigma**2, rho=rho, eta=eta, T=5) * F(
        str(cacl_noise)
    )


def test_bias_path_plus_variance_is_exact_on_quadratics_only():
    target = [F(0), F(1), F(3)]
    for force, exact in ((lambda x: x, True), (lambda x: x + x**3 / 4, False)):
        squares, path, spread = enumerate_runs([F(1)] * 3, target, CACL_OF_THREE, F(1, 8), 4, force)
        assert (
            squares[-1] == path + spread
        ) == exact  # the cross term needs E[w'] = the expected run


def test_mean_square_grows_linearly_where_nothing_contracts():
    assert sp.limit(law.mean_square(), law.rho, 1) == law.eta**2 * law.sigma**2 * law.T
    assert (
        law.mean_square().subs({law.rho: 1 / sp.Integer(2), law.T: 1}) == law.eta**2 * law.sigma**2
    )


# --- momentum


def heavy_ball(noises, eta, beta, curvature, state=(F(0), F(0))):
    delta, buffer = state
    for noise in noises:
        buffer = beta * buffer + curvature * delta + noise
        delta -= eta * buffer
    return delta, buffer


def test_momentum_maps_and_response_equal_the_loop(eta=F(1, 5)):
    mu_1, mu_2 = F(4, 5), F(1, 2)
    beta, curvature = mu_1 * mu_2, (1 - mu_1) * (1 - mu_2) / eta
    matrix, source = (
        part.subs({law.eta: eta, law.beta: beta, law.h: curvature}) for part in law.momentum_maps()
    )
    for lag in range(5):
        impulse = heavy_ball([F(1)] + [F(0)] * lag, eta, beta, curvature)
        assert tuple(matrix**lag * source) == (
            sp.Rational(impulse[0]),
            sp.Rational(eta * impulse[1]),
        )
        assert at(law.momentum_response(), mu_1=mu_1, mu_2=mu_2, eta=eta, j=lag) == impulse[0]


def test_momentum_stationary_value_is_where_the_recursion_settles(eta=0.1, beta=0.8, curvature=2.0):
    values = {law.eta: eta, law.beta: beta, law.h: curvature}
    matrix, source = (np.array(part.subs(values)).astype(float) for part in law.momentum_maps())
    state = np.zeros((2, 2))
    for _ in range(500):
        state = matrix @ state @ matrix.T + source @ source.T
    assert state[0, 0] == pytest.approx(float(law.momentum_stationary().subs(values)))
    without = sp.limit(
        law.mean_square().subs({law.rho: 1 - sp.Rational(1, 5), law.eta: 1, law.sigma: 1}),
        law.T,
        sp.oo,
    )
    assert (
        law.momentum_stationary().subs(law.beta, 0).subs({law.eta: 1, law.h: sp.Rational(1, 5)})
        == without
    )


def test_momentum_settles_up_to_the_derived_step_and_no_further(beta=0.8):
    largest = float(law.momentum_largest_step().subs(law.beta, beta))
    for product, settles in ((0.01, True), (0.99 * largest, True), (1.01 * largest, False)):
        values = {law.eta: 1, law.beta: beta, law.h: product}
        matrix = np.array(law.momentum_maps()[0].subs(values)).astype(float)
        assert (np.abs(np.linalg.eigvals(matrix)).max() < 1) == settles


def test_momentum_shadow_moves_like_plain_sgd(eta=F(1, 5), beta=F(2, 3)):
    kappa, effective = (at(part, eta=eta, beta=beta) for part in law.momentum_shadow())
    w, v = F(1), F(3)
    for gradient in (F(2), F(-1), F(5)):
        before = w + kappa * v
        v = beta * v + gradient
        w -= eta * v
        assert w + kappa * v == before - effective * gradient
        assert w + kappa * v != before - eta * gradient
