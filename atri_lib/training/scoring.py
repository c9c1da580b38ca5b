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
    clips = []
    places = torch.arange(len(source)).split(batch_size)
    for number, part in enumerate(places):
        batch = source.clips(part)
        if number + 1 < len(places):
            source.prefetch(places[number + 1])
        clips.append(model.encode_clips(batch).float().cpu())
    texts = []
    captions = torch.arange(len(source.owner)).split(batch_size)
    for k in range(len(source.languages)):
        rows = []
        for part in captions:
            batch = model.align(source.captions(part, torch.full_like(part, k)), k)
            rows.append(model.encode_text(batch).float().cpu())
        texts.append(torch.cat(rows))
    model.train(training)
    return torch.cat(clips), torch.stack(texts, dim=1)


def score(model: DualEncoder, source: Source) -> Scores:
    """Ranks, recall, mAP@10, mean rank variance and the geometry of the text space on one split."""
    clips, texts = encode(model, source)
    owner = source.owner.cpu()
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
    sentences = {code: source.dataset.sentences(code) for code in source.languages}
    owner = source.owner.cpu()
    found = {
        code: find_ambiguity(texts, owner.numpy(), contents) for code, texts in sentences.items()
    }
    if not any(one.captions.any() for one in found.values()):
        return pd.DataFrame()
    clips, texts = encode(model, source)
    # Equal inputs tie exactly, however their batches rounded.
    clips = clips[_first_equal(contents)]
    for k, code in enumerate(source.languages):
        texts[:, k] = texts[_first_equal(sentences[code]), k]
    t2a = evaluation.fair_rank_matrix(clips, texts, owner).chance_at(1).mean(axis=0)
    a2t = evaluation.fair_audio_to_text(clips, texts, owner).chance_at(1).mean(axis=0)
    rows = {}
    for k, (code, one) in enumerate(found.items()):
        rows[code] = {
            "T2A ambiguous": int(one.captions.sum()),
            "T2A R@1 reachable": 100 * one.text_to_audio,
            "T2A R@1 fair": 100 * t2a[k],
            "A2T ambiguous": int(one.clips.sum()),
            "A2T R@1 reachable": 100 * one.audio_to_text,
            "A2T R@1 fair": 100 * a2t[k],
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("language")
    table.loc["mean"] = table.mean()
    return table


def _first_equal(keys: Sequence[Hashable]) -> list[int]:
    """For each entry the place of the first one that is equal to it."""
    first = {}
    return [first.setdefault(key, place) for place, key in enumerate(keys)]
