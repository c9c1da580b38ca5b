"""What the chapters run twin experiments on: small projections of cached features, and the arms."""

import torch
from torch import Tensor

from atri_lib.encoders.dual import DualEncoder, TimePooling
from atri_lib.theory.experiment import Arm, Experiment
from atri_lib.theory.optimizers import SGD

SLOW = SGD(0.05)  # what studies take unless told otherwise
ARMS = (
    Arm("ML-CLAP", "ml_clap"),
    Arm("ML-CLAP mixed", "ml_clap", mixed=True),
    Arm("2 of K", "m_of_k", m=2),
    Arm("4 of K", "m_of_k", m=4),
    Arm("Latin", "latin"),
    Arm("CACL", "cacl"),
    Arm("KCL", "kcl"),
)


def on_features(
    clip_features: Tensor,
    texts: Tensor,
    *,
    components: int = 64,
    hidden: int = 32,
    width: int = 32,
    seed: int = 0,
    **options,
) -> Experiment:
    """The presets' projections, made small, on the principal components of cached features.

    clip_features: patch embeddings [N, P, F], averaged within thirds of the clip; texts: [N, K, D].
    components: how many are kept on either side, scaled to mean square 1; hidden, width: units of a
    projection. No dropout: twin runs share everything but the languages. seed: of the initial
    weights and of the order of clips; options: of `Experiment`.
    """
    pooled = TimePooling(3)(clip_features)
    clip_features = principal(pooled, components)
    texts = principal(texts, components)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        widths = clip_features.shape[-1], texts.shape[-1]
        model = DualEncoder(*widths, width=width, hidden=hidden, parts=1, dropout=0.0)
    return Experiment(model, clip_features[:, None], texts, seed=seed, **options)


def principal(features: Tensor, components: int) -> Tensor:
    """The leading principal components of features [..., F], float64, scaled to mean square 1:
    [..., components].
    """
    rows = features.double().flatten(0, -2)
    rows = rows - rows.mean(0)
    parts = torch.linalg.svd(rows, full_matrices=False)
    directions = parts.Vh[:components]
    rows = rows @ directions.T
    size = rows.square().mean().sqrt()
    rows = rows / size
    return rows.unflatten(0, features.shape[:-1])
