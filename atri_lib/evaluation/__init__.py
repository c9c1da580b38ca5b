"""Measures: retrieval, ties and duplicates, consistency, geometry, whether a difference is real."""

from atri_lib.ambiguity import Ambiguity
from atri_lib.evaluation.consistency import mean_rank_std, mean_rank_variance
from atri_lib.evaluation.geometry import direction_error, language_gap, parallel_distance, pulls
from atri_lib.evaluation.retrieval import (
    audio_to_text_ranks,
    map_at_10,
    rank_matrix,
    recall_at,
    relevant_ranks,
    retrieval_ranks,
    retrieval_table,
    top_k,
)
from atri_lib.evaluation.significance import (
    Correlation,
    Difference,
    clip_means,
    paired_bootstrap,
    spearman,
    two_way_interval,
)
from atri_lib.evaluation.ties import (
    FairRanks,
    ambiguity,
    fair_audio_to_text,
    fair_rank_matrix,
    fair_ranks,
)

__all__ = [
    "Ambiguity",
    "Correlation",
    "Difference",
    "FairRanks",
    "ambiguity",
    "audio_to_text_ranks",
    "clip_means",
    "direction_error",
    "fair_audio_to_text",
    "fair_rank_matrix",
    "fair_ranks",
    "language_gap",
    "map_at_10",
    "mean_rank_std",
    "mean_rank_variance",
    "paired_bootstrap",
    "parallel_distance",
    "pulls",
    "rank_matrix",
    "recall_at",
    "relevant_ranks",
    "retrieval_ranks",
    "retrieval_table",
    "spearman",
    "top_k",
    "two_way_interval",
]
