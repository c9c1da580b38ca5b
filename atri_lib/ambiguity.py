"""Queries that duplicates leave with more than one right answer, and the recall within reach."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ambiguity:
    """What duplicates in a gallery leave to be reached, in one language.

    captions: [M], bool: another clip has this caption too, or the same content (the same sound or
    picture). clips: [N], bool: another clip has the same content, or every caption of the clip is
    another clip's too. text_to_audio, audio_to_text (T2A, A2T): the highest R@1 that any model can
    expect, between 0 and 1, with ties shared (`evaluation.FairRanks.chance_first`).
    """

    captions: np.ndarray
    clips: np.ndarray
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
    queries = list(zip(captions, owner.tolist(), strict=True))
    clips_of_text = Counter(text for text, _ in set(queries))
    pairs = Counter((contents[clip], text) for text, clip in queries)  # captions of both
    copies = Counter(contents)  # clips with this content
    sharing = Counter(captions)  # captions of a text

    # How many queries the best first place answers: captions by text, clips by content.
    found_clips = Counter()
    found_texts = Counter()
    for (content, text), count in pairs.items():
        found_clips[text] = max(found_clips[text], count / copies[content])
        found_texts[content] = max(found_texts[content], count / sharing[text])

    shared = np.array([clips_of_text[text] > 1 for text in captions])
    twins = np.array([copies[content] > 1 for content in contents])
    indistinct = np.ones(len(contents), bool)
    indistinct[owner[~shared]] = False  # by a caption
    return Ambiguity(
        captions=shared | twins[owner],
        clips=twins | indistinct,
        text_to_audio=found_clips.total() / len(captions),
        audio_to_text=found_texts.total() / len(contents),
    )
