"""Queries that duplicates leave with more than one right answer, and the recall within reach."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Ambiguity:
    """What duplicates in a gallery leave to be reached, in one language.

    captions: [M], bool: another clip has this caption too, or the same content (the same sound or
    picture). clips: [N], bool: another clip has the same content, or every caption of the clip is
    another clip's too. repeated: how many captions are there before at the same clip.
    text_to_audio, audio_to_text (T2A, A2T): the highest R@1 that any model can expect, between 0
    and 1, with ties shared (`evaluation.FairRanks.chance_first`).
    """

    captions: np.ndarray
    clips: np.ndarray
    repeated: int
    text_to_audio: float
    audio_to_text: float


def find_ambiguity(
    captions: Sequence[Hashable], owner: np.ndarray, contents: Sequence[Hashable]
) -> Ambiguity:
    """The `Ambiguity` of M captions and N clips.

    captions: anything that is equal for equal texts; owner: int64 [M], the clip of each caption,
    every clip having one; contents: [N], anything that is equal for clips with the same content.

    Equal captions are one query: the best first place is the content that most of them belong to.
    If s clips have it, each of them comes first in one of s orders. From clip to text the same
    holds with the roles exchanged.
    """
    contents = pd.Series(list(contents))
    twins = contents.duplicated(keep=False)
    queries = pd.DataFrame({"clip": owner})
    queries["text"] = list(captions)
    queries["content"] = queries["clip"].map(contents)
    shared = queries.groupby("text")["clip"].transform("nunique") > 1
    pairs = queries.value_counts(["content", "text"])  # captions of both
    copies = contents.value_counts()  # clips with this content
    sharing = queries["text"].value_counts()  # captions of a text
    # How many queries the best first place answers: captions by text, clips by content.
    found_clips = pairs.div(copies, level="content").groupby("text").max()
    found_texts = pairs.div(sharing, level="text").groupby("content").max()
    ambiguous = shared | queries["clip"].map(twins)
    indistinct = twins | shared.groupby(queries["clip"]).all()
    return Ambiguity(
        captions=ambiguous.to_numpy(),
        clips=indistinct.to_numpy(),
        repeated=int(queries.duplicated(["text", "clip"]).sum()),
        text_to_audio=found_clips.sum() / len(captions),
        audio_to_text=found_texts.sum() / len(contents),
    )
