"""The book's names of sounds beside those that native speakers vetted: Unicode's CLDR names of
emoji.

A sound is compared where an emoji has its English name; articles, which CLDR leaves out, do not
count. `CldrNames` has the book's scenes with CLDR's names where the two differ, a dataset of the
studies: `studies.cldr_names:CldrNames`, with `=SEED` for other scenes.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from atri_lib import storage
from atri_lib.data.banks import PICTURES, default_bank
from atri_lib.data.items import Bank
from atri_lib.data.scenes import make_scenes
from atri_lib.languages import CODES
from studies import shared_sounds
from studies.results import FOLDER, ResultsError, ranks_of, read
from studies.scene_dataset import SIZES, SceneDataset
from studies.split import agreement, own_and_stable

ARTICLES = {
    "eng": {"a", "an", "some", "the"},
    "fra": {"un", "une", "des", "du", "de"},
    "deu": {"ein", "eine"},
    "spa": {"un", "una", "unos", "unas"},
    "nld": {"een"},
    "cat": {"un", "una", "uns", "unes"},
}


def bare(name: str, code: str) -> str:
    """A noun phrase without its article, in small letters."""
    first, _, rest = name.casefold().partition(" ")
    return rest if rest and first in ARTICLES.get(code, ()) else name.casefold()


def compared(names: Iterable[Mapping[str, str]], emoji: Bank) -> pd.DataFrame:
    """One row per sound that has an emoji and language but English: ours, CLDR's, and same, whether
    they are equal.

    names: of each sound, language code -> noun phrase.
    """
    vetted = by_english_name(emoji)
    rows = []
    for said in names:
        english = bare(said["eng"], "eng")
        if english not in vetted:
            continue
        for code in CODES[1:]:
            row = {"name": english, "language": code}
            row["ours"] = bare(said[code], code)
            row["CLDR"] = vetted[english][code].casefold()
            row["same"] = row["ours"] == row["CLDR"]
            rows.append(row)
    return pd.DataFrame(rows, columns=["name", "language", "ours", "CLDR", "same"])


def by_english_name(emoji: Bank) -> dict[str, Mapping[str, str]]:
    """The names of every emoji by the English one, in small letters."""
    return {picture.names["eng"].casefold(): picture.names for picture in emoji.items}


# The article before a name of CLDR's that is not ours, where the language has one.
ARTICLE = {
    "chouette": "une",
    "búho": "un",
    "cara d’os": "una",
    "bisonte": "un",
    "tête de lion": "une",
    "cara de lleó": "una",
    "Hase": "ein",
    "cámara de fotos": "una",
    "camera": "een",
    "Geige": "eine",
    "Gespenst": "ein",
}


class CldrNames(SceneDataset):
    """The scenes of one split: those of the book for a `data_seed`, said with CLDR's names.

    split: "train", "val" or "test"; seed: the `data_seed`, in digits. Raises BankUnavailable.
    """

    def __init__(self, split: str, seed: str = "0") -> None:
        self.bank = with_cldr_names(default_bank(), PICTURES["pictures"]())
        scenes = make_scenes(self.bank, SIZES, int(seed))
        super().__init__(scenes[split], self.bank.name)


def with_cldr_names(sounds: Bank, emoji: Bank) -> Bank:
    """The same sounds, with CLDR's names where they are not the same."""
    vetted = by_english_name(emoji)
    renamed = []
    for sound in sounds.items:
        english = bare(sound.names["eng"], "eng")
        names = dict(sound.names)
        for code, theirs in vetted.get(english, {}).items():
            if code != "eng" and bare(names[code], code) != theirs.casefold():
                article = ARTICLE.get(theirs, "")
                names[code] = f"{article} {theirs}".strip()
        renamed.append(dataclasses.replace(sound, names=names))
    return Bank(f"{sounds.name}, CLDR's names", tuple(renamed))


def figures(label: str) -> dict[str, float]:
    """What `cldr_predictions.json` has limits for, of a label of the studies cldr and fresh_16."""
    results = read("cldr")
    groups = shared_sounds.groups(results[0].data)
    if groups is None:
        raise ResultsError("the sounds of the study cldr are not noted: run `make experiments`")
    other = groups[:, committed()["renamed sounds"]].any(axis=1)
    theirs = ranks_of(results, label)
    ours = ranks_of(read("fresh_16"), label)

    def stable(kept: np.ndarray) -> float:
        of_theirs = own_and_stable(theirs[:, kept])
        of_ours = own_and_stable(ours[:, kept])
        return of_theirs.stable / of_ours.stable

    def agreeing(kept: np.ndarray) -> float:
        return agreement(theirs[:, kept], ours[:, kept])

    everything = np.ones_like(other)
    gained = (theirs == 1).mean() - (ours == 1).mean()
    found = {"stable part, all captions: CLDR / ours": stable(everything)}
    found["stable part, changed captions: CLDR / ours"] = stable(other)
    found["agreement of stable profiles, unchanged captions"] = agreeing(~other)
    found["agreement of stable profiles, changed captions"] = agreeing(other)
    found["recall at 1, all captions: CLDR - ours, points"] = 100.0 * float(gained)
    return found


def committed() -> dict:
    """What was committed before the first run, and which sounds of the book have another name."""
    return storage.read_json(FOLDER / "cldr_predictions.json")


def verdicts() -> pd.DataFrame:
    """Every figure: its committed limits, what was measured for ML-CLAP and KCL, and whether both
    are within. Raises ResultsError.
    """
    table = pd.DataFrame(committed()["limits"], index=["low", "high"]).T
    for label in ("ML-CLAP", "KCL"):
        table[label] = pd.Series(figures(label))
    measured = table[["ML-CLAP", "KCL"]]
    above = measured.ge(table.low, axis=0)
    within = above & measured.le(table.high, axis=0)
    table["verdict"] = np.where(within.all(axis=1), "held", "refuted")
    return table
