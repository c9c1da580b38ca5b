"""Where the languages lie: distance between their centroids, and between translations."""

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from atri_lib.evaluation.input_checks import embeddings


def language_gap(texts: ArrayLike | Tensor) -> float:
    """Distance between two languages' centroids, mean over all pairs of languages.

    texts: [N, K, d], L2-normalised, row i being one caption in K languages. Returns a Euclidean
    length; 0 if K = 1. Never larger than `parallel_distance`: the gap is the part of that distance
    all captions share. Source: the modality gap of Liang et al. 2022, arXiv 2203.02053, between
    languages in place of modalities.
    """
    texts = embeddings(texts, "texts", "N K d").astype(np.float64)
    return _mean_over_pairs(texts.mean(axis=0, keepdims=True))


def parallel_distance(texts: ArrayLike | Tensor) -> float:
    """Distance between a caption's embeddings in two languages, mean over captions and all pairs of
    languages.

    texts: [N, K, d], L2-normalised. Returns a Euclidean length between 0 and 2; 0 if K = 1.
    """
    return _mean_over_pairs(embeddings(texts, "texts", "N K d").astype(np.float64))


def _mean_over_pairs(texts: np.ndarray) -> float:
    distances = []
    for k, other in combinations(range(texts.shape[1]), 2):
        apart = texts[:, k] - texts[:, other]
        distances.append(np.linalg.norm(apart, axis=1).mean())
    return float(np.mean(distances or 0))
