"""Measures: retrieval, ties, consistency, geometry, whether a difference is real."""

from atri_lib.evaluation.consistency import mean_rank_std, mean_rank_variance
from atri_lib.evaluation.geometry import language_gap, parallel_distance
from atri_lib.evaluation.retrieval import (
    audio_to_text_ranks,
    map_at_10,
    rank_matrix,
    recall_at,
    relevant_ranks,
    retrieval_ranks,
    retrieval_table,
)
from atri_lib.evaluation.significance import (
    Difference,
    clip_means,
    paired_bootstrap,
    two_way_interval,
)
from atri_lib.evaluation.ties import FairRanks, fair_audio_to_text, fair_rank_matrix

__all__ = [
    "Difference",
    "FairRanks",
    "audio_to_text_ranks",
    "clip_means",
    "fair_audio_to_text",
    "fair_rank_matrix",
    "language_gap",
    "map_at_10",
    "mean_rank_std",
    "mean_rank_variance",
    "paired_bootstrap",
    "parallel_distance",
    "rank_matrix",
    "recall_at",
    "relevant_ranks",
    "retrieval_ranks",
    "retrieval_table",
    "two_way_interval",
]
