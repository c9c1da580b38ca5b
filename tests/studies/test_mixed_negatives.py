"""Theorem B against all tuples of languages of a small batch, in float64."""

import functools
import itertools

import numpy as np
import pytest
import sympy as sp
import torch

from atri_lib.losses import info_nce, pair_losses
from atri_lib.theory.model_functions import Task
from studies.mixed_negatives import excess, excess_of
from studies.symbolic import mixed
from tests.theory.toy_heads import features, heads

CLIPS, LANGUAGES, TAU = 3, 3, 0.5


def embeddings(spread):
    """clips [3, 4]; texts [3, 3, 4], whose languages differ by `spread`; not normalised, which no
    loss asks for.
    """
    generator = torch.Generator().manual_seed(0)
    clips, shared = torch.randn(2, CLIPS, 4, generator=generator, dtype=torch.float64)
    way = torch.randn(CLIPS, LANGUAGES, 4, generator=generator, dtype=torch.float64)
    return clips, shared[:, None] + spread * (way - way.mean(1, keepdim=True))


def every_tuple():
    return torch.tensor(list(itertools.product(range(LANGUAGES), repeat=CLIPS)))


def mixed_mean(clips, texts):
    """Practical ML-CLAP's loss, averaged over all tuples."""
    chosen = [texts[torch.arange(CLIPS), languages] for languages in every_tuple()]
    return torch.stack([info_nce(clips, text, TAU) for text in chosen]).mean()


def test_excess_is_the_mean_over_all_tuples_to_second_order():
    errors = []
    for spread in (0.02, 0.01):
        clips, texts = embeddings(spread)
        true = mixed_mean(clips, texts) - pair_losses(clips, texts, TAU).mean()
        guess = excess(clips, texts, TAU)
        errors.append(abs(true - guess).item())
        assert errors[-1] < 0.1 * abs(true)
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.2)


def test_text_to_clip_half_does_not_see_other_captions():
    clips, texts = embeddings(1.0)

    def half(text):
        logits = clips @ text.T / TAU
        return (logits.logsumexp(0) - logits.diagonal()).mean()

    chosen = [texts[torch.arange(CLIPS), languages] for languages in every_tuple()]
    over_tuples = torch.stack([half(text) for text in chosen]).mean()
    in_one_language = torch.stack([half(text) for text in texts.unbind(1)]).mean()
    torch.testing.assert_close(over_tuples, in_one_language, rtol=1e-12, atol=0)


def test_excess_grows_with_the_level_of_scores_of_a_language():
    """Captions of one language closer to every sound than another language's: R is positive."""
    clips, texts = embeddings(0.0)
    assert excess(clips, texts, TAU).abs() < 1e-12
    direction = torch.linalg.lstsq(clips, torch.ones(CLIPS, 1, dtype=torch.float64)).solution[:, 0]
    levels = torch.tensor([-0.1, 0.0, 0.1], dtype=torch.float64)
    lifted = texts + levels[:, None] * direction
    chance = (clips @ texts[:, 0].T / TAU).softmax(1)
    variance = (levels / TAU).var(correction=0)
    expected = (variance * (1 - chance.square().sum(1))).mean() / 4
    torch.testing.assert_close(excess(clips, lifted, TAU), expected)
    own_way = torch.zeros_like(texts)
    own_way[0, 0] = 0.1  # one caption alone: nothing is common to a language
    own_way[0, 1] = -0.1
    assert excess(clips, texts + own_way, TAU).abs() < 1e-12


def test_gradient_of_the_excess_is_the_mean_discrepancy_of_practical_gradients():
    clip_features, texts = features(clips=4, languages=2)
    clip_features, texts = clip_features.double(), texts.double()
    texts = texts.mean(1, keepdim=True) + 0.2 * (texts - texts.mean(1, keepdim=True))
    task = Task(heads(), 0.3)
    tuples = torch.tensor(list(itertools.product(range(2), repeat=4)))
    drawn = torch.nn.functional.one_hot(tuples) / 4.0
    even = torch.full((1, 4, 2), 1 / 8, dtype=torch.float64)
    start = task.start[None]
    with torch.no_grad():
        each = task.gradients(start.expand(16, -1), drawn, (clip_features, texts), task.mixed_loss)
        ideal = task.gradients(start, even, (clip_features, texts))
        penalty = functools.partial(excess_of, task)
        derived = task.gradients(start, even, (clip_features, texts), penalty)
    true = each.mean(0) - ideal[0]
    assert torch.nn.functional.cosine_similarity(true, derived[0], dim=0) > 0.98
    assert derived.norm().item() == pytest.approx(true.norm().item(), rel=0.1)


def test_derivation_for_any_number_of_captions_is_the_penalty():
    difference = mixed.expected_difference().function - mixed.penalty().function
    assert sp.simplify(difference) == 0


@pytest.mark.parametrize("captions, languages", [(2, 2), (3, 2), (2, 3)])
def test_penalty_is_what_all_tuples_give(captions, languages):
    one = mixed.by_enumeration(captions, languages)
    other = mixed.penalty_enumerated(captions, languages)
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    values = np.random.default_rng(0).normal(size=len(symbols))
    chosen = dict(zip(symbols, values, strict=True))
    assert float(one.subs(chosen)) == pytest.approx(float(other.subs(chosen)), rel=1e-9)


@pytest.mark.parametrize("clips, languages", [(2, 2), (3, 4), (1, 5)])
def test_error_over_tuples_is_counted(clips, languages):
    ideal = {(language,) * clips: 1 / languages for language in range(languages)}
    every = list(itertools.product(range(languages), repeat=clips))
    counted = sum(abs(ideal.get(chosen, 0) - 1 / len(every)) for chosen in every)
    derived = mixed.tuple_error().subs({mixed.B: clips, mixed.K: languages})
    assert float(derived) == pytest.approx(counted, abs=1e-12)
