import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.theory import bounds


def loop(factor, forcing):
    """The recursion as one would write it on a blackboard; steps on the last axis."""
    factor, forcing = np.broadcast_arrays(factor, forcing)
    x, rows = np.zeros(factor.shape[:-1]), []
    for step in range(factor.shape[-1]):
        x = factor[..., step] * x + forcing[..., step]
        rows.append(x)
    return np.stack(rows, axis=-1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_unroll_is_the_loop_over_steps(steps, draws, seed):
    generator = np.random.default_rng(seed)
    factor, forcing = generator.uniform(0, 2, (draws, steps)), generator.uniform(-1, 1, steps)
    np.testing.assert_allclose(
        bounds.unroll(factor, forcing), loop(factor, forcing), rtol=1e-9, atol=1e-9
    )


def test_unroll_forgets_at_factor_zero_even_after_an_overflow():
    got = bounds.unroll([1.0, 1e200, 1e200, 0.0, 2.0, 1.0], [1e200, 1.0, 1.0, 3.0, 1.0, 0.0])
    assert got[0] == 1e200 and np.isinf(got[1:3]).all() and got[3:].tolist() == [3, 7, 7]


def test_unroll_leaves_its_arguments_alone_and_refuses_no_steps():
    factor, forcing = np.full(5, 2.0), np.ones(5)
    bounds.unroll(factor, forcing)
    assert (factor == 2).all() and (forcing == 1).all()
    with pytest.raises(ValueError, match="at least one step"):
        bounds.unroll(np.ones((3, 0)), np.ones((3, 0)))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 30),
    st.floats(0, 1),
    st.floats(0, 2),
    st.floats(0, 50),
    st.integers(0, 2**32 - 1),
)
def test_published_bound_is_the_sum_over_an_epoch(steps, rate, error, lipschitz, seed):
    """a^T ||start|| + eta D sum_(j = 0 ... T-1) a^j g_max(w_(T-1-j)), by brute force for constant
    a; start is 0.
    """
    gradient_max = np.random.default_rng(seed).uniform(0, 5, steps)
    a = 1 + rate * lipschitz
    by_hand = rate * error * sum(a**j * gradient_max[steps - 1 - j] for j in range(steps))
    got = bounds.published(np.full(steps, lipschitz), error, gradient_max, rate)
    assert got[-1] == pytest.approx(by_hand, rel=1e-9)


def test_published_bound_of_one_step_is_not_zero():
    """A sum over j that began at 1 would say 0 here, while two runs that used different pairs have
    parted.
    """
    assert bounds.published([7.0], 1.75, [2.0], rate=0.1) == pytest.approx([0.1 * 1.75 * 2.0])


def test_no_distribution_error_no_bound_to_pay():
    """KCL, and K = 1."""
    assert not bounds.published(np.full(9, 5.0), np.zeros(9), np.full(9, 3.0), 0.1).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.data())
def test_sampling_factor_by_counting_every_subset(languages, data):
    m = data.draw(st.integers(1, languages))
    values = np.random.default_rng(languages).normal(size=(languages, 3))
    means = np.stack(
        [values[list(chosen)].mean(0) for chosen in itertools.combinations(range(languages), m)]
    )
    exact = np.square(means - values.mean(0)).sum(1).mean()
    assert exact == pytest.approx(
        bounds.sampling_factor(languages, m) * values.var(0).sum(), abs=1e-12
    )


@pytest.mark.parametrize("m", [0, 5])
def test_sampling_factor_needs_m_of_k(m):
    with pytest.raises(ValueError, match="1 <= m <= K"):
        bounds.sampling_factor(4, m)


class Toy:
    """Quadratic pair losses l_ik = (w - c_ik)' A (w - c_ik) / 2: every expectation is a finite
    sum.
    """

    def __init__(self, clips, languages, m, rate, steps, curvature, seed):
        self.rate, self.steps, self.m, self.languages = rate, steps, m, languages
        self.curvature = np.asarray(curvature)  # eigenvalues of A
        self.centres = np.random.default_rng(seed).normal(
            size=(clips, languages, len(self.curvature))
        )
        subsets = list(itertools.combinations(range(languages), m))
        self.draws = list(itertools.product(subsets, repeat=clips))

    def gradients(self, weights):
        return self.curvature * (weights - self.centres)  # [N, K, D]

    def drawn(self, weights, draw):
        gradients = self.gradients(weights)
        return np.mean(
            [gradients[clip, list(languages)].mean(0) for clip, languages in enumerate(draw)],
            axis=0,
        )

    def run(self, path):
        """Ideal and scheme weights along one path of draws: errors [T], rho [T], xi [T]."""
        w = v = np.zeros(len(self.curvature))
        errors, rho, xi = [], [], []
        for draw in path:
            mean_w, mean_v, used = (
                self.gradients(w).mean((0, 1)),
                self.gradients(v).mean((0, 1)),
                self.drawn(v, draw),
            )
            gap = np.linalg.norm(w - v)
            rho.append(np.linalg.norm(w - v - self.rate * (mean_w - mean_v)) / gap if gap else 1.0)
            xi.append(np.linalg.norm(mean_v - used))
            w, v = w - self.rate * mean_w, v - self.rate * used
            errors.append(np.linalg.norm(w - v))
        return errors, rho, xi

    def every_path(self):
        """errors, rho, xi, each [paths, T], over every possible sequence of draws."""
        return (
            np.array(x)
            for x in zip(
                *map(self.run, itertools.product(self.draws, repeat=self.steps)), strict=True
            )
        )

    def variance(self):
        spread = self.gradients(0).var(axis=1).sum()  # sum_i Var_k, the same at any weights
        return spread / len(self.centres) ** 2 * bounds.sampling_factor(self.languages, self.m)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 2), st.integers(1, 3), st.data(), st.floats(0.01, 0.9), st.integers(0, 99))
def test_mean_square_law_is_exact_where_curvature_is_a_number(clips, languages, data, rate, seed):
    m = data.draw(st.integers(1, languages))
    toy = Toy(clips, languages, m, rate, steps=3, curvature=[1.7, 1.7], seed=seed)
    errors, _, _ = toy.every_path()
    law = bounds.mean_square(np.full(3, (1 - rate * 1.7) ** 2), rate**2 * toy.variance())
    np.testing.assert_allclose(np.sqrt((errors**2).mean(0)), law, rtol=1e-9, atol=1e-12)


def test_mean_square_law_is_exact_with_measured_amplification():
    toy = Toy(clips=2, languages=3, m=1, rate=0.3, steps=3, curvature=[0.2, 1.0, 4.0], seed=1)
    errors, rho, _ = toy.every_path()
    before = np.pad(errors, ((0, 0), (1, 0)))[:, :-1]
    amplification = (rho**2 * before**2).mean(0) / np.maximum((before**2).mean(0), 1e-300)
    law = bounds.mean_square(amplification, 0.09 * toy.variance())
    np.testing.assert_allclose(np.sqrt((errors**2).mean(0)), law, rtol=1e-9)
    wrong = bounds.mean_square(
        amplification, 0.09 * toy.variance() * 3 / 2
    )  # K - 1 forgotten: Var with K, not K - 1
    assert (wrong / np.sqrt((errors**2).mean(0)) > 1.2).all()


def test_bounds_hold_on_every_path_of_the_toy_and_a_wrong_constant_breaks_them():
    toy = Toy(clips=1, languages=2, m=1, rate=0.3, steps=4, curvature=[0.2, 1.0], seed=3)
    errors, rho, xi = toy.every_path()
    assert bounds.share_held(bounds.trajectory(rho, 0.3 * xi), errors) == 1
    assert bounds.share_held(bounds.trajectory(0.9 * rho, 0.3 * xi), errors) < 1
    # One clip in two languages whose gradients are g and -g at the start: D = 1, and the bound is
    # met in step 1.
    toy.centres[0, 1] = -toy.centres[0, 0]
    errors, _, _ = toy.every_path()
    gradient_max = np.linalg.norm(toy.gradients(0), axis=2).max()
    assert bounds.share_held(bounds.published(np.full(4, 1.0), 1.0, gradient_max, 0.3), errors) == 1
    assert bounds.share_held(bounds.published(np.full(4, 1.0), 0.9, gradient_max, 0.3), errors) < 1


def test_overtaken_is_the_first_step_above_the_other_bound():
    other = [2.0, 2.0, 2.0]
    assert (
        bounds.overtaken([1.0, 3.0, 1.0], other) == 2
        and bounds.overtaken([2.5, 3.0, 4.0], other) == 1
    )
    assert np.isnan(bounds.overtaken(other, other))  # equal is not above
    assert bounds.overtaken([[1.0, 1.0, np.inf], [3.0, 0.0, 0.0]], other).tolist() == [3, 1]


def test_share_held_and_tightness_say_what_they_see():
    assert bounds.share_held([1.0, 2.0, 0.0], [1.0, 2.1, 0.0]) == pytest.approx(2 / 3)
    assert bounds.share_held([np.nan, 1.0], [1.0, 1.0]) == 0.5
    assert bounds.tightness([0.0, 3.0, 1.0], [0.0, 2.0, 0.0]).tolist() == [1.0, 1.5, np.inf]
