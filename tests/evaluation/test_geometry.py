"""Gap and parallel distance against plain loops; their invariants."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atri_lib.evaluation import language_gap, parallel_distance


def unit(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def loop_length(vector):
    return math.sqrt(sum(x * x for x in vector))


def loop_gap(texts):
    clips, languages, _ = texts.shape
    centroids = [sum(texts[i, k] for i in range(clips)) / clips for k in range(languages)]
    pairs = combinations(centroids, 2)
    return np.mean([loop_length(one - other) for one, other in pairs])


def loop_distance(texts):
    lengths = []
    for caption in texts:
        for one, other in combinations(caption, 2):
            lengths.append(loop_length(one - other))
    return np.mean(lengths)


sizes = {"clips": st.integers(1, 6), "languages": st.integers(2, 6), "seed": st.integers(0, 2**16)}


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_measures_equal_plain_loops(clips, languages, seed):
    texts = unit(clips, languages, 5, seed=seed)
    assert language_gap(texts) == pytest.approx(loop_gap(texts), abs=1e-12)
    assert parallel_distance(texts) == pytest.approx(loop_distance(texts), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(scale=st.floats(0.01, 100), **sizes)
def test_order_scale_rotation_and_translation(scale, clips, languages, seed):
    texts = unit(clips, languages, 4, seed=seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(languages)
    shuffled = texts[rng.permutation(clips)][:, order]
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    for measure in (language_gap, parallel_distance):
        value = measure(texts)
        assert measure(shuffled) == pytest.approx(value)
        assert measure(scale * texts @ rotation + 5) == pytest.approx(scale * value, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_the_gap_is_at_most_the_parallel_distance(clips, languages, seed):
    texts = unit(clips, languages, 4, seed=seed)
    assert language_gap(texts) <= parallel_distance(texts) + 1e-12
    assert language_gap(texts[:1]) == pytest.approx(parallel_distance(texts[:1]))


def test_a_language_shifted_as_a_whole_has_gap_equal_to_distance_and_scatter_has_none():
    english = unit(500, 1, 8)
    shifted = np.concatenate([english, english + 0.3 / math.sqrt(8)], axis=1)
    assert language_gap(shifted) == pytest.approx(0.3)
    assert parallel_distance(shifted) == pytest.approx(0.3)
    assert language_gap(shifted[:, :1]) == parallel_distance(shifted[:, :1]) == 0
    scattered = unit(20_000, 2, 8, seed=1)
    assert language_gap(scattered) < 0.02
    assert parallel_distance(scattered) > 1.3


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: language_gap(unit(4, 3)), r"\[N K d\]"),
        (lambda: parallel_distance(np.full((2, 2, 2), np.nan)), "texts has NaN"),
    ],
)
def test_bad_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
