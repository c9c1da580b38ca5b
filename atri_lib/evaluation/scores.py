"""Scores of queries and gallery items, chunk by chunk, and what they ask of their input.

Equal gallery items get equal scores whatever order the BLAS adds in; scores of float32 embeddings
are summed in float64 and compared in float32, the precision they have.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from atri_lib.evaluation.input_checks import Embeddings, embeddings, indices

_CHUNK = 2**22  # scores held at once: 32 MB in float64


def scores_of(queries: Embeddings, gallery: Embeddings) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, scores [rows, G]) of queries [Q, d] and gallery [G, d]."""
    queries = embeddings(queries, "queries", "Q d")
    gallery = embeddings(gallery, "gallery", "G d")
    compared = np.result_type(queries, gallery)
    # One column per distinct gallery item; + 0.0 turns -0.0 into 0.0.
    first: dict[bytes, int] = {}
    column = [first.setdefault(item.tobytes(), len(first)) for item in gallery + 0.0]
    distinct = np.frombuffer(b"".join(first), gallery.dtype)
    distinct = distinct.reshape(len(first), -1).astype(np.float64)
    size = max(1, _CHUNK // len(gallery))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        scores = queries[rows].astype(np.float64) @ distinct.T
        scores = scores.astype(compared)
        yield rows, scores[:, column]


def caption_scores(
    clips: Embeddings, texts: Embeddings, owner: ArrayLike
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (scores [rows, K, M], mine [rows, 1, M]): of clips with all captions, and which of
    these are a clip's own.

    clips: [N, d]; texts: [M, K, d]; owner: [M], the clip of each caption. Raises ValueError for
    shapes that do not fit and a clip without a caption.
    """
    texts = embeddings(texts, "texts", "M K d").swapaxes(0, 1)
    languages, captions, width = texts.shape
    owner = indices(owner, "owner", len(clips), (captions,))
    caption_counts(owner, len(clips))
    numbers = np.arange(len(clips))
    for rows, scores in scores_of(clips, texts.reshape(-1, width)):
        mine = owner == numbers[rows, None]
        scores = scores.reshape(-1, languages, captions)
        yield scores, mine[:, None]


def caption_counts(owner: np.ndarray, clips: int) -> np.ndarray:
    """How many captions each clip has, [clips]. Raises ValueError for a clip without one."""
    counts = np.bincount(owner, minlength=clips)
    if 0 in counts:
        raise ValueError(f"clip {counts.argmin()} has no caption: every clip needs at least one")
    return counts
