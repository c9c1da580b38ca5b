"""Ranks, recall and average precision in both directions; scores are inner products, ranks count
from 1.

The directions are called as in the field's papers and in stored rows, T2A (text to audio) and A2T
(audio to text), also where the clips are pictures.

A tie counts against the query: an embedding that collapses to a constant ranks last, not first.
(ML-CLAP's released code breaks ties by an unstable sort.) `ties` has the ranks that share them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from atri_lib.evaluation.input_checks import Embeddings, indices
from atri_lib.evaluation.scores import clip_to_text
from atri_lib.evaluation.ties import above_and_equal, fair_rank_matrix


def retrieval_ranks(queries: Embeddings, gallery: Embeddings, targets: ArrayLike) -> np.ndarray:
    """Rank of each query's one target: the number of gallery items that score at least as high,
    itself included.

    queries: [Q, d]; gallery: [G, d]; targets: [Q] gallery indices. Returns int64 [Q], 1 = found
    first. Raises ValueError for NaN embeddings, for shapes that do not fit and for targets outside
    the gallery.
    """
    targets = indices(targets, "targets", len(queries), len(gallery))
    return above_and_equal(queries, gallery, targets).sum(axis=0) + 1


def rank_matrix(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> np.ndarray:
    """Text-to-clip rank of every caption in every language, the input of the consistency measures.

    clips: [N, d]; texts: [M, K, d], row j being one caption in K languages; owner: [M], the clip of
    each caption. Returns int64 [M, K]. A clip with several captions contributes one row for each:
    the instance whose ranks should agree is the caption, not the clip. Raises ValueError as
    `retrieval_ranks`.
    """
    return fair_rank_matrix(clips, texts, owner).worst


def relevant_ranks(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> np.ndarray:
    """Clip-to-text ranks of all of a clip's captions among the captions of their language, best
    first.

    clips: [N, d]; texts: [M, K, d]; owner: [M], the clip each caption belongs to. A clip's j-th
    best caption has rank j plus the number of other clips' captions that score at least as high.
    Returns int64 [N, K, R], R the most captions of any clip; clips with fewer are padded with 0.
    Raises ValueError as `retrieval_ranks`, and for a clip without a caption.
    """
    ranks = []
    for scores, mine in clip_to_text(clips, texts, owner):
        most = np.bincount(owner).max()  # the owners are checked by now
        own = np.where(mine, -scores, np.inf)  # negative: the best come first
        best = np.partition(own, most - 1)[..., :most]
        own = -np.sort(best)
        others = np.where(mine, -np.inf, scores)
        places = []
        for j in range(most):
            higher = (others >= own[..., j, None]).sum(axis=2)
            places.append(higher + j + 1)
        exists = own > -np.inf
        ranks.append(np.where(exists, np.stack(places, axis=2), 0))
    return np.concatenate(ranks)


def audio_to_text_ranks(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> np.ndarray:
    """Clip-to-text rank of the best caption of each clip, per language: int64 [N, K]; arguments and
    errors as `relevant_ranks`.
    """
    return relevant_ranks(clips, texts, owner)[..., 0]


def recall_at(ranks: ArrayLike, k: int) -> float:
    """Share of queries whose rank is k or better, between 0 and 1. ranks: counted from 1. Raises
    ValueError for none, and for others.
    """
    ranks = np.asarray(ranks)
    if ranks.size == 0 or ranks.min() < 1:
        raise ValueError("expected at least one rank, counted from 1")
    return float((ranks <= k).mean())


def map_at_10(ranks: np.ndarray) -> float:
    """Mean average precision of the first 10 retrieved, between 0 and 1.

    ranks: [Q, R], the sorted ranks of all relevant items padded with 0 (`relevant_ranks`): AP sums
    j / rank_j over those within 10 and divides by min(10, relevant items). ML-CLAP's released code
    divides by 5 always; for clips with 5 captions each (AudioCaps, Clotho) the two agree.
    """
    position = np.arange(1, ranks.shape[1] + 1)
    relevant = ranks >= 1
    hits = relevant & (ranks <= 10)
    gains = position / np.maximum(ranks, 1)
    gained = np.where(hits, gains, 0).sum(axis=1)
    reachable = np.minimum(10, relevant.sum(axis=1))
    return float((gained / reachable).mean())


def retrieval_table(codes: Sequence[str], t2a: np.ndarray, relevant: np.ndarray) -> pd.DataFrame:
    """Both directions' measures per language, and their mean over languages in the last row,
    "mean".

    codes: of the K languages; t2a: `rank_matrix` [M, K]; relevant: `relevant_ranks` [N, K, R],
    whose first entry is the A2T rank, that of the best of a clip's captions. Columns, T2A then A2T:
    R@1, R@5, R@10 and mAP@10 in percent, as papers print them, and the median rank.
    """
    rows = {}
    for k, code in enumerate(codes):
        rows[code] = _measures("T2A", t2a[:, k, None])
        rows[code] |= _measures("A2T", relevant[:, k])
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("language")
    table.loc["mean"] = table.mean()
    return table


def _measures(direction: str, relevant: np.ndarray) -> dict[str, float]:
    best = relevant[:, 0]
    row = {f"{direction} R@{k}": 100 * recall_at(best, k) for k in (1, 5, 10)}
    row[f"{direction} mAP@10"] = 100 * map_at_10(relevant)
    row[f"{direction} median rank"] = float(np.median(best))
    return row
