"""Training on one collection of recordings, test on another: Tux Paint's sounds, then Scratch's.

A dataset of the studies, named as any data from outside are: `studies.other_bank:OtherBank`, with
`=SEED` for other scenes. No recording is in both, and few names are.
"""

from atri_lib.data.banks import default_bank
from atri_lib.data.scenes import make_scenes
from studies.scene_dataset import SIZES, SceneDataset
from studies.scratch import scratch_sounds


class OtherBank(SceneDataset):
    """The scenes of one split: "train" and "val" of the book's sounds, "test" of Scratch's.

    seed: of the scenes, in digits. Raises BankUnavailable.
    """

    def __init__(self, split: str, seed: str = "0") -> None:
        if split == "test":
            bank = scratch_sounds()
        else:
            bank = default_bank()
        scenes = make_scenes(bank, SIZES, int(seed))
        super().__init__(scenes[split], bank.name)
