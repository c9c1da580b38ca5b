"""Queries that have more than one right answer, and the recall that is left within reach."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from atri_lib.data.dataset import Dataset
from atri_lib.terminal import notice

COLUMNS = ["language", "captions", "repeated", "twins", "t2a", "a2t", "t2a_strict", "a2t_strict"]


def ambiguous_captions(dataset: Dataset) -> pd.DataFrame:
    """Queries without one answer, and the best R@1 within reach: a row per language with some.

    captions: how many captions stand, letter by letter, at several clips too, or belong to a clip
    whose sound another clip has; repeated: captions that are there before at the same clip; twins:
    clips with the sound of another clip. t2a, a2t: the reachable R@1 (0 to 1) of captions that
    search clips and of clips that search captions, ties shared evenly (the expected rank);
    t2a_strict, a2t_strict: with every tie counted against the query.
    """
    sounds = (
        np.unique(dataset.recordings, return_inverse=True)[1]
        if dataset.recordings
        else range(len(dataset))
    )
    sounds = pd.Series(sounds)
    copies = sounds.map(sounds.value_counts())  # [clips]: how many clips have this clip's sound
    rows = []
    for code in dataset.languages:
        table = pd.DataFrame({"text": dataset.sentences(code), "owner": dataset.owner})
        table["sound"] = sounds[table.owner].to_numpy()
        table["copies"] = copies[table.owner].to_numpy()
        shared = table.groupby("text").owner.transform("nunique") > 1
        ambiguous = int((shared | (table.copies > 1)).sum())
        repeated = int(table.duplicated(["text", "owner"]).sum())
        if ambiguous or repeated:
            reach = _captions_find_clips(table) + _clips_find_captions(table)
            rows.append(
                (code, ambiguous, repeated, int((copies > 1).sum()), *reach[::2], *reach[1::2])
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _captions_find_clips(table: pd.DataFrame) -> tuple[float, float]:
    """Best R@1 with ties shared, and lost: a text has one ranking, whichever clip it asks for."""
    asked = table.groupby(["text", "sound"]).agg(
        times=("owner", "size"), copies=("copies", "first")
    )
    shared = (asked.times / asked.copies).groupby("text").max().sum()
    strict = asked.times.where(asked.copies == 1, 0).groupby("text").max().sum()
    return shared / len(table), strict / len(table)


def _clips_find_captions(table: pd.DataFrame) -> tuple[float, float]:
    """The same of clips: a sound has one ranking of texts; equal texts share their place."""
    own = table.groupby(["text", "sound", "owner"]).size()
    share = own / own.groupby("text").transform("sum")
    best = [
        kind.groupby(["sound", "text"]).sum().groupby("sound").max().sum()
        for kind in (share, share == 1)
    ]
    clips = table.owner.nunique()
    return best[0] / clips, best[1] / clips


def report_ambiguous(splits: Mapping[str, Dataset]) -> None:
    """Say on stderr, one line per split, how many queries are ambiguous and what is reachable."""
    for split, dataset in splits.items():
        table = ambiguous_captions(dataset)
        if table.empty:
            continue
        said = [
            _each(
                table,
                "repeated",
                "captions repeat another of their clip; each takes a rank of its own",
            )
        ]
        if table.captions.any():
            said = [_each(table, "captions", "captions have more than one right clip"), *said]
            twins = table.twins.max()
            said += [f"{twins} clips have the sound of another clip"] if twins else []
            said += [_reach(table)]
        notice(f"{split}: {'; '.join(filter(None, said))}.")


def _reach(table: pd.DataFrame) -> str:
    """What is left within reach in the language that has the least."""
    worst = table.loc[(table.t2a + table.a2t).idxmin()]
    return (
        f"in {worst.language}, R@1 can reach {worst.t2a:.1%} from text to audio and {worst.a2t:.1%} from audio to "
        f"text when ties are shared evenly, {worst.t2a_strict:.1%} and {worst.a2t_strict:.1%} when they count "
        "against the query"
    )


def _each(table: pd.DataFrame, column: str, what: str) -> str:
    """ "71 eng, 104 jpn captions ..."; nothing when there are none."""
    counts = [
        f"{count} {code}"
        for code, count in zip(table.language, table[column], strict=True)
        if count
    ]
    return f"{', '.join(counts)} {what}" if counts else ""
