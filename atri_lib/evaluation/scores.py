"""Scores of queries and gallery items, chunk by chunk, and which items are the right ones.

Equal gallery items get equal scores whatever order the BLAS adds in; scores of float32 embeddings
are summed in float64 and compared in float32, the precision they have.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from atri_lib.evaluation.input_checks import Embeddings, embeddings

_CHUNK = 2**22  # scores held at once: 32 MB in float64
Scored = Iterator[tuple[np.ndarray, np.ndarray]]


def scores_of(queries: Embeddings, gallery: Embeddings) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, scores [rows, G]) of queries [Q, d] and gallery [G, d]."""
    queries = embeddings(queries, "queries", "Q d")
    gallery = embeddings(gallery, "gallery", "G d")
    compared = np.result_type(queries, gallery)
    # Equal items take the score of the first of them; + 0.0 turns -0.0 into 0.0.
    places = {}
    first = [places.setdefault(item.tobytes(), len(places)) for item in gallery + 0.0]
    _, at = np.unique(first, return_index=True)
    distinct = gallery[at].astype(np.float64)
    size = max(1, _CHUNK // len(gallery))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        chunk = queries[rows].astype(np.float64)
        scores = chunk @ distinct.T
        scores = scores.astype(compared)
        yield rows, scores[:, first]


def matched_scores(
    queries: Embeddings, galleries: Embeddings, wanted: ArrayLike, kinds: ArrayLike
) -> Scored:
    """Yield (scores [rows, K, G], mine [rows, 1, G]): of queries [Q, d] with the items of K
    galleries [K, G, d], and which items are a query's own: those of the kind [G] that it wants [Q].

    Raises ValueError for shapes that do not fit, and where nothing is a query's own.
    """
    languages, items, width = galleries.shape
    wanted = np.asarray(wanted).reshape(len(queries))
    kinds = np.asarray(kinds).reshape(items)
    if not np.isin(wanted, kinds).all():
        raise ValueError("every caption needs a clip, 0 to N - 1, and every clip needs a caption")
    for rows, scores in scores_of(queries, galleries.reshape(-1, width)):
        mine = kinds == wanted[rows, None]
        yield scores.reshape(-1, languages, items), mine[:, None]


def clip_to_text(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> Scored:
    """`matched_scores` [rows, K, M] of clips [N, d] with texts [M, K, d]; owner: [M], the clip of
    each caption.
    """
    galleries = embeddings(texts, "texts", "M K d").swapaxes(0, 1)
    return matched_scores(clips, galleries, range(len(clips)), owner)
