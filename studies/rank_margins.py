"""From scores to ranks: how far a rank can move when scores do, and how far it is expected to.

Everything is said in *margins*: the positive's score minus a competitor's. A rank is 1 plus the
number of competitors whose margin is not positive, so it changes only where a margin changes sign.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from atri_lib.evaluation.input_checks import embeddings


def margins(clips: ArrayLike, texts: ArrayLike, owner: ArrayLike) -> np.ndarray:
    """Score of each caption's own clip minus that of every clip, float32 [M, K, N]; +inf for the
    own clip itself.

    clips: [N, d]; texts: [M, K, d]; owner: [M], the clip of each caption. Raises ValueError as
    `rank_matrix` does.
    """
    clips = embeddings(clips, "clips", "N d")
    texts = embeddings(texts, "texts", "M K d")
    owner = np.asarray(owner)[:, None, None]
    scores = texts.astype(np.float64) @ clips.T.astype(np.float64)
    scores = scores.astype(np.float32)
    own = np.take_along_axis(scores, owner, axis=2)
    result = own - scores
    np.put_along_axis(result, owner, np.inf, axis=2)
    return result


def ranks_of(margins: ArrayLike) -> np.ndarray:
    """1 + the number of competitors that score at least as high, int64 [...]. margins: [..., N]."""
    ahead = np.asarray(margins) <= 0
    return 1 + ahead.sum(axis=-1)


def rank_shift_bound(
    margins: ArrayLike, change: float | ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """By how much a rank can get worse, and better, if no score moves by more than `change`: int64
    [...], [...].

    margins: [..., N]; change: at least 0, broadcast to [...]. Worse: competitors with 0 < margin <=
    2 change; better: those with -2 change < margin <= 0. Both are attained; their sum is the number
    of competitors within 2 change. Source: theorem "A rank moves by its near competitors" of the
    chapter on size and direction.
    """
    margins = np.asarray(margins)
    reach = 2 * np.asarray(change, dtype=np.float64)[..., None]
    if (reach < 0).any():
        raise ValueError("a change of scores is a length: give change >= 0")
    ahead = margins <= 0
    worse = ~ahead & (margins <= reach)
    better = ahead & (margins > -reach)
    return worse.sum(axis=-1), better.sum(axis=-1)


def expected_ranks(margins: ArrayLike, variance: ArrayLike) -> np.ndarray:
    """Expected rank if every margin is Gaussian: 1 + sum_j Phi(-d_j / sqrt(v_j)), float64 [...].

    margins: means [..., N]; variance: of each margin over draws, broadcast to [..., N]; 0 keeps a
    margin where it is.
    """
    margins = np.asarray(margins, dtype=np.float64)
    spread = np.sqrt(np.broadcast_to(variance, margins.shape))
    moving = spread > 0
    still = (margins <= 0).astype(np.float64)
    scaled = np.divide(margins, spread, out=np.zeros_like(margins), where=moving)
    ahead = np.where(moving, ndtr(-scaled), still)
    return 1 + ahead.sum(axis=-1)


def gaussian_ranks(draws: ArrayLike, samples: int, seed: int) -> np.ndarray:
    """Ranks of margins drawn from the Gaussian law that a few draws span, int64 [samples, ...].

    draws: margins [S, ..., N], S >= 2. A sample is mean + sum_s z_s (draw_s - mean) / sqrt(S - 1)
    with independent normal z: it has the draws' mean and their sample covariance, jointly over
    competitors, languages and queries.
    """
    draws = np.asarray(draws, dtype=np.float32)
    if len(draws) < 2:
        raise ValueError(f"a variance needs at least 2 draws, got {len(draws)}")
    own = np.isinf(draws[0])
    finite = np.where(own, np.float32(0), draws)
    mean = finite.mean(axis=0)
    scale = np.sqrt(np.float32(len(draws) - 1))
    deviations = (finite - mean) / scale
    normal = np.random.default_rng(seed).normal(size=(samples, len(draws)))
    ranks = []
    for z in normal.astype(np.float32):
        sampled = mean + np.tensordot(z, deviations, axes=1)
        sampled = np.where(own, np.inf, sampled)
        ranks.append(ranks_of(sampled))
    return np.stack(ranks)
