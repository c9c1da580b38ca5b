"""The runs of studies of pictures."""

from studies import arms
from studies.items import MAIN, Item, aligned, some, with_seeds


def pictures(
    data: str, *labels: str, encoder: str = "efficientnet-lite0", parts: int = 3
) -> list[Item]:
    """Scenes of pictures, half as many for training as there are of sounds: the schedules of
    `dose(16)`, the five schemes and the aligned ones, or some of them.
    """
    schemes = MAIN | {f"hold {held}": arms.hold(held) for held in (2, 4, 8)}
    schemes |= {"hold all": arms.hold(16)}
    schemes |= aligned("ridge", schemes=some("ML-CLAP", "balanced"))
    common = {"epochs": 16, "scenes": (1000, 250, 500), "clip_encoder": encoder, "parts": parts}
    chosen = {label: schemes[label] for label in labels or schemes}
    return with_seeds(8, chosen, data=data, **common)
