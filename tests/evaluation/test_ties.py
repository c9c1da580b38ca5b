"""Ties shared over all orders, against the orders themselves; what duplicates leave to reach."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_retrieval import a2t_ranks, small_integers, unit

from atri_lib.ambiguity import find_ambiguity
from atri_lib.evaluation import (
    FairRanks,
    fair_audio_to_text,
    fair_rank_matrix,
    mean_rank_variance,
    rank_matrix,
    recall_at,
    retrieval_ranks,
)


def orders(scores):
    """Every list of items by falling score: equal ones in all orders."""
    for order in permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in zip(order, order[1:], strict=False)):
            yield order


def first_of(order, mine):
    return 1 + min(order.index(item) for item in mine)


def assert_fair(found, at, scores, mine):
    """found[at] is what all orders of the scores say about the best of the items `mine`."""
    ranks = np.array([first_of(order, mine) for order in orders(scores)])
    assert found.expected[at] == pytest.approx(ranks.mean(), abs=1e-9)
    assert found.worst[at] == ranks.max()
    assert found.chance_first[at] == pytest.approx((ranks == 1).mean(), abs=1e-9)


sizes = {"dim": st.integers(1, 2), "seed": st.integers(0, 2**16)}


@settings(deadline=None, max_examples=25)
@given(
    draw=st.sampled_from([unit, small_integers]),
    queries=st.integers(1, 3),
    items=st.integers(1, 6),
    **sizes,
)
def test_fair_ranks_equal_the_mean_over_all_orders_of_ties(draw, queries, items, dim, seed):
    asked = draw(queries, dim, seed=seed)
    gallery = small_integers(items, dim, seed=seed + 1)
    targets = np.random.default_rng(seed).integers(items, size=queries)
    found = fair_rank_matrix(gallery, asked[:, None], targets)
    np.testing.assert_array_equal(found.worst[:, 0], retrieval_ranks(asked, gallery, targets))
    for i, target in enumerate(targets):
        assert_fair(found, (i, 0), list(gallery @ asked[i]), [target])


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 3), extra=st.integers(0, 3), languages=st.integers(1, 2), **sizes)
def test_both_directions_equal_the_mean_over_all_orders_of_ties(count, extra, languages, dim, seed):
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(count), rng.integers(count, size=extra)]))
    clips = small_integers(count, dim, seed=seed)
    texts = small_integers(len(owner), languages, dim, seed=seed + 1)
    t2a = fair_rank_matrix(clips, texts, owner)
    a2t = fair_audio_to_text(clips, texts, owner)
    np.testing.assert_array_equal(t2a.worst, rank_matrix(clips, texts, owner))
    for k in range(languages):
        np.testing.assert_array_equal(a2t.worst[:, k], a2t_ranks(clips, texts[:, k], owner))
        for caption, clip in enumerate(owner):
            assert_fair(t2a, (caption, k), list(clips @ texts[caption, k]), [clip])
        for clip in range(count):
            own = np.flatnonzero(owner == clip)
            assert_fair(a2t, (clip, k), list(texts[:, k] @ clips[clip]), own)


def test_without_ties_the_fair_rank_is_the_rank():
    clips = unit(40, 9, seed=1)
    texts = unit(60, 3, 9, seed=2)
    owner = np.arange(60) % 40
    ranks = rank_matrix(clips, texts, owner)
    found = fair_rank_matrix(clips, texts, owner)
    np.testing.assert_array_equal(found.expected, ranks)
    assert found.chance_first.mean() == recall_at(ranks, 1)
    assert mean_rank_variance(found.expected) == pytest.approx(mean_rank_variance(ranks))


def test_two_clips_with_two_equal_captions_are_no_longer_lost():
    clips = np.eye(2)
    texts = np.ones((2, 2)) / np.sqrt(2)
    assert recall_at(a2t_ranks(clips, texts, [0, 1]), 1) == 0
    assert fair_audio_to_text(clips, texts[:, None], [0, 1]).chance_first.mean() == 0.5


def test_collapsed_embeddings_find_by_chance_and_large_counts_stay_exact():
    same = np.ones((5000, 2))
    found = fair_rank_matrix(same, same[:3, None], [0, 1, 2])
    np.testing.assert_allclose(found.expected, 2500.5)
    np.testing.assert_allclose(found.chance_first, 1 / 5000)
    five = FairRanks(above=np.array([0]), equal=np.array([4995]), own=np.array([5]))
    np.testing.assert_allclose(five.chance_first, 5 / 5000)
    np.testing.assert_allclose(five.expected, 1 + 4995 / 6)


def best_first_place(classes, asked):
    """Hits at rank 1, at most: every class of equal items is tried; its items take turns.

    classes: lists of equal items; asked: for each query, the items that are right.
    """
    hits = []
    for items in classes:
        found = [item in right for right in asked for item in items]
        hits.append(sum(found) / len(items))
    return max(hits)


def reachable(captions, owner, contents):
    """R@1 of the best model, both directions: the best first place for each distinct query."""
    clips = [[i for i, other in enumerate(contents) if other == one] for one in set(contents)]
    texts = [[j for j, other in enumerate(captions) if other == text] for text in set(captions)]
    own = [{j for j in range(len(captions)) if owner[j] == i} for i in range(len(contents))]
    t2a = sum(best_first_place(clips, [{owner[j]} for j in equal]) for equal in texts)
    a2t = sum(best_first_place(texts, [own[i] for i in equal]) for equal in clips)
    return t2a / len(captions), a2t / len(contents)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_the_reachable_recall_is_the_best_of_all_first_places(data):
    count = data.draw(st.integers(1, 5))
    owner = list(range(count)) + data.draw(st.lists(st.integers(0, count - 1), max_size=4))
    size = {"min_size": len(owner), "max_size": len(owner)}
    captions = data.draw(st.lists(st.sampled_from("abcd"), **size))
    contents = data.draw(st.lists(st.sampled_from("xyz"), min_size=count, max_size=count))
    found = find_ambiguity(captions, np.array(owner), contents)
    assert (found.text_to_audio, found.audio_to_text) == pytest.approx(
        reachable(captions, owner, contents)
    )
    if not found.captions.any():
        assert found.text_to_audio == 1
    if not found.clips.any():
        assert found.audio_to_text == 1


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_no_model_expects_more_than_what_is_reachable(data):
    """Equal captions and equal contents get equal embeddings, which are drawn at random."""
    count = data.draw(st.integers(1, 4))
    captions = data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    contents = data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    found = find_ambiguity(captions, np.arange(count), contents)
    seeds = range(data.draw(st.integers(0, 1000)), 1000, 97)
    for seed in seeds:
        clips = unit(3, 3, seed=seed)[contents]
        texts = unit(3, 3, seed=seed + 1)[captions][:, None]
        t2a = fair_rank_matrix(clips, texts, range(count))
        a2t = fair_audio_to_text(clips, texts, range(count))
        assert t2a.chance_first.mean() <= found.text_to_audio + 1e-9
        assert a2t.chance_first.mean() <= found.audio_to_text + 1e-9


@pytest.mark.parametrize(
    ("captions", "owner", "contents", "lost", "reached"),
    [
        ("ab", [0, 1], None, (0, 0), (1, 1)),
        ("aa", [0, 1], None, (2, 2), (0.5, 0.5)),  # two clips share a caption
        ("aab", [0, 0, 1], None, (0, 0), (1, 1)),  # one clip has a caption twice: nothing is lost
        ("aabc", [0, 1, 0, 1], None, (2, 0), (0.75, 1)),  # each has one of its own, too
        ("ab", [0, 1], "xx", (2, 2), (0.5, 0.5)),  # the same sound twice
        ("aa", [0, 1], "xx", (2, 2), (0.5, 0.5)),
    ],
)
def test_what_is_ambiguous_is_counted(captions, owner, contents, lost, reached):
    contents = contents or range(max(owner) + 1)
    found = find_ambiguity(captions, np.array(owner), contents)
    assert (found.captions.sum(), found.clips.sum()) == lost
    assert (found.text_to_audio, found.audio_to_text) == reached


def test_owners_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="clip 1 has no caption: every clip needs one"):
        fair_audio_to_text(np.ones((3, 2)), np.ones((2, 1, 2)), [0, 2])
    for owner in ([0, 1], [0, -1], [0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="owner must be 2 integers from 0 to 0"):
            fair_audio_to_text(np.ones((1, 2)), np.ones((2, 1, 2)), owner)
    with pytest.raises(ValueError, match="owner must be 2 integers from 0 to 0"):
        fair_rank_matrix(np.ones((1, 2)), np.ones((2, 1, 2)), [0, 1])
