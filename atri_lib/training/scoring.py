"""How well a model retrieves, and how much its ranks depend on the language of the query."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib import evaluation
from atri_lib.encoders.dual import DualEncoder
from atri_lib.training.sources import Source


@dataclass(frozen=True)
class Scores:
    """t2a: ranks [M, K] of each caption's clip; a2t: [N, K] best rank among a clip's captions; both 1-based.

    table: evaluation.retrieval_table, recall and mAP@10 per language in percent; summary: its mean row, mean rank
    variance "mrv", "rank_std", and the text space's "gap" and "distance".
    """

    t2a: np.ndarray
    a2t: np.ndarray
    table: pd.DataFrame
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
    owner = source.owner.cpu()
    by_code = {code: texts[:, k] for k, code in enumerate(source.languages)}
    t2a = evaluation.rank_matrix(audio, by_code, owner)
    relevant = {code: evaluation.relevant_ranks(audio, text, owner) for code, text in by_code.items()}
    a2t = np.stack([ranks[:, 0] for ranks in relevant.values()], axis=1)
    table = evaluation.retrieval_table(dict(zip(by_code, t2a.T, strict=True)), relevant)
    summary = {"mrv": evaluation.mean_rank_variance(t2a), "rank_std": evaluation.mean_rank_std(t2a)}
    if len(by_code) > 1:
        summary |= {"gap": evaluation.language_gap(texts), "distance": evaluation.parallel_distance(texts)}
    return Scores(t2a, a2t, table, table.loc["mean"].to_dict() | summary)
