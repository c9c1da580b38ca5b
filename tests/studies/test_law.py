"""The mean-square law and momentum against enumeration in exact rationals, and plain loops."""

import itertools
from fractions import Fraction as F

import numpy as np
import pytest
import sympy as sp

from atri_lib.schemes import SCHEMES
from atri_lib.theory.symbolic import bound, distribution
from studies.scheme_noise import noise_share
from studies.symbolic import law, momentum
from tests.theory.exact import at, mean, variance


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_noise_share_is_that_of_the_scheme_that_trains(scheme):
    built = SCHEMES[scheme](clips=5, languages=8, m=3 if SCHEMES[scheme].chooses_m else None)
    derived = at(law.noise_share(scheme), K=8, m=3)
    assert noise_share(built) == pytest.approx(float(derived), abs=1e-12)


def test_noise_share_of_unbiased_cacl():
    share = (distribution.K - 1) ** 2 / distribution.K**2
    assert sp.simplify(law.noise_share("cacl_unbiased") - share) == 0


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
    assert known.subs(unbiased) == sp.Symbol("u") ** 2 and noise.subs(unbiased) == 8 * bound.eta**2


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
    assert sp.limit(law.mean_square(), law.rho, 1) == bound.eta**2 * law.sigma**2 * bound.T
    first = law.mean_square().subs({law.rho: 1 / sp.Integer(2), bound.T: 1})
    assert first == bound.eta**2 * law.sigma**2


def heavy_ball(noises, eta, beta, curvature, state=(F(0), F(0))):
    delta, buffer = state
    for noise in noises:
        buffer = beta * buffer + curvature * delta + noise
        delta -= eta * buffer
    return delta, buffer


def test_momentum_maps_and_response_equal_the_loop(eta=F(1, 5)):
    mu_1, mu_2 = F(4, 5), F(1, 2)
    beta, curvature = mu_1 * mu_2, (1 - mu_1) * (1 - mu_2) / eta
    values = {bound.eta: eta, momentum.beta: beta, momentum.h: curvature}
    matrix, source = (part.subs(values) for part in momentum.momentum_maps())
    for lag in range(5):
        impulse = heavy_ball([F(1)] + [F(0)] * lag, eta, beta, curvature)
        assert tuple(matrix**lag * source) == (
            sp.Rational(impulse[0]),
            sp.Rational(eta * impulse[1]),
        )
        response = momentum.momentum_response()
        assert at(response, mu_1=mu_1, mu_2=mu_2, eta=eta, j=lag) == impulse[0]


def test_momentum_stationary_value_is_where_the_recursion_settles(eta=0.1, beta=0.8, curvature=2.0):
    values = {bound.eta: eta, momentum.beta: beta, momentum.h: curvature}
    maps = momentum.momentum_maps()
    matrix, source = (np.array(part.subs(values)).astype(float) for part in maps)
    state = np.zeros((2, 2))
    for _ in range(500):
        state = matrix @ state @ matrix.T + source @ source.T
    assert state[0, 0] == pytest.approx(float(momentum.momentum_stationary().subs(values)))
    without = sp.limit(
        law.mean_square().subs({law.rho: 1 - sp.Rational(1, 5), bound.eta: 1, law.sigma: 1}),
        bound.T,
        sp.oo,
    )
    no_memory = {momentum.beta: 0, bound.eta: 1, momentum.h: sp.Rational(1, 5)}
    assert momentum.momentum_stationary().subs(no_memory) == without


def test_momentum_settles_up_to_the_derived_step_and_no_further(beta=0.8):
    largest = float(momentum.momentum_largest_step().subs(momentum.beta, beta))
    for product, settles in ((0.01, True), (0.99 * largest, True), (1.01 * largest, False)):
        values = {bound.eta: 1, momentum.beta: beta, momentum.h: product}
        matrix = np.array(momentum.momentum_maps()[0].subs(values)).astype(float)
        assert (np.abs(np.linalg.eigvals(matrix)).max() < 1) == settles


def test_momentum_shadow_moves_like_plain_sgd(eta=F(1, 5), beta=F(2, 3)):
    kappa, effective = (at(part, eta=eta, beta=beta) for part in momentum.momentum_shadow())
    w, v = F(1), F(3)
    for gradient in (F(2), F(-1), F(5)):
        before = w + kappa * v
        v = beta * v + gradient
        w -= eta * v
        assert w + kappa * v == before - effective * gradient
        assert w + kappa * v != before - eta * gradient
