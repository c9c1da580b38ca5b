"""How well a model retrieves, and how much its ranks depend on the language of the query."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib import evaluation
from atri_lib.ambiguity import find_ambiguity
from atri_lib.encoders.dual import DualEncoder
from atri_lib.training.sources import Source

# What an Ambiguity calls the queries of a direction and the R@1 within their reach; fair ranks.
DIRECTIONS = {
    "T2A": ("captions", "text_to_audio", evaluation.fair_rank_matrix),
    "A2T": ("clips", "audio_to_text", evaluation.fair_audio_to_text),
}


@dataclass(frozen=True)
class Scores:
    """t2a: ranks [M, K] of each caption's clip; a2t: [N, K] best rank among a clip's captions; both
    1-based.

    table: evaluation.retrieval_table, recall and mAP@10 per language in percent; summary: its mean
    row, mean rank variance "mrv", "rank_std", and the text space's "gap" and "distance".
    """

    t2a: np.ndarray
    a2t: np.ndarray
    table: pd.DataFrame
    summary: dict[str, float]


@torch.no_grad()
def encode(model: DualEncoder, source: Source, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """A split's clips [N, d] and texts [M, K, d] as unit vectors, in evaluation mode, on the
    CPU.
    """
    training = model.training
    model.eval()
    places = torch.arange(len(source)).split(batch_size)
    clips = [model.encode_clips(batch).float().cpu() for batch in source.clip_batches(places)]
    texts = []
    for part in torch.arange(len(source.owner)).split(batch_size):
        rows = []
        for k in range(len(source.languages)):
            captions = source.captions(part, torch.full_like(part, k))
            encoded = model.encode_text(model.align(captions, k))
            rows.append(encoded.float().cpu())
        texts.append(torch.stack(rows, dim=1))
    model.train(training)
    return torch.cat(clips), torch.cat(texts)


def score(model: DualEncoder, source: Source) -> Scores:
    """Ranks, recall, mAP@10, mean rank variance and the geometry of the text space on one split."""
    clips, texts = encode(model, source)
    owner = source.owner
    t2a = evaluation.rank_matrix(clips, texts, owner)
    relevant = evaluation.relevant_ranks(clips, texts, owner)
    table = evaluation.retrieval_table(source.languages, t2a, relevant)
    summary = table.loc["mean"].to_dict()
    summary["mrv"] = evaluation.mean_rank_variance(t2a)
    summary["rank_std"] = evaluation.mean_rank_std(t2a)
    if len(source.languages) > 1:
        summary["gap"] = evaluation.language_gap(texts)
        summary["distance"] = evaluation.parallel_distance(texts)
    return Scores(t2a, relevant[..., 0], table, summary)


def fair_table(model: DualEncoder, source: Source) -> pd.DataFrame:
    """What captions, sounds or pictures that several clips share do to R@1; empty if none do.

    Rows: languages, and their mean in the last row, "mean". Columns for each direction: the number
    of ambiguous queries (`ambiguity.Ambiguity`), and in percent the R@1 that is reachable and the
    fair R@1 of this model, with ties shared over all their orders.
    """
    contents = source.dataset.recordings or range(len(source))  # without checksums: all different
    sentences = [source.dataset.sentences(code) for code in source.languages]
    owner = source.owner
    found = [find_ambiguity(texts, owner, contents) for texts in sentences]
    if not any(one.captions.any() for one in found):
        return pd.DataFrame()
    clips, texts = encode(model, source)
    # Equal inputs tie exactly, however their batches rounded.
    clips = clips[_first_equal(contents)]
    for k, said in enumerate(sentences):
        texts[:, k] = texts[_first_equal(said), k]
    table = pd.DataFrame(index=pd.Index(source.languages, name="language"))
    for direction, (queries, reachable, ranks) in DIRECTIONS.items():
        fair = ranks(clips, texts, owner).chance_first
        table[f"{direction} ambiguous"] = [getattr(one, queries).sum() for one in found]
        table[f"{direction} R@1 reachable"] = [100 * getattr(one, reachable) for one in found]
        table[f"{direction} R@1 fair"] = 100 * fair.mean(axis=0)
    table.loc["mean"] = table.mean()
    return table


def _first_equal(keys: Sequence[Hashable]) -> list[int]:
    """For each entry the place of the first one that is equal to it."""
    first = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    return [first[key] for key in keys]
