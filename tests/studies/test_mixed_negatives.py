"""Theorem B against all tuples of languages of a small batch, in float64."""

import functools
import itertools

import numpy as np
import pytest
import sympy as sp
import torch
from pytest import approx
from torch.nn.functional import one_hot

from atri_lib.losses import info_nce, pair_losses
from atri_lib.theory.model_functions import Task
from studies.mixed_negatives import excess, excess_of
from studies.symbolic import mixed
from tests.theory.toy_heads import features, heads

TAU = 0.5
EVERY_TUPLE = list(itertools.product(range(3), repeat=3))


def embeddings(spread):
    """clips [3, 4]; texts [3, 3, 4], whose languages differ by `spread`; not normalised, which no
    loss asks for.
    """
    generator = torch.Generator().manual_seed(0)
    clips, shared = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    way = torch.randn(3, 3, 4, generator=generator, dtype=torch.float64)
    own = way - way.mean(1, keepdim=True)
    return clips, shared[:, None] + spread * own


def over_tuples(loss, texts):
    """The mean of a loss of texts in one language each, over all tuples of languages."""
    losses = []
    for languages in EVERY_TUPLE:
        chosen = texts[[0, 1, 2], languages]
        losses.append(loss(chosen))
    return sum(losses) / len(losses)


def test_excess_is_the_mean_over_all_tuples_to_second_order():
    errors = []
    for spread in (0.02, 0.01):
        clips, texts = embeddings(spread)
        loss = functools.partial(info_nce, clips, temperature=TAU)
        in_one_language = pair_losses(clips, texts, TAU).mean()
        true = over_tuples(loss, texts) - in_one_language
        guess = excess(clips, texts, TAU)
        error = (true - guess).abs()
        assert error < 0.1 * true.abs()
        errors.append(error.item())
    assert errors[0] / errors[1] == approx(8, rel=0.2)


def test_text_to_clip_half_does_not_see_other_captions():
    clips, texts = embeddings(1.0)

    def half(text):
        logits = clips @ text.T / TAU
        return (logits.logsumexp(0) - logits.diagonal()).mean()

    each = [half(text) for text in texts.unbind(1)]
    in_one_language = sum(each) / len(each)
    in_mixed = over_tuples(half, texts)
    torch.testing.assert_close(in_mixed, in_one_language, rtol=1e-12, atol=0)


def test_excess_grows_with_the_level_of_scores_of_a_language():
    """Captions of one language closer to every sound than another language's: R is positive."""
    clips, texts = embeddings(0.0)
    ones = torch.ones(3, 1, dtype=torch.float64)
    direction = torch.linalg.lstsq(clips, ones).solution[:, 0]
    levels = torch.tensor([-0.1, 0.0, 0.1], dtype=torch.float64)
    lifted = texts + levels[:, None] * direction
    chance = (clips @ texts[:, 0].T / TAU).softmax(1)
    variance = (levels / TAU).var(correction=0)
    of_clips = 1 - chance.square().sum(1)
    expected = variance * of_clips.mean() / 4
    torch.testing.assert_close(excess(clips, lifted, TAU), expected)


def test_one_caption_of_its_own_way_is_no_excess():
    """Nothing is common to a language."""
    clips, texts = embeddings(0.0)
    texts[0, 0] += 0.1
    texts[0, 1] -= 0.1
    assert excess(clips, texts, TAU).abs() < 1e-12


def test_gradient_of_the_excess_is_the_mean_discrepancy_of_practical_gradients():
    clip_features, texts = (part.double() for part in features(clips=4, languages=2))
    mean = texts.mean(1, keepdim=True)
    batch = clip_features, mean + 0.2 * (texts - mean)
    task = Task(heads(), 0.3)
    every = list(itertools.product(range(2), repeat=4))
    tuples = one_hot(torch.tensor(every)) / 4.0
    even = torch.full((1, 4, 2), 1 / 8, dtype=torch.float64)
    start = task.start[None]
    penalty = functools.partial(excess_of, task)
    with torch.no_grad():
        each = task.gradients(start.expand(16, -1), tuples, batch, task.mixed_loss)
        (ideal,) = task.gradients(start, even, batch)
        (derived,) = task.gradients(start, even, batch, penalty)
    true = each.mean(0) - ideal
    cosine = torch.nn.functional.cosine_similarity(true, derived, dim=0)
    assert cosine > 0.98
    assert derived.norm().item() == approx(true.norm().item(), rel=0.1)


def test_derivation_for_any_number_of_captions_is_the_penalty():
    derived = mixed.expected_difference().function
    difference = derived - mixed.penalty().function
    assert sp.simplify(difference) == 0


@pytest.mark.parametrize("captions, languages", [(2, 2), (3, 2), (2, 3)])
def test_penalty_is_what_all_tuples_give(captions, languages):
    one = mixed.by_enumeration(captions, languages)
    other = mixed.penalty_enumerated(captions, languages)
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    values = np.random.default_rng(0).normal(size=len(symbols))
    chosen = dict(zip(symbols, values, strict=True))
    expected = float(other.subs(chosen))
    assert float(one.subs(chosen)) == approx(expected, rel=1e-9)


@pytest.mark.parametrize("clips, languages", [(2, 2), (3, 4), (1, 5)])
def test_error_over_tuples_is_counted(clips, languages):
    every = list(itertools.product(range(languages), repeat=clips))
    counted = 0
    for chosen in every:
        ideal = 1 / languages if len(set(chosen)) == 1 else 0
        counted += abs(ideal - 1 / len(every))
    derived = mixed.tuple_error().subs({mixed.B: clips, mixed.K: languages})
    assert float(derived) == approx(counted, abs=1e-12)
