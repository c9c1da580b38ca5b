"""Queries that have more than one right answer, and the recall that is left within reach."""

from collections.abc import Mapping

from atri_lib.ambiguity import find_ambiguity
from atri_lib.data.dataset import Dataset
from atri_lib.terminal import notice


def report_ambiguous(splits: Mapping[str, Dataset]) -> None:
    """Say on stderr, one line per split with some, which languages have queries without one answer.

    Of each: how many captions stand, letter by letter, at several clips, or belong to a clip whose
    sound or picture another clip has; how many are there before at the same clip; and the highest
    R@1 that a model can reach, ties shared evenly (`find_ambiguity`).
    """
    for split, dataset in splits.items():
        contents = dataset.recordings or range(len(dataset))  # without checksums: all different
        owner = dataset.owner
        said = []
        for code in dataset.languages:
            sentences = dataset.sentences(code)
            found = find_ambiguity(sentences, owner, contents)
            repeated = len(sentences) - len(set(zip(sentences, owner.tolist(), strict=True)))
            if repeated or found.captions.any():
                said.append(
                    f"{code}: {found.captions.sum()} captions have more than one right clip, "
                    f"{repeated} repeat another of their clip, R@1 can reach "
                    f"{found.text_to_audio:.1%} from text and {found.audio_to_text:.1%} from clip"
                )
        if said:
            notice(f"{split}: captions or clips are there several times. {'; '.join(said)}")
