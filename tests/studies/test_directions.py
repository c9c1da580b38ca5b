"""Direction error and pulls against plain loops, closed forms and gradients; their invariants."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.losses import pair_losses
from studies.directions import direction_error, pulls


def unit(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def loop_length(vector):
    return math.sqrt(sum(x * x for x in vector))


def loop_angle(texts, used):
    ideal, taken = sum(texts) / len(texts), sum(texts[k] for k in used) / len(used)
    return math.acos(min(1, max(-1, sum(ideal * taken) / loop_length(ideal) / loop_length(taken))))


def equal_cosines(languages, cosine):
    """K unit vectors [1, K, K] with one common pairwise cosine."""
    gram = np.full((languages, languages), cosine) + (1 - cosine) * np.eye(languages)
    return np.linalg.cholesky(gram)[None]


sizes = {"clips": st.integers(1, 6), "languages": st.integers(2, 6), "seed": st.integers(0, 2**16)}


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_angles_equal_plain_loops(clips, languages, seed):
    texts = unit(clips, languages, 5, seed=seed)
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(languages), (clips, 1)), axis=1)
    used = orders[:, : rng.integers(1, languages + 1)]
    expected = [loop_angle(texts[i], used[i]) for i in range(clips)]
    np.testing.assert_allclose(direction_error(texts, used), expected, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(scale=st.floats(0.01, 100), **sizes)
def test_order_scale_and_rotation_do_not_matter(scale, clips, languages, seed):
    texts, rng = unit(clips, languages, 4, seed=seed), np.random.default_rng(seed)
    order = rng.permutation(languages)
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    used = rng.integers(languages, size=(clips, 1))
    error = direction_error(texts, used)
    np.testing.assert_allclose(direction_error(scale * texts @ rotation, used), error, atol=1e-7)
    renamed = direction_error(texts[:, order], np.argsort(order)[used])
    np.testing.assert_allclose(renamed, error, atol=1e-7)


@pytest.mark.parametrize("cosine", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("languages, m", [(8, 1), (8, 2), (8, 7), (3, 2)])
def test_direction_error_has_its_closed_form_for_equal_cosines(cosine, languages, m):
    ratio = m * (1 + (languages - 1) * cosine) / (languages * (1 + (m - 1) * cosine))
    angle = direction_error(equal_cosines(languages, cosine), np.arange(m)[None])[0]
    assert angle == pytest.approx(math.acos(math.sqrt(ratio)), abs=1e-9)
    # Negative control: unequal cosines leave the formula.
    bent = equal_cosines(languages, cosine)
    bent[0, 0] = -bent[0, 0]
    assert direction_error(bent, np.arange(m)[None])[0] != pytest.approx(
        math.acos(math.sqrt(ratio)), abs=1e-3
    )


def test_using_all_languages_leaves_no_error_and_tiny_angles_keep_their_digits():
    texts = unit(20, 8, 16)
    assert direction_error(texts, np.tile(np.arange(8)[::-1], (20, 1))).max() < 1e-15
    tilt = 1e-9
    pair = np.array([[[1.0, 0.0], [math.cos(tilt), math.sin(tilt)]]])
    assert direction_error(pair, [[0]])[0] == pytest.approx(tilt / 2, rel=1e-6)


@pytest.mark.parametrize("used", [np.full((4, 1), 3), np.zeros((5, 1), int), np.zeros(4, int)])
def test_languages_that_do_not_fit_are_refused(used):
    with pytest.raises((ValueError, IndexError)):
        direction_error(unit(4, 3, 2), used)


def test_a_mean_without_direction_is_refused():
    with pytest.raises(ValueError, match="clip 0 average to zero"):
        direction_error(np.array([[[1.0, 0], [-1.0, 0]]]), [[0]])


def test_pulls_are_the_gradient_of_the_clip_to_text_half(temperature=0.2):
    clips = torch.tensor(unit(5, 4)).requires_grad_()
    texts = torch.tensor(unit(5, 3, 4, seed=1))
    found = pulls(texts, clips, temperature)
    for k in range(3):
        logits = clips @ texts[:, k].T / temperature
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(5), reduction="sum")
        (slope,) = torch.autograd.grad(loss, clips)
        np.testing.assert_allclose(found[:, k], -temperature * slope.numpy(), atol=1e-12)
    whole = pair_losses(clips, texts, temperature).sum()  # the other half pulls elsewhere, too
    (both,) = torch.autograd.grad(whole, clips)
    assert not np.allclose(found.sum(1), -temperature * both.numpy())


def test_pulls_without_clips_are_those_of_a_high_temperature_and_forget_what_all_texts_share():
    texts, clips = unit(6, 3, 4), unit(6, 4, seed=2)
    np.testing.assert_allclose(pulls(texts), pulls(texts, clips, 1e9), atol=1e-8)
    cone = np.array([5.0, 0, 0, 0])
    np.testing.assert_allclose(pulls(texts + cone), pulls(texts), atol=1e-12)
    assert direction_error(pulls(texts), np.zeros((6, 1), int)).max() > 0


def test_mean_cosine_of_single_languages_is_the_formula_and_the_mean_angle_lies_below():
    """m = 1: (1/K) sum_k cos theta_k = sqrt((1 + (K - 1) c) / K), c the mean cosine; arccos is
    concave.
    """
    texts = unit(7, 5, 6)
    gram = np.einsum("nkd,nld->nkl", texts, texts)
    each = np.stack([direction_error(texts, np.full((7, 1), k)) for k in range(5)])
    formula = np.sqrt(gram.mean(axis=(1, 2)))  # (K + K (K - 1) c) / K^2
    np.testing.assert_allclose(np.cos(each).mean(axis=0), formula, atol=1e-12)
    below = np.cos(each).min(axis=0) > 0  # where arccos is concave
    assert below.any()
    assert (each.mean(axis=0) <= np.arccos(formula))[below].all()
