"""The runs of studies of pictures."""

from studies import arms
from studies.items import MAIN, Item, aligned, some, with_seeds


def pictures(
    data: str, *labels: str, encoder: str = "efficientnet-lite0", parts: int = 3
) -> list[Item]:
    """Scenes of pictures, half as many for training as there are of sounds: the schedules of
    `dose(16)`, the five schemes and the aligned ones, or some of them.
    """
    schemes = dict(MAIN)
    for held in (2, 4, 8):
        schemes[f"hold {held}"] = arms.hold(held)
    schemes["hold all"] = arms.hold(16)
    schemes |= aligned("ridge", schemes=some("ML-CLAP", "balanced"))
    common = {"data": data, "clip_encoder": encoder, "parts": parts}
    common["epochs"] = 16
    common["scenes"] = (1000, 250, 500)
    chosen = {label: schemes[label] for label in labels or schemes}
    return with_seeds(8, chosen, **common)


def pixels() -> list[Item]:
    """The control: KCL on colours and places alone."""
    return pictures("pictures", "KCL", encoder="studies.pixels:Pixels", parts=6)
