"""The runs of studies of cures: translations brought together before training, or in the loss."""

from studies import arms
from studies.items import MAIN, Item, aligned, of_scratch, some, with_seeds
from studies.schedule_lists import PHRASING
from studies.unseen_sounds import UNSEEN

# The share of the loss between texts: of 1/6, 1/3 and 1/2 the best by mean recall of USE and E5 on
# the validation scenes of data_seed 0 (two seeds).
ALL_TEXTS = 1 / 3


THREE = some("ML-CLAP", "balanced", "KCL")


def cures(encoder: str | None = None) -> list[Item]:
    """Translations brought together before training, on scenes to which no choice was fitted."""
    runs = aligned(None, "ridge", schemes=THREE)
    runs |= aligned("centred", "whitening", "english", schemes=some("ML-CLAP"))
    runs |= aligned(None, "ridge", schemes={"English only": {"scheme": "english"}})
    return with_seeds(6, runs, epochs=16, data_seed=1, text_encoder=encoder)


def cures_folder() -> list[Item]:
    """The same on other recordings."""
    runs = aligned(None, "ridge", schemes=THREE)
    return of_scratch(with_seeds(6, runs, epochs=8), (2000, 250, 1000), seed=1)


def cures_unseen() -> list[Item]:
    """The same where the sounds of the test scenes, and their names, are in no training scene."""
    runs = aligned(None, "ridge", schemes=THREE)
    return with_seeds(6, runs, epochs=16, data=UNSEEN)


def parallel_text() -> list[Item]:
    """Alignments fitted on captions without sound too, where training never has the sounds and the
    words of the test scenes.
    """
    module = "studies.parallel_text"
    texts = {"names": f"{module}:Names=1"}
    for count in (25, 100, 400, 1600):
        texts[f"{count} captions"] = f"{module}:Templates=1/{count}"
    for count in (100, 1000):
        texts[f"{count} emoji"] = f"{module}:Emoji=1/{count}"
    ridge = MAIN["balanced"] | {"alignment": "ridge"}
    runs = some("balanced", "KCL") | {"balanced, ridge": ridge}
    for name, text in texts.items():
        runs[f"balanced, ridge, {name}"] = ridge | {"parallel_text": text}
    return with_seeds(8, runs, epochs=16, data=UNSEEN)


def other_cures() -> list[Item]:
    """Text against text in all languages, both text encoders, and which languages share a batch."""
    runs = dict(THREE)
    runs["balanced, all texts"] = arms.all_texts("AllTextsBalanced", ALL_TEXTS)
    runs |= aligned("ridge", schemes=some("balanced"))
    for label in ("ML-CLAP", "balanced", "KCL", "balanced, ridge"):
        runs[f"{label}, both encoders"] = runs[label] | arms.TWO_ENCODERS
    runs["even"] = arms.EVEN
    runs["kept"] = arms.KEPT
    runs["even and kept"] = arms.EVEN_KEPT
    runs["block"] = {"scheme": "block"}
    return with_seeds(8, runs, epochs=16, data_seed=1)


def all_texts_e5() -> list[Item]:
    """Text against text in all languages, with the other text encoder."""
    runs = some("balanced", "KCL")
    runs["balanced, all texts"] = arms.all_texts("AllTextsBalanced", ALL_TEXTS)
    return with_seeds(8, runs, epochs=16, data_seed=1, text_encoder="e5")


def targets_folder() -> list[Item]:
    """`targets` on other recordings."""
    return of_scratch(targets(epochs=8), (2000, 250, 1000), seed=1)


def targets_phrasing() -> list[Item]:
    """`targets` where the test captions are phrased as no training caption is."""
    return targets(epochs=16, data=PHRASING)


def targets(**data) -> list[Item]:
    """With E5, whose target is better: English or the mean of the translations?"""
    runs = aligned("ridge", "english", schemes=some("ML-CLAP"))
    return with_seeds(8, runs, text_encoder="e5", **data)
