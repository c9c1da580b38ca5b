"""Queries that have more than one right answer, and the recall that is left within reach."""

from collections.abc import Mapping

import pandas as pd

from atri_lib.ambiguity import find_ambiguity
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
    contents = dataset.recordings or range(len(dataset))  # without checksums: all different
    owner = dataset.owner
    rows = []
    for code in dataset.languages:
        sentences = dataset.sentences(code)
        found = find_ambiguity(sentences, owner, contents)
        distinct = set(zip(sentences, owner.tolist(), strict=True))
        repeated = len(sentences) - len(distinct)
        if repeated or found.captions.any():
            counts = (found.captions.sum(), repeated, found.twins.sum())
            shared = (found.text_to_audio, found.audio_to_text)
            strict = (found.strict_text_to_audio, found.strict_audio_to_text)
            rows.append((code, *counts, *shared, *strict))
    return pd.DataFrame(rows, columns=COLUMNS)


def report_ambiguous(splits: Mapping[str, Dataset]) -> None:
    """Say on stderr, one line per split, how many queries are ambiguous and what is reachable."""
    for split, dataset in splits.items():
        table = ambiguous_captions(dataset).set_index("language")
        said = []
        if table.captions.any():
            said.append(f"{_counts(table.captions)} captions have more than one right clip")
            if table.twins.any():
                what = "picture" if dataset.pictures else "sound"
                said.append(f"{table.twins.max()} clips have the {what} of another clip")
            said.append(_reach(table))
        if table.repeated.any():
            counts = f"{_counts(table.repeated)} captions repeat another of their clip"
            said.append(f"{counts}; each takes a rank of its own")
        if said:
            notice(f"{split}: {'; '.join(said)}.")


def _reach(table: pd.DataFrame) -> str:
    """What is left within reach in the language that has the least."""
    worst = table.loc[(table.t2a + table.a2t).idxmin()]
    return (
        f"in {worst.name}, R@1 can reach {worst.t2a:.1%} from text to clip and "
        f"{worst.a2t:.1%} from clip to text when ties are shared evenly, "
        f"{worst.t2a_strict:.1%} and {worst.a2t_strict:.1%} when they count against the query"
    )


def _counts(column: pd.Series) -> str:
    """As in: 71 eng, 104 jpn."""
    return ", ".join(f"{count} {code}" for code, count in column[column > 0].items())
