"""Each loss against plain loops in float64, forward and gradient; its invariants; what it must
refuse.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.losses import cacl_loss, info_nce, kcl_loss, ml_clap_loss, one_to_k_loss, pair_losses

TAU = 0.07


def unit(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1).to(
        dtype
    )


def loop_cross_entropy(query, candidates, target, temperature):
    """-log of the softmax over candidates at target, written out."""
    scores = [
        sum(q * c for q, c in zip(query, candidate, strict=True)) / temperature
        for candidate in candidates
    ]
    return torch.stack(scores).exp().sum().log() - scores[target]


def loop_sums(a, b, temperature):
    """L_ab: both directions' cross-entropies summed over the N clips."""
    pairs = range(len(a))
    return sum(
        loop_cross_entropy(a[i], b, i, temperature) + loop_cross_entropy(b[i], a, i, temperature)
        for i in pairs
    )


def loop_info_nce(a, b, temperature):
    return loop_sums(a, b, temperature) / (2 * len(a))


def loop_cacl(clips, english, other, temperature):
    sides = loop_sums(clips, english, temperature) + loop_sums(clips, other, temperature)
    return (sides + loop_sums(english, other, temperature)) / (6 * len(clips))


def loop_kcl(clips, texts, temperature):
    count, languages = texts.shape[:2]
    return sum(loop_sums(clips, texts[:, k], temperature) for k in range(languages)) / (
        2 * count * languages
    )


def loop_one_to_k(clips, texts, temperature):
    count, languages = texts.shape[:2]
    everything = [texts[i, k] for i in range(count) for k in range(languages)]
    total = 0.0
    for i in range(count):
        for k in range(languages):
            total += loop_cross_entropy(clips[i], everything, i * languages + k, temperature)
            total += loop_cross_entropy(texts[i, k], clips, i, temperature) / languages
    return total / (2 * count * languages)


CASES = {
    "info_nce": (info_nce, loop_info_nce, ((5, 4), (5, 4))),
    "ml_clap": (ml_clap_loss, loop_info_nce, ((5, 4), (5, 4))),
    "cacl": (cacl_loss, loop_cacl, ((5, 4), (5, 4), (5, 4))),
    "kcl": (kcl_loss, loop_kcl, ((5, 4), (5, 3, 4))),
    "one_to_k": (one_to_k_loss, loop_one_to_k, ((5, 4), (5, 3, 4))),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_equal_plain_loops(name):
    loss, oracle, shapes = CASES[name]
    inputs = [unit(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    inputs.append(torch.tensor(TAU, dtype=torch.float64, requires_grad=True))
    torch.testing.assert_close(loss(*inputs), oracle(*inputs), rtol=1e-12, atol=1e-13)
    ours, slow = (
        torch.autograd.grad(loss(*inputs), inputs),
        torch.autograd.grad(oracle(*inputs), inputs),
    )
    for fast_gradient, slow_gradient in zip(ours, slow, strict=True):
        torch.testing.assert_close(fast_gradient, slow_gradient, rtol=1e-10, atol=1e-12)
    # Negative control: the comparison can tell a loss from the same loss at another temperature.
    with pytest.raises(AssertionError):
        torch.testing.assert_close(
            loss(*inputs[:-1], 1.01 * TAU), oracle(*inputs), rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_finite_differences(name):
    loss, _, shapes = CASES[name]
    inputs = [unit(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(lambda *embeddings: loss(*embeddings, 0.5), inputs)


def test_pair_losses_equal_plain_loops_pair_by_pair():
    clips, texts = unit(4, 3), unit(4, 2, 3, seed=1)
    losses = pair_losses(clips, texts, TAU)
    for i in range(4):
        for k in range(2):
            text = texts[:, k]
            one = loop_cross_entropy(clips[i], text, i, TAU) + loop_cross_entropy(
                text[i], clips, i, TAU
            )
            torch.testing.assert_close(losses[i, k], one / 2)


def test_kcl_negatives_stay_in_their_language():
    """Moving clip 1's French caption changes French losses only; in the 1-to-K loss English feels
    it too.
    """
    clips, texts = unit(3, 4), unit(3, 2, 4, seed=1)
    moved = texts.clone()
    moved[1, 1] = unit(4, seed=2)
    before, after = pair_losses(clips, texts, TAU), pair_losses(clips, moved, TAU)
    assert torch.equal(before[:, 0], after[:, 0])
    assert (before[:, 1] != after[:, 1]).all()
    assert not torch.isclose(one_to_k_loss(clips, texts, TAU), one_to_k_loss(clips, moved, TAU))


shapes = {"count": st.integers(2, 6), "languages": st.integers(1, 5), "seed": st.integers(0, 2**16)}


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_order_of_clips_and_of_languages_does_not_matter(count, languages, seed):
    clips, texts = unit(count, 4, seed=seed), unit(count, languages, 4, seed=seed + 1)
    generator = torch.Generator().manual_seed(seed)
    clip_order = torch.randperm(count, generator=generator)
    language_order = torch.randperm(languages, generator=generator)
    for loss in (kcl_loss, one_to_k_loss):
        value = loss(clips, texts, TAU)
        torch.testing.assert_close(
            loss(clips[clip_order], texts[clip_order][:, language_order], TAU), value
        )
    english, other = texts[:, 0], texts[:, -1]
    shuffled = cacl_loss(clips[clip_order], english[clip_order], other[clip_order], TAU)
    torch.testing.assert_close(shuffled, cacl_loss(clips, english, other, TAU))


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_relations_between_the_losses(count, languages, seed):
    clips, texts = unit(count, 4, seed=seed), unit(count, languages, 4, seed=seed + 1)
    english = texts[:, 0]
    per_language = [info_nce(clips, texts[:, k], TAU) for k in range(languages)]
    torch.testing.assert_close(kcl_loss(clips, texts, TAU), sum(per_language) / languages)
    assert torch.equal(kcl_loss(clips, texts, TAU), pair_losses(clips, texts, TAU).mean())
    assert torch.equal(kcl_loss(clips, texts[:, :1], TAU), info_nce(clips, english, TAU))
    assert torch.equal(ml_clap_loss(clips, english, TAU), info_nce(clips, english, TAU))
    torch.testing.assert_close(
        one_to_k_loss(clips, texts[:, :1], TAU), info_nce(clips, english, TAU)
    )
    torch.testing.assert_close(info_nce(clips, english, TAU), info_nce(english, clips, TAU))
    twice_english = (2 * info_nce(clips, english, TAU) + info_nce(english, english, TAU)) / 3
    torch.testing.assert_close(cacl_loss(clips, english, english, TAU), twice_english)
    assert one_to_k_loss(clips, texts, TAU) >= math.log(languages) / 2 - 1e-12


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.1, 10), **shapes)
def test_scale_of_embeddings_is_temperature_and_rotation_is_nothing(scale, count, languages, seed):
    clips, texts = unit(count, 4, seed=seed), unit(count, languages, 4, seed=seed + 1)
    rotation, _ = torch.linalg.qr(unit(4, 4, seed=seed + 2))
    value = kcl_loss(clips, texts, TAU)
    torch.testing.assert_close(kcl_loss(scale * clips, scale * texts, scale**2 * TAU), value)
    torch.testing.assert_close(kcl_loss(clips @ rotation, texts @ rotation, TAU), value)


def test_collapsed_embeddings_cost_log_n_and_perfect_ones_nothing():
    same, distinct = torch.ones(6, 1), torch.eye(6)
    assert kcl_loss(same, same[:, None].expand(6, 3, 1), TAU).item() == pytest.approx(math.log(6))
    assert kcl_loss(distinct, distinct[:, None].expand(6, 3, 6), TAU).item() == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_precision_gives_the_value_of_its_inputs_in_float64(dtype):
    clips, texts = unit(16, 8, dtype=dtype).requires_grad_(), unit(16, 3, 8, seed=1, dtype=dtype)
    loss = kcl_loss(clips, texts, TAU)
    loss.backward()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(
        loss.double(), kcl_loss(clips.double(), texts.double(), TAU), rtol=1e-5, atol=1e-6
    )
    assert clips.grad.dtype == dtype and clips.grad.isfinite().all() and clips.grad.abs().sum() > 0


def test_autocast_does_not_round_the_similarities():
    clips, texts = unit(16, 8, dtype=torch.float32), unit(16, 3, 8, seed=1, dtype=torch.float32)
    outside = kcl_loss(clips, texts, TAU)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(kcl_loss(clips, texts, TAU), outside)
        rounded = (
            torch.stack([(clips @ text.T).float() for text in texts.unbind(1)]) / TAU
        )  # as autocast would have it
    naive = (
        (rounded.logsumexp(1) + rounded.logsumexp(2)) / 2 - rounded.diagonal(dim1=1, dim2=2)
    ).mean()
    assert 1e-5 < (naive - outside).abs() < 0.1


def test_weights_of_cacl_count_its_sides():
    clips, english, other = unit(5, 4), unit(5, 4, seed=1), unit(5, 4, seed=2)
    sides = [info_nce(a, b, TAU) for a, b in ((clips, english), (clips, other), (english, other))]
    weighted = cacl_loss(clips, english, other, TAU, weights=(0.5, 0.25, 0.25))
    torch.testing.assert_close(weighted, 0.5 * sides[0] + 0.25 * sides[1] + 0.25 * sides[2])
    torch.testing.assert_close(
        cacl_loss(clips, english, other, TAU, weights=(0.0, 1.0, 0.0)), sides[1]
    )


def test_functional_transforms_pass_through():
    """The twin runs need per-pair gradients and Hessian-vector products of these losses."""
    clips, texts, weights = unit(4, 3), unit(4, 2, 3, seed=1), unit(3, 3, seed=2)

    def loss(w):
        return kcl_loss(F.normalize(clips @ w, dim=-1), texts, TAU)

    step = 1e-6 * unit(3, 3, seed=3)
    product = torch.func.jvp(torch.func.grad(loss), (weights,), (step,))[1]
    difference = (torch.func.grad(loss)(weights + step) - torch.func.grad(loss)(weights - step)) / 2
    torch.testing.assert_close(product, difference, rtol=1e-4, atol=1e-9)
    batched = torch.func.vmap(loss)(torch.stack([weights, weights + step]))
    torch.testing.assert_close(batched, torch.stack([loss(weights), loss(weights + step)]))


@pytest.mark.parametrize(
    "clips, texts, temperature, message",
    [
        (unit(1, 4), unit(1, 2, 4), TAU, "at least 2 clips"),
        (unit(3, 4), unit(3, 0, 4), TAU, "K = 0"),
        (unit(3, 4), unit(2, 2, 4), TAU, "share N and d"),
        (unit(3, 4), unit(3, 2, 5), TAU, "share N and d"),
        (unit(3, 4), unit(3, 4), TAU, r"texts \[N, K, d\]"),
        (unit(3, 4).long(), unit(3, 2, 4), TAU, "floating point"),
        (unit(3, 4), unit(3, 2, 4), 0.0, "positive"),
        (unit(3, 4), unit(3, 2, 4), -1, "positive"),
        (unit(3, 4), unit(3, 2, 4), float("nan"), "positive"),
        (unit(3, 4), unit(3, 2, 4), torch.tensor([TAU, TAU]), "one positive number"),
    ],
)
def test_bad_input_says_what_is_wrong(clips, texts, temperature, message):
    for loss in (pair_losses, kcl_loss, one_to_k_loss):
        with pytest.raises(ValueError, match=message):
            loss(clips, texts, temperature)


def test_two_sets_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \[3, 4\] and \[2, 4\]"):
        info_nce(unit(3, 4), unit(2, 4), TAU)
    with pytest.raises(ValueError, match="one shape"):
        cacl_loss(unit(3, 4), unit(3, 4), unit(3, 5), TAU)
    with pytest.raises(ValueError, match="at least 2 clips"):
        ml_clap_loss(unit(1, 4), unit(1, 4), TAU)
