"""Training: configuration, data, the loop, and runs that are loaded or trained."""

from atri_lib.training.config import PROFILES, TrainConfig
from atri_lib.training.loop import TrainingDiverged
from atri_lib.training.runs import (
    Run,
    RunError,
    data_origin,
    fit,
    load_or_train,
    run_name,
    two_stages,
)
from atri_lib.training.scoring import Scores, encode, fair_table, score
from atri_lib.training.sources import Source, TrainingData, build_model, load_data, load_datasets

__all__ = [
    "PROFILES", "Run", "RunError", "Scores", "Source", "TrainConfig", "TrainingData",
    "TrainingDiverged", "build_model", "data_origin", "encode", "fair_table", "fit", "load_data",
    "load_datasets", "load_or_train", "run_name", "score", "two_stages",
]  # fmt: skip
