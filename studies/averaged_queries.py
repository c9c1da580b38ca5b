"""A query that is asked in several languages at once: unit vectors of translations, averaged.

A cure at the time of the search, for whoever has a translator there. It needs no other training.
`python -m studies weights_to_ranks/averaged` computes it.
"""

import tempfile

import numpy as np
import torch
from torch import Tensor, nn

from atri_lib import evaluation
from atri_lib.progress import progress
from atri_lib.training import TrainConfig, TrainingData, encode, load_or_train
from studies.arms import ML_CLAP, balanced
from studies.split import own_and_stable

SCHEMES = {"ML-CLAP": ML_CLAP, "balanced": balanced(1)}
SEEDS = range(8)


def queries(texts: Tensor) -> dict[str, Tensor]:
    """Unit vectors of captions [M, K, d], English first -> what is asked for, each [M, K, d].

    "one language": the caption. "with English": its mean with the English one. "all languages":
    the mean of all, the same in every language.
    """
    asked = {
        "one language": texts,
        "with English": texts + texts[:, :1],
        "all languages": texts.mean(dim=1, keepdim=True).expand_as(texts),
    }
    return {name: nn.functional.normalize(vectors, dim=-1) for name, vectors in asked.items()}


def measure(config: TrainConfig, data: TrainingData) -> dict:
    """Recall at 1 in percent per seed, own and stable part of the disagreement, per scheme and kind
    of query.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for label, scheme in SCHEMES.items():
            ranks: dict[str, list[np.ndarray]] = {}
            for seed in progress(SEEDS, label, unit="run"):
                settings = config.replace(**scheme, seed=seed)
                run = load_or_train(settings, data, folder=folder)
                for name, of_seed in ranks_of(run.model(data), data).items():
                    ranks.setdefault(name, []).append(of_seed)
            found[label] = {name: summary(np.stack(rows)) for name, rows in ranks.items()}
    return {"queries": found}


def ranks_of(model: nn.Module, data: TrainingData) -> dict[str, np.ndarray]:
    """Text-to-audio ranks [M, K] on the test scenes per kind of query."""
    test = data.splits["test"]
    with torch.no_grad():
        clips, texts = encode(model, test)
    owner = test.owner.cpu()
    asked = queries(texts)
    return {name: evaluation.rank_matrix(clips, rows, owner) for name, rows in asked.items()}


def summary(ranks: np.ndarray) -> dict:
    """Of ranks [S, M, K]."""
    parts = own_and_stable(ranks)
    found = ranks == 1
    recall = 100 * found.mean(axis=(1, 2))
    return {"recall": recall.tolist(), "own": parts.own, "stable": parts.stable}
