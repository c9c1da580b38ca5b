"""Captions that a text encoder cannot tell apart, because its tokenizer does not know what they are
written with.
"""

from collections.abc import Mapping

import pandas as pd

from atri_lib.data.dataset import Dataset
from atri_lib.terminal import notice


def unknown_captions(dataset: Dataset, text_encoder) -> pd.DataFrame:
    """Captions with a piece unknown to `text_encoder.unknown_pieces`: a row per language that has
    some.

    captions: how many; share: of all in the language; examples: up to three as "caption [pieces]",
    the shortest first.
    """
    rows = []
    for code in dataset.languages:
        sentences = dataset.sentences(code)
        unknown = text_encoder.unknown_pieces(sentences, code)
        texts = zip(sentences, unknown, strict=True)
        shown = {f"{sentence} [{' '.join(pieces)}]" for sentence, pieces in texts if pieces}
        if shown:
            examples = sorted(sorted(shown), key=len)[:3]
            count = sum(map(bool, unknown))
            rows.append((code, count, count / len(sentences), examples))
    return pd.DataFrame(rows, columns=["language", "captions", "share", "examples"])


def report_unknown(splits: Mapping[str, Dataset], text_encoder) -> None:
    """Say on stderr, one line per split and language, which captions hold what the encoder does not
    know.

    An encoder from outside the library need not be able to tell.
    """
    if not hasattr(text_encoder, "unknown_pieces"):
        return
    for split, dataset in splits.items():
        for row in unknown_captions(dataset, text_encoder).itertuples():
            notice(
                f"{row.captions} {row.language} captions of {split} ({row.share:.0%}) hold pieces "
                "that the text encoder does not know, and may look alike to it: "
                f"{'; '.join(row.examples)}. Use other words, or another text encoder."
            )
