"""Scores of queries and gallery items, chunk by chunk, and which items are the right ones.

Equal gallery items get equal scores whatever order the BLAS adds in; scores of float32 embeddings
are summed in float64 and compared in float32, the precision they have.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from atri_lib.evaluation.input_checks import (
    Embeddings,
    caption_counts,
    embeddings,
    indices,
)

CHUNK = 2**22  # numbers held at once: 32 MB in float64


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
    size = max(1, CHUNK // len(gallery))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        chunk = queries[rows].astype(np.float64)
        scores = chunk @ distinct.T
        scores = scores.astype(compared)
        yield rows, scores[:, first]


def clip_to_text(
    clips: Embeddings, texts: Embeddings, owner: ArrayLike
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (scores [rows, K, M], mine [rows, 1, M]): of clips [N, d] with texts [M, K, d], and
    which texts are a clip's own; owner: [M], the clip of each caption.

    Raises ValueError for shapes that do not fit and for a clip without a caption.
    """
    clips = embeddings(clips, "clips", "N d")
    texts = embeddings(texts, "texts", "M K d").swapaxes(0, 1)
    languages, captions, width = texts.shape
    owner = indices(owner, "owner", captions, len(clips))
    caption_counts(owner, len(clips))
    numbers = np.arange(len(clips))
    for rows, scores in scores_of(clips, texts.reshape(-1, width)):
        mine = owner == numbers[rows, None]
        yield scores.reshape(-1, languages, captions), mine[:, None]
