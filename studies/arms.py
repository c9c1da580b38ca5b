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


def few(used: int, row: int) -> dict:
    """Of each clip only so many languages, by turns, each for `row` epochs in a row."""
    own = {"used": used, "row": row}
    return {"scheme": "studies.fixed_counts:Few", "scheme_settings": own}


def favourite(often: int) -> dict:
    """One language of each clip so many times, the others once each, in a random order."""
    own = {"often": often}
    return {"scheme": "studies.fixed_counts:Favourite", "scheme_settings": own}
