"""Schemes with their settings, as all studies take them: changes to a TrainConfig, each study with
labels of its own.
"""

ML_CLAP = {"scheme": "ml_clap"}
LATIN = {"scheme": "latin"}
CACL = {"scheme": "cacl"}
KCL = {"scheme": "kcl"}


def m_of_k(m: int) -> dict:
    """m languages of a clip in every epoch, drawn anew."""
    return {"scheme": "m_of_k", "m": m}


def balanced(m: int) -> dict:
    """m languages of a clip in every epoch, none again before all were met."""
    return {"scheme": "balanced", "m": m}


def hold(epochs: int) -> dict:
    """A language of a clip for so many epochs, then another draw."""
    return {"scheme": "hold", "hold": epochs}
