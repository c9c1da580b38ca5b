"""Every derived formula against enumeration or a plain loop in exact rationals, with a case that
must fail.
"""

import functools
import itertools
from fractions import Fraction as F

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.schemes import SCHEMES, data_distribution_error, ideal_distribution
from atri_lib.theory.symbolic import bound, distribution
from studies.scheme_noise import biased
from tests.theory.exact import USED, at, draws, mean, weights

fractions = st.fractions(min_value=-2, max_value=2, max_denominator=9)
counts = st.integers(1, 6).flatmap(
    lambda k: st.tuples(st.just(k), st.integers(1, k), st.integers(1, 3))
)


def l1(rows, ideal):
    return sum(abs(ideal - value) for row in rows for value in row)


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
    assert (of_mean > 1e-12) == biased(built) == (scheme in ("english", "cacl"))


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


def test_distribution_error_needs_the_sum_over_all_pairs():
    only_seen_pairs = distribution.error_sum(distribution.row("ml_clap")[:1])
    only_seen_pairs = distribution.evaluate(only_seen_pairs, least=1)
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
    published = bound.split(bound.w, bound.p_scheme)
    for parts in (published, bound.split(bound.w_scheme, bound.p)):
        assert sum(numbers(part, **problem) for part in parts) == error
        assert abs(error) <= numbers(bound.triangle(parts), **problem)
    after_triangle = bound.triangle(published)
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


def test_norms_are_not_negative_and_their_powers_are_printed():
    length = bound.Norm(bound.w)
    assert sp.sqrt(length**2) == length
    assert sp.latex(length**2) == r"\left\|w_{t-1}\right\|^{2}"
    assert sp.latex(bound.LargestGradient(bound.w) ** 2).endswith(r"\right)^{2}")
