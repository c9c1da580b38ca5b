"""Each loss against plain loops in float64, forward and gradient; its invariants; what it must
refuse.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import grad, gradcheck
from torch.testing import assert_close

from atri_lib.losses import cacl_loss, info_nce, kcl_loss, ml_clap_loss, pair_losses

TAU = 0.07


def unit(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return F.normalize(values, dim=-1).to(dtype)


def loop_cross_entropy(query, candidates, target, temperature):
    """-log of the softmax over candidates at target, written out."""
    scores = []
    for candidate in candidates:
        product = sum(q * c for q, c in zip(query, candidate, strict=True))
        scores.append(product / temperature)
    total = torch.stack(scores).exp().sum()
    return total.log() - scores[target]


def loop_sums(a, b, temperature):
    """L_ab: both directions' cross-entropies summed over the N clips."""
    total = 0
    for i in range(len(a)):
        total += loop_cross_entropy(a[i], b, i, temperature)
        total += loop_cross_entropy(b[i], a, i, temperature)
    return total


def loop_info_nce(a, b, temperature):
    return loop_sums(a, b, temperature) / (2 * len(a))


def loop_cacl(clips, english, other, temperature):
    total = loop_sums(clips, english, temperature)
    total += loop_sums(clips, other, temperature)
    total += loop_sums(english, other, temperature)
    return total / (6 * len(clips))


def loop_kcl(clips, texts, temperature):
    count, languages = texts.shape[:2]
    total = sum(loop_sums(clips, texts[:, k], temperature) for k in range(languages))
    return total / (2 * count * languages)


CASES = {
    "info_nce": (info_nce, loop_info_nce, ((5, 4), (5, 4))),
    "ml_clap": (ml_clap_loss, loop_info_nce, ((5, 4), (5, 4))),
    "cacl": (cacl_loss, loop_cacl, ((5, 4), (5, 4), (5, 4))),
    "kcl": (kcl_loss, loop_kcl, ((5, 4), (5, 3, 4))),
}


def assert_equal_to_loops(loss, oracle, shapes):
    """Value, gradient and finite differences of a loss."""
    inputs = [unit(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    assert gradcheck(lambda *embeddings: loss(*embeddings, 0.5), inputs)
    inputs.append(torch.tensor(TAU, dtype=torch.float64, requires_grad=True))
    expected = oracle(*inputs)
    assert_close(loss(*inputs), expected, rtol=1e-12, atol=1e-13)
    ours = grad(loss(*inputs), inputs)
    slow = grad(expected, inputs)
    for one, other in zip(ours, slow, strict=True):
        assert_close(one, other, rtol=1e-10, atol=1e-12)
    # Negative control: the comparison can tell a loss from the same loss at another temperature.
    warmer = loss(*inputs[:-1], 1.01 * TAU)
    with pytest.raises(AssertionError):
        assert_close(warmer, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_equal_plain_loops(name):
    assert_equal_to_loops(*CASES[name])


def test_pair_losses_equal_plain_loops_pair_by_pair():
    clips = unit(4, 3)
    texts = unit(4, 2, 3, seed=1)
    losses = pair_losses(clips, texts, TAU)
    for i in range(4):
        for k in range(2):
            text = texts[:, k]
            to_text = loop_cross_entropy(clips[i], text, i, TAU)
            to_clip = loop_cross_entropy(text[i], clips, i, TAU)
            assert_close(losses[i, k], (to_text + to_clip) / 2)


def test_kcl_negatives_stay_in_their_language():
    """Moving clip 1's French caption changes French losses only."""
    clips = unit(3, 4)
    texts = unit(3, 2, 4, seed=1)
    moved = texts.clone()
    moved[1, 1] = unit(4, seed=2)
    before = pair_losses(clips, texts, TAU)
    after = pair_losses(clips, moved, TAU)
    assert torch.equal(before[:, 0], after[:, 0])
    assert (before[:, 1] != after[:, 1]).all()


shapes = {"count": st.integers(2, 6), "languages": st.integers(1, 5), "seed": st.integers(0, 2**16)}


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_order_of_clips_and_of_languages_does_not_matter(count, languages, seed):
    clips = unit(count, 4, seed=seed)
    texts = unit(count, languages, 4, seed=seed + 1)
    generator = torch.Generator().manual_seed(seed)
    clip_order = torch.randperm(count, generator=generator)
    language_order = torch.randperm(languages, generator=generator)
    shuffled = texts[clip_order][:, language_order]
    value = kcl_loss(clips, texts, TAU)
    assert_close(kcl_loss(clips[clip_order], shuffled, TAU), value)
    sides = (clips, texts[:, 0], texts[:, -1])
    value = cacl_loss(*sides, TAU)
    assert_close(cacl_loss(*[side[clip_order] for side in sides], TAU), value)


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_relations_between_the_losses(count, languages, seed):
    clips = unit(count, 4, seed=seed)
    texts = unit(count, languages, 4, seed=seed + 1)
    english = texts[:, 0]
    one_language = info_nce(clips, english, TAU)
    per_language = [info_nce(clips, texts[:, k], TAU) for k in range(languages)]
    assert_close(kcl_loss(clips, texts, TAU), sum(per_language) / languages)
    assert torch.equal(kcl_loss(clips, texts, TAU), pair_losses(clips, texts, TAU).mean())
    assert torch.equal(kcl_loss(clips, texts[:, :1], TAU), one_language)
    assert torch.equal(ml_clap_loss(clips, english, TAU), one_language)
    assert_close(info_nce(english, clips, TAU), one_language)
    twice_english = (2 * one_language + info_nce(english, english, TAU)) / 3
    assert_close(cacl_loss(clips, english, english, TAU), twice_english)


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.1, 10), **shapes)
def test_scale_of_embeddings_is_temperature_and_rotation_is_nothing(scale, count, languages, seed):
    clips = unit(count, 4, seed=seed)
    texts = unit(count, languages, 4, seed=seed + 1)
    rotation, _ = torch.linalg.qr(unit(4, 4, seed=seed + 2))
    value = kcl_loss(clips, texts, TAU)
    assert_close(kcl_loss(scale * clips, scale * texts, scale**2 * TAU), value)
    assert_close(kcl_loss(clips @ rotation, texts @ rotation, TAU), value)


def test_collapsed_embeddings_cost_log_n_and_perfect_ones_nothing():
    same = torch.ones(6, 1)
    collapsed = kcl_loss(same, same[:, None].expand(6, 3, 1), TAU)
    assert collapsed.item() == pytest.approx(math.log(6))
    distinct = torch.eye(6)
    perfect = kcl_loss(distinct, distinct[:, None].expand(6, 3, 6), TAU)
    assert perfect.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_precision_gives_the_value_of_its_inputs_in_float64(dtype):
    clips = unit(16, 8, dtype=dtype).requires_grad_()
    texts = unit(16, 3, 8, seed=1, dtype=dtype)
    loss = kcl_loss(clips, texts, TAU)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    exact = kcl_loss(clips.double(), texts.double(), TAU)
    assert_close(loss.double(), exact, rtol=1e-5, atol=1e-6)
    loss.backward()
    assert clips.grad.dtype == dtype
    assert clips.grad.isfinite().all()
    assert clips.grad.abs().sum() > 0


def test_autocast_does_not_round_the_similarities():
    clips = unit(16, 8, dtype=torch.float32)
    texts = unit(16, 3, 8, seed=1, dtype=torch.float32)
    outside = kcl_loss(clips, texts, TAU)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(kcl_loss(clips, texts, TAU), outside)
        # As autocast would have it.
        rounded = [(clips @ text.T).float() for text in texts.unbind(1)]
    logits = torch.stack(rounded) / TAU
    both = logits.logsumexp(1) + logits.logsumexp(2)
    naive = (both / 2 - logits.diagonal(dim1=1, dim2=2)).mean()
    assert 1e-5 < (naive - outside).abs() < 0.1


def test_weights_of_cacl_count_its_sides():
    clips = unit(5, 4)
    english = unit(5, 4, seed=1)
    other = unit(5, 4, seed=2)
    sides = [info_nce(a, b, TAU) for a, b in ((clips, english), (clips, other), (english, other))]
    weighted = cacl_loss(clips, english, other, TAU, weights=(0.5, 0.25, 0.25))
    assert_close(weighted, 0.5 * sides[0] + 0.25 * sides[1] + 0.25 * sides[2])
    alone = cacl_loss(clips, english, other, TAU, weights=(0.0, 1.0, 0.0))
    assert_close(alone, sides[1])


def test_functional_transforms_pass_through():
    """The twin runs need per-pair gradients and Hessian-vector products of these losses."""
    clips = unit(4, 3)
    texts = unit(4, 2, 3, seed=1)
    weights = unit(3, 3, seed=2)

    def loss(w):
        return kcl_loss(F.normalize(clips @ w, dim=-1), texts, TAU)

    gradient = torch.func.grad(loss)
    step = 1e-6 * unit(3, 3, seed=3)
    _, product = torch.func.jvp(gradient, (weights,), (step,))
    difference = (gradient(weights + step) - gradient(weights - step)) / 2
    assert_close(product, difference, rtol=1e-4, atol=1e-9)
    several = [weights, weights + step]
    batched = torch.func.vmap(loss)(torch.stack(several))
    assert_close(batched, torch.stack(list(map(loss, several))))


@pytest.mark.parametrize(
    "clips, texts, temperature, message",
    [
        (unit(1, 4), unit(1, 2, 4), TAU, "at least 2 clips"),
        (unit(3, 4), unit(3, 0, 4), TAU, r"got clips \[3, 4\] torch.float64 and texts \[3, 0, 4\]"),
        (unit(3, 4), unit(2, 2, 4), TAU, r"\[2, 2, 4\]"),
        (unit(3, 4), unit(3, 2, 5), TAU, r"\[3, 2, 5\]"),
        (unit(3, 4), unit(3, 4), TAU, r"texts \[N, K, d\]"),
        (unit(3, 4).long(), unit(3, 2, 4), TAU, "floating point"),
        (unit(3, 4), unit(3, 2, 4), 0.0, "positive"),
        (unit(3, 4), unit(3, 2, 4), -1, "positive"),
        (unit(3, 4), unit(3, 2, 4), float("nan"), "positive"),
    ],
)
def test_bad_input_says_what_is_wrong(clips, texts, temperature, message):
    for loss in (pair_losses, kcl_loss):
        with pytest.raises(ValueError, match=message):
            loss(clips, texts, temperature)


def test_two_sets_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"got clips \[3, 4\] .* and texts \[2, 1, 4\]"):
        info_nce(unit(3, 4), unit(2, 4), TAU)
    with pytest.raises(ValueError, match=r"\[3, 1, 5\]"):
        cacl_loss(unit(3, 4), unit(3, 4), unit(3, 5), TAU)
