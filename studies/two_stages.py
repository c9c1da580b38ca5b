"""The paper's recipe: a first stage, then one run of each scheme from its weights."""

import os
from collections.abc import Sequence

from atri_lib.training import Run, TrainConfig, TrainingData, load_data, load_or_train


def two_stages(
    config: TrainConfig,
    schemes: Sequence[str],
    data: TrainingData | None = None,
    folder: str | os.PathLike | None = None,
) -> dict[str, Run]:
    """An ML-CLAP run, then from its weights one run of each scheme; returns {scheme: Run}.

    Both stages take config.epochs epochs. The first run's folder is each result's `config.init`.
    """
    data = data or load_data(config)
    first = load_or_train(config.replace(scheme="ml_clap"), data, folder=folder)
    second = config.replace(init=str(first.path))
    return {
        scheme: load_or_train(second.replace(scheme=scheme), data, folder=folder)
        for scheme in schemes
    }
