import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.theory import bounds
from tests.theory.quadratic import Quadratic


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


def test_unroll_overflows_to_infinity_without_a_warning():
    got = bounds.unroll([1.0, 1e200, 1e200], [1e200, 1.0, 1.0])
    assert got[0] == 1e200
    assert np.isinf(got[1:]).all()


def test_a_factor_of_0_forgets_even_an_overflow():
    got = bounds.unroll([1.0, 1e200, 0.0, np.inf], [1e200, 1.0, 0.0, 3.0])
    assert got.tolist() == [1e200, np.inf, 0.0, 3.0]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 3, 4)])
def test_unroll_keeps_the_shape_of_its_arguments(shape):
    assert bounds.unroll(np.ones(shape), np.ones(shape)).shape == shape


def test_unroll_leaves_its_arguments_alone():
    factor, forcing = np.full(5, 2.0), np.ones(5)
    bounds.unroll(factor, forcing)
    assert (factor == 2).all() and (forcing == 1).all()


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
    got = bounds.published(np.array([7.0]), 1.75, 2.0, rate=0.1)
    assert got == pytest.approx([0.1 * 1.75 * 2.0])


def test_no_distribution_error_no_bound_to_pay():
    """KCL, and K = 1."""
    assert not bounds.published(np.full(9, 5.0), np.zeros(9), np.full(9, 3.0), 0.1).any()


def held(bound, measured):
    """Whether no error exceeds its bound, but for the rounding of two runs."""
    return (measured <= bound * (1 + 1e-9)).all()


def test_bounds_hold_on_every_path_of_the_toy_and_a_wrong_constant_breaks_them():
    toy = Quadratic(clips=1, languages=2, m=1, rate=0.3, steps=4, curvature=[0.2, 1.0], seed=3)
    errors, rho, xi = toy.every_path()
    assert held(bounds.unroll(rho, 0.3 * xi), errors)
    assert not held(bounds.unroll(0.9 * rho, 0.3 * xi), errors)
    # One clip in two languages whose gradients are g and -g at the start: D = 1, and the bound is
    # met in step 1.
    toy.centres[0, 1] = -toy.centres[0, 0]
    errors, _, _ = toy.every_path()
    gradient_max = np.linalg.norm(toy.gradients(0), axis=2).max()
    assert held(bounds.published(np.full(4, 1.0), 1.0, gradient_max, 0.3), errors)
    assert not held(bounds.published(np.full(4, 1.0), 0.9, gradient_max, 0.3), errors)
