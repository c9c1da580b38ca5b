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


def all_texts(scheme: str, text_text: float) -> dict:
    """The drawn caption contrasted with its translations into all languages, too."""
    return {"scheme": f"studies.all_texts:{scheme}", "text_text": text_text}


EVEN = {"scheme": "studies.batches:Even"}
KEPT = {"scheme": "studies.batches:Kept", "m": 1}
EVEN_KEPT = {"scheme": "studies.batches:EvenKept", "m": 1}
TWO_ENCODERS = {"text_encoder": "studies.two_text_encoders:Both"}
