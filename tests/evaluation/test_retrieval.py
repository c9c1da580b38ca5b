"""Ranks, recall and average precision against plain loops; ties, chunks, invariants; what must be
refused.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import atri_lib.evaluation.scores as scores_module
from atri_lib.evaluation import (
    audio_to_text_ranks,
    map_at_10,
    mean_rank_variance,
    rank_matrix,
    recall_at,
    relevant_ranks,
    retrieval_ranks,
    retrieval_table,
)


def unit(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def a2t_ranks(clips, texts, owner):
    """The best of a clip's captions, texts [M, d] in one language."""
    return audio_to_text_ranks(clips, texts[:, None], owner)[:, 0]


def small_integers(*shape, seed=0):
    """Embeddings whose scores are exact in any order of summation, with many ties."""
    return np.random.default_rng(seed).integers(-2, 3, size=shape).astype(np.float64)


def loop_ranks(queries, gallery, targets):
    ranks = []
    for query, target in zip(queries, targets, strict=True):
        scores = [sum(q * g for q, g in zip(query, item, strict=True)) for item in gallery]
        ranks.append(sum(score >= scores[target] for score in scores))
    return np.array(ranks)


def loop_relevant_ranks(clips, texts, owner, clip):
    """Sorted ranks of a clip's captions: walk down the list, other clips' captions first among
    equals.
    """
    scores = [sum(a * t for a, t in zip(clips[clip], text, strict=True)) for text in texts]
    order = sorted(range(len(texts)), key=lambda j: (-scores[j], owner[j] == clip))
    return [place + 1 for place, j in enumerate(order) if owner[j] == clip]


def loop_average_precision(ranks, relevant):
    found = [rank for rank in ranks if rank <= 10]
    return sum(j / rank for j, rank in enumerate(found, start=1)) / min(10, relevant)


sizes = {"count": st.integers(1, 12), "dim": st.integers(1, 4), "seed": st.integers(0, 2**16)}


@settings(deadline=None, max_examples=60)
@given(draw=st.sampled_from([unit, small_integers]), queries=st.integers(1, 12), **sizes)
def test_ranks_equal_plain_loops(draw, queries, count, dim, seed):
    asked = draw(queries, dim, seed=seed)
    gallery = draw(count, dim, seed=seed + 1)
    targets = np.random.default_rng(seed).integers(count, size=queries)
    ranks = retrieval_ranks(asked, gallery, targets)
    assert ranks.dtype == np.int64
    np.testing.assert_array_equal(ranks, loop_ranks(asked, gallery, targets))


@settings(deadline=None, max_examples=60)
@given(draw=st.sampled_from([unit, small_integers]), extra=st.integers(0, 15), **sizes)
def test_audio_to_text_ranks_and_precision_equal_plain_loops(draw, extra, count, dim, seed):
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(count), rng.integers(count, size=extra)]))
    clips = draw(count, dim, seed=seed)
    texts = draw(len(owner), dim, seed=seed + 1)
    expected = [loop_relevant_ranks(clips, texts, owner, clip) for clip in range(count)]
    relevant = relevant_ranks(clips, texts[:, None], owner)[:, 0]
    assert [list(row[row > 0]) for row in relevant] == expected
    best = [min(ranks) for ranks in expected]
    np.testing.assert_array_equal(a2t_ranks(clips, texts, owner), best)
    precision = np.mean([loop_average_precision(ranks, len(ranks)) for ranks in expected])
    assert map_at_10(relevant) == pytest.approx(precision, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(scale=st.sampled_from([2.0**-20, 0.5, 3.0, 1e6]), **sizes)
def test_order_and_scale_do_not_matter(scale, count, dim, seed):
    queries = unit(count, dim, seed=seed)
    gallery = small_integers(count, dim, seed=seed + 1)
    targets = np.arange(count)
    ranks = retrieval_ranks(queries, gallery, targets)
    order = np.random.default_rng(seed).permutation(count)
    place = np.argsort(order)  # where item i went
    gallery_shuffled = retrieval_ranks(queries, gallery[order], place[targets])
    np.testing.assert_array_equal(gallery_shuffled, ranks)
    queries_shuffled = retrieval_ranks(queries[order], gallery, targets[order])
    np.testing.assert_array_equal(queries_shuffled, ranks[order])
    scaled = retrieval_ranks(scale * queries, gallery, targets)
    np.testing.assert_array_equal(scaled, ranks)


@settings(deadline=None, max_examples=30)
@given(**sizes)
def test_one_caption_per_clip_makes_the_directions_mirror_images(count, dim, seed):
    clips = unit(count, dim, seed=seed)
    text = unit(count, dim, seed=seed + 1)
    owner = np.arange(count)
    mirrored = retrieval_ranks(clips, text, owner)
    np.testing.assert_array_equal(a2t_ranks(clips, text, owner), mirrored)
    both = np.stack([text, text[::-1]], axis=1)
    np.testing.assert_array_equal(relevant_ranks(clips, both, owner)[:, 0, 0], mirrored)


@settings(deadline=None, max_examples=60)
@given(
    draw=st.sampled_from([unit, small_integers]),
    languages=st.integers(1, 3),
    extra=st.integers(0, 12),
    **sizes,
)
def test_ranks_of_all_languages_at_once_equal_plain_loops_language_by_language(
    draw, languages, extra, count, dim, seed
):
    """Ties, several captions a clip in any order, and more languages than one: both directions from
    [M, K, d].
    """
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(count), rng.integers(count, size=extra)]))
    clips = draw(count, dim, seed=seed)
    texts = draw(len(owner), languages, dim, seed=seed + 1)
    t2a = rank_matrix(clips, texts, owner)
    relevant = relevant_ranks(clips, texts, owner)
    assert t2a.shape == (len(owner), languages)
    assert relevant.shape[:2] == (count, languages)
    for k in range(languages):
        np.testing.assert_array_equal(t2a[:, k], loop_ranks(texts[:, k], clips, owner))
        expected = [loop_relevant_ranks(clips, texts[:, k], owner, clip) for clip in range(count)]
        assert [list(row[row > 0]) for row in relevant[:, k]] == expected


def test_collapsed_embeddings_rank_last():
    same = np.ones((50, 3))
    assert (retrieval_ranks(same, same, np.arange(50)) == 50).all()
    assert (a2t_ranks(same, np.ones((100, 3)), np.repeat(np.arange(50), 2)) == 99).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_repeated_gallery_item_always_ties(dtype):
    """Copies of the target, scattered so that a BLAS kernel would sum some of them in another
    order.
    """
    gallery = unit(301, 257, seed=1).astype(dtype)
    copies = np.arange(0, 301, 7)
    gallery[copies] = gallery[0]
    queries = (gallery[:1] + 0.1 * unit(64, 257, seed=2)).astype(dtype)
    ranks = retrieval_ranks(queries, gallery, np.full(64, 140))
    assert (ranks == len(copies)).all()


def test_float32_embeddings_are_compared_in_float32():
    """The same caption embedded in two batches may differ in a last bit; that bit does not
    decide.
    """
    item = unit(1, 64, seed=1).astype(np.float32)
    nudged = item.copy()
    nudged[0, 0] = np.nextafter(nudged[0, 0], np.float32(2))
    gallery = np.concatenate([item, nudged])
    twice = item[[0, 0]]
    assert list(retrieval_ranks(twice, gallery, [0, 1])) == [2, 2]
    wide = gallery.astype(np.float64)  # the same numbers, declared exact
    assert sorted(retrieval_ranks(wide[[0, 0]], wide, [0, 1])) == [1, 2]


def test_chunks_do_not_change_ranks(monkeypatch):
    queries = unit(37, 5)
    gallery = unit(23, 5, seed=1)
    targets = np.arange(37) % 23
    texts = unit(46, 5, seed=2)
    owner = np.repeat(np.arange(23), 2)

    def measured():
        captions = relevant_ranks(gallery, np.stack([texts, texts[::-1]], 1), owner)
        return retrieval_ranks(queries, gallery, targets), captions

    whole = measured()
    for chunk in (1, 50, 200, 23 * 36):
        monkeypatch.setattr(scores_module, "CHUNK", chunk)
        for one, other in zip(whole, measured(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_tensors_of_every_precision_and_those_with_gradients_are_accepted():
    same = torch.eye(4).requires_grad_()
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        ranks = retrieval_ranks(same.to(dtype), same.to(dtype), torch.arange(4))
        assert list(ranks) == [1, 1, 1, 1]


def test_recall_counts_ranks_up_to_k():
    assert [recall_at([1, 2, 5, 11], k) for k in (1, 2, 10, 11)] == [0.25, 0.5, 0.75, 1.0]
    assert recall_at([2], 1) == 0  # counting from 0 would give 1


def test_map_at_10_by_hand():
    one_each = np.array([[1], [2], [10], [11]])
    assert map_at_10(one_each) == pytest.approx((1 + 1 / 2 + 1 / 10 + 0) / 4)
    # two captions at 1 and 4: (1/1 + 2/4) / 2; one caption at 3: 1/3; three at 2, 12, 30: (1/2) / 3
    padded = np.array([[1, 4, 0], [3, 0, 0], [2, 12, 30]])
    assert map_at_10(padded) == pytest.approx((0.75 + 1 / 3 + 1 / 6) / 3)
    # more than ten relevant items: ten good places are perfect
    assert map_at_10(np.arange(1, 13)[None]) == 1


def test_rank_matrix_and_table_are_the_single_measures_side_by_side():
    clips = unit(20, 6)
    owner = np.repeat(np.arange(20), 2)
    near = clips[owner] + 0.2 * unit(40, 6, seed=1)
    texts = np.stack([near, near + 0.3 * unit(40, 6, seed=2), unit(40, 6, seed=3)], axis=1)
    ranks = rank_matrix(clips, texts, owner)
    relevant = relevant_ranks(clips, texts, owner)
    table = retrieval_table(("eng", "fra", "jpn"), ranks, relevant)
    assert ranks.shape == (40, 3)
    assert list(table.index) == ["eng", "fra", "jpn", "mean"]
    measures = ("R@1", "R@5", "R@10", "mAP@10", "median rank")
    ways = ("T2A", "A2T")
    assert list(table.columns) == [f"{way} {measure}" for way in ways for measure in measures]
    for k, code in enumerate(("eng", "fra", "jpn")):
        text = texts[:, k]
        np.testing.assert_array_equal(ranks[:, k], retrieval_ranks(text, clips, owner))
        row = table.loc[code]
        assert row["T2A R@5"] == 100 * recall_at(ranks[:, k], 5)
        assert row["T2A mAP@10"] == 100 * map_at_10(ranks[:, k, None])
        assert row["A2T R@1"] == 100 * recall_at(a2t_ranks(clips, text, owner), 1)
        assert row["A2T mAP@10"] == 100 * map_at_10(relevant[:, k])
        assert row["A2T median rank"] == np.median(relevant[:, k, 0])
    np.testing.assert_allclose(table.loc["mean"], table.iloc[:3].mean())
    assert table.loc["eng", "T2A R@1"] > table.loc["jpn", "T2A R@1"]
    assert mean_rank_variance(rank_matrix(clips, near[:, None], owner)) == 0


def test_lists_are_as_good_as_arrays():
    clips = unit(3, 2)
    texts = unit(4, 2, 2, seed=1)
    owner = np.array([0, 1, 2, 1])
    for measure in (rank_matrix, relevant_ranks):
        of_lists = measure(clips.tolist(), texts.tolist(), owner.tolist())
        np.testing.assert_array_equal(of_lists, measure(clips, texts, owner))
    of_lists = retrieval_ranks(texts[:, 0].tolist(), clips.tolist(), owner.tolist())
    np.testing.assert_array_equal(of_lists, retrieval_ranks(texts[:, 0], clips, owner))


def test_nan_embeddings_are_named():
    good = unit(5, 3)
    bad = unit(5, 3)
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="queries has NaN or infinity"):
        retrieval_ranks(bad, good, np.arange(5))
    with pytest.raises(ValueError, match="gallery has NaN"):
        retrieval_ranks(good, bad, np.arange(5))
    with pytest.raises(ValueError, match="clips has NaN"):
        rank_matrix(bad, good[:, None], np.arange(5))
    with pytest.raises(ValueError, match="texts has NaN"):
        a2t_ranks(good, bad, np.arange(5))


OWNER = "owner must be . integers from 0 to .$"
NO_TARGETS = (  # of four queries in a gallery of four
    [0, 1, 2, 4],
    [0, -1, 2, 3],
    [0, 1],
    [[0], [1], [2], [3]],
    [0.0, 1.0, 2.0, 3.0],
    [True, False, True, False],
)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: retrieval_ranks(unit(4, 3), unit(4, 2), np.arange(4)),
            "size 2 is different from 3",
        ),
        (lambda: retrieval_ranks(unit(4), unit(4, 3), range(4)), r"queries .*non-empty \[Q d\]"),
        (lambda: a2t_ranks(unit(3, 2), unit(3, 2), [0, 2, 2]), "clip 1 has no caption: every"),
        (lambda: rank_matrix(unit(3, 2), np.empty((3, 0, 2)), [0, 1, 2]), r"non-empty \[M K d\]"),
        (lambda: rank_matrix(unit(2, 2), unit(3, 1, 2), [0, 1]), OWNER),
        (
            lambda: relevant_ranks(unit(2, 2), unit(3, 1, 3), [0, 1, 1]),
            "size 3 is different from 2",
        ),
        (lambda: recall_at([0, 1], 1), "counted from 1"),
        (lambda: recall_at([], 1), "at least one rank"),
    ],
)
def test_bad_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("at", NO_TARGETS)
def test_targets_and_owners_that_do_not_fit_are_refused(at):
    clips = unit(4, 3)
    with pytest.raises(ValueError, match="^targets must be 4 integers from 0 to 3$"):
        retrieval_ranks(clips, clips, at)
    for measure in (rank_matrix, relevant_ranks):
        with pytest.raises(ValueError, match=OWNER):
            measure(clips, clips[:, None], at)
