"""The direction error of a scheme's texts: how far the mean of those it used points from the mean
of all.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from torch import Tensor

from atri_lib.evaluation.input_checks import embeddings


def direction_error(texts: ArrayLike | Tensor, used: ArrayLike) -> np.ndarray:
    """Modality-alignment direction error: angle between the mean of all K texts and the mean of
    those a scheme used.

    texts: [N, K, d], L2-normalised, or `pulls` in their place; used: [N, m], the languages of clip
    i (`scheme.languages(epoch)`). Returns radians, float64 [N]; 0 if all K are used. Raises
    ValueError where a mean has no direction. Source: Yin et al. 2025, arXiv 2502.14627, Sec. 3; the
    closed form for equal cosines is in `symbolic.direction`.
    """
    texts = embeddings(texts, "texts", "N K d").astype(np.float64)
    ideal = _unit(texts.mean(axis=1))
    taken = np.take_along_axis(texts, np.asarray(used)[..., None], axis=1)
    taken = _unit(taken.mean(axis=1))
    # arccos would lose half the digits at small angles
    across = np.linalg.norm(ideal - taken, axis=1)
    along = np.linalg.norm(ideal + taken, axis=1)
    half = np.arctan2(across, along)
    return 2 * half


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if length.min() < 1e-12:
        raise ValueError(
            f"the texts of clip {length.argmin()} average to zero, which has no direction"
        )
    return vectors / length


def pulls(
    texts: ArrayLike | Tensor,
    clips: ArrayLike | Tensor | None = None,
    temperature: float | None = None,
) -> np.ndarray:
    """What pulls a clip's embedding once negatives count: its text minus the softmax mean of all
    texts of that language.

    t_ik - sum_j pi_ij t_jk, with pi_ij the softmax over j of a_i . t_jk / temperature: minus the
    temperature times the gradient, at a_i, of the clip-to-text half of the pair loss. texts: [N,
    K, d] and clips: [N, d], L2-normalised, row i of one belonging to row i of the other; without
    clips pi is even, the limit of a high temperature. Returns float64 [N, K, d], not of length one.
    """
    texts = embeddings(texts, "texts", "N K d").astype(np.float64)
    if clips is None:
        return texts - texts.mean(axis=0)
    clips = embeddings(clips, "clips", "N d").astype(np.float64)
    scores = np.einsum("nd,jkd->knj", clips, texts) / temperature
    share = softmax(scores, axis=-1)
    means = np.einsum("knj,jkd->nkd", share, texts)
    return texts - means
