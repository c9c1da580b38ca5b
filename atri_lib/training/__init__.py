"""Training: configuration, data, the loop, and runs that are loaded or trained."""

from atri_lib.training.config import DATA_SETTINGS, PROFILES, TrainConfig
from atri_lib.training.datasets import load_datasets
from atri_lib.training.loop import TrainingDiverged
from atri_lib.training.run_folder import RunError
from atri_lib.training.runs import Run, load_or_train, run_name
from atri_lib.training.scoring import Scores, encode, fair_table, score
from atri_lib.training.sources import Source, TrainingData, build_model, data_origin, load_data

__all__ = [
    "DATA_SETTINGS",
    "PROFILES",
    "Run",
    "RunError",
    "Scores",
    "Source",
    "TrainConfig",
    "TrainingData",
    "TrainingDiverged",
    "build_model",
    "data_origin",
    "encode",
    "fair_table",
    "load_data",
    "load_datasets",
    "load_or_train",
    "run_name",
    "score",
]
