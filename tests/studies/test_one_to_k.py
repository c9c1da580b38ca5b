"""The 1-to-K loss against plain loops, and how it differs from KCL."""

import math

import pytest
import torch
from hypothesis import given, settings
from torch.testing import assert_close

from atri_lib.losses import info_nce
from studies.one_to_k import one_to_k_loss
from tests.test_losses import TAU, assert_equal_to_loops, loop_cross_entropy, shapes, unit


def loop_one_to_k(clips, texts, temperature):
    count, languages = texts.shape[:2]
    everything = [texts[i, k] for i in range(count) for k in range(languages)]
    total = 0.0
    for i in range(count):
        for k in range(languages):
            total += loop_cross_entropy(clips[i], everything, i * languages + k, temperature)
            total += loop_cross_entropy(texts[i, k], clips, i, temperature) / languages
    return total / (2 * count * languages)


def test_value_and_gradient_equal_plain_loops():
    assert_equal_to_loops(one_to_k_loss, loop_one_to_k, ((5, 4), (5, 3, 4)))


def test_negatives_are_of_all_languages():
    """Moving a French caption changes what English captions cost."""
    clips = unit(3, 4)
    texts = unit(3, 2, 4, seed=1)
    moved = texts.clone()
    moved[1, 1] = unit(4, seed=2)
    assert not torch.isclose(one_to_k_loss(clips, texts, TAU), one_to_k_loss(clips, moved, TAU))


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_one_language_is_info_nce_order_is_nothing_and_log_k_is_the_least(count, languages, seed):
    clips = unit(count, 4, seed=seed)
    texts = unit(count, languages, 4, seed=seed + 1)
    value = one_to_k_loss(clips, texts, TAU)
    generator = torch.Generator().manual_seed(seed)
    clip_order = torch.randperm(count, generator=generator)
    shuffled = texts[clip_order][:, torch.randperm(languages, generator=generator)]
    assert_close(one_to_k_loss(clips[clip_order], shuffled, TAU), value)
    assert value >= math.log(languages) / 2 - 1e-12
    alone = one_to_k_loss(clips, texts[:, :1], TAU)
    assert_close(alone, info_nce(clips, texts[:, 0], TAU))


def test_bad_input_says_what_is_wrong():
    with pytest.raises(ValueError, match="at least 2 clips"):
        one_to_k_loss(unit(1, 4), unit(1, 2, 4), TAU)
