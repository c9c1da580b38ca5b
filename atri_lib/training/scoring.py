"""How well a model retrieves, and how much its ranks depend on the language of the query."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atri_lib import evaluation
from atri_lib.encoders.dual import DualEncoder
from atri_lib.training.sources import Source


@dataclass(frozen=True)
class Scores:
    """t2a: ranks [M, K] of each caption's clip; a2t: [N, K] best rank among a clip's captions; both 1-based.

    table: recall and mAP@10 per language (percent) with their mean; summary: the averages and consistency measures.
    """

    t2a: np.ndarray
    a2t: np.ndarray
    summary: dict[str, float]


@torch.no_grad()
def encode(model: DualEncoder, source: Source, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """A split's audio [N, d] and texts [M, K, d] as unit vectors, in evaluation mode, on the CPU."""
    training = model.training
    model.eval()
    captions, languages = len(source.owner), len(source.languages)
    audio = [
        model.encode_audio(source.clips(part)).float().cpu() for part in torch.arange(len(source)).split(batch_size)
    ]
    texts = []
    for k in range(languages):
        parts = torch.arange(captions).split(batch_size)
        rows = [model.encode_text(source.captions(part, torch.full_like(part, k))).float().cpu() for part in parts]
        texts.append(torch.cat(rows))
    model.train(training)
    return torch.cat(audio), torch.stack(texts, dim=1)


def score(model: DualEncoder, source: Source) -> Scores:
    """Ranks, recall, mAP@10, mean rank variance and the geometry of the text space on one split."""
    audio, texts = encode(model, source)
    return score_embeddings(audio, texts, source.owner.cpu())


def score_embeddings(audio: Tensor, texts: Tensor, owner: Tensor) -> Scores:
    """The same for embeddings audio [N, d], texts [M, K, d] and owner [M]."""
    columns = range(texts.shape[1])
    t2a = np.stack([np.asarray(evaluation.retrieval_ranks(texts[:, k], audio, owner)) for k in columns], axis=1)
    a2t = np.stack([np.asarray(evaluation.audio_to_text_ranks(audio, texts[:, k], owner)) for k in columns], axis=1)
    summary = {}
    for name, ranks in (("t2a", t2a), ("a2t", a2t)):
        for k in (1, 5, 10):
            summary[f"{name}_r{k}"] = 100 * float(np.mean(ranks <= k))
        summary[f"{name}_map10"] = 100 * float(np.mean(np.where(ranks <= 10, 1 / ranks, 0)))
    summary["mrv"] = float(evaluation.mean_rank_variance(t2a))
    summary["rank_std"] = float(evaluation.mean_rank_std(t2a))
    summary["gap"] = float(evaluation.language_gap(texts))
    summary["distance"] = float(evaluation.parallel_distance(texts))
    return Scores(t2a, a2t, summary)
