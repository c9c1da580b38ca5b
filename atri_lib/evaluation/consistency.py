"""Do the languages agree? Spread of an instance's ranks over languages."""

import numpy as np
from numpy.typing import ArrayLike


def mean_rank_variance(ranks: ArrayLike) -> float:
    """Mean rank variance (MRV): population variance of an instance's ranks over K languages, mean
    over instances.

    ranks: [N, K], from `rank_matrix`. Returns squared ranks; 0 if the languages agree or K = 1.
    Source: Nie et al. 2024, arXiv 2406.18254, whose released code averages standard deviations:
    `mean_rank_std`. Raises ValueError for what is no finite [N, K].
    """
    return float(_instances(ranks).var(axis=1).mean())


def mean_rank_std(ranks: ArrayLike) -> float:
    """Population standard deviation of an instance's ranks over K languages, mean over instances.

    ranks: [N, K]. Returns ranks. Less ruled by a few lost instances than `mean_rank_variance`; its
    square is never larger. Source: the released code of Nie et al. 2024, which calls it MRV.
    """
    return float(_instances(ranks).std(axis=1).mean())


def _instances(ranks: ArrayLike) -> np.ndarray:
    """The ranks as float64 [N, K]. Raises ValueError where they are none."""
    ranks = np.asarray(ranks, dtype=np.float64)
    if ranks.ndim != 2 or ranks.size == 0 or not np.isfinite(ranks).all():
        raise ValueError(
            "expected finite ranks [N, K] (instances, languages), at least one, "
            f"got shape {ranks.shape}"
        )
    return ranks
