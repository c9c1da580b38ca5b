"""What ties do to ranks: the fair rank (`ambiguity` has the recall that is reachable at all).

`retrieval_ranks` counts a tie against the query. That is safe, but two clips with the same caption
then never find it first: from clip to text their R@1 is 0. Here every order of equal scores is
equally likely instead. The default ranks stay as they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from atri_lib.evaluation.input_checks import Embeddings, embeddings, indices
from atri_lib.evaluation.scores import clip_to_text, scores_of


@dataclass(frozen=True)
class FairRanks:
    """Ranks over all orders of equal scores, each as likely as the others.

    Three int64 arrays of one shape, one entry per query. above: items of others that score higher
    than the best of the query's own; equal: items of others that score the same as that one; own:
    its own items with that score, at least 1.
    """

    above: np.ndarray
    equal: np.ndarray
    own: np.ndarray

    @property
    def worst(self) -> np.ndarray:
        """The rank if every tie counts against the query, int64: what `retrieval_ranks` returns."""
        return self.above + self.equal + 1

    @property
    def expected(self) -> np.ndarray:
        """The mean rank over all orders of equal scores, float64; the consistency measures take it.

        An item of another clip stands before all own ones in one of own + 1 orders.
        """
        return self.above + 1 + self.equal / (self.own + 1)

    @property
    def chance_first(self) -> np.ndarray:
        """Share of the orders in which the query's rank is 1, float64 between 0 and 1."""
        return (self.above == 0) * self.own / (self.own + self.equal)


def above_and_equal(queries: Embeddings, gallery: Embeddings, targets: np.ndarray) -> np.ndarray:
    """How many gallery items score higher than a query's one target, and how many the same as it:
    [2, Q].
    """
    counts = []
    for rows, scores in scores_of(queries, gallery):
        wanted = np.take_along_axis(scores, targets[rows, None], axis=1)
        above = (scores > wanted).sum(axis=1)
        tied = (scores == wanted).sum(axis=1)
        counts.append([above, tied - 1])  # without the target itself
    return np.concatenate(counts, axis=1)


def fair_rank_matrix(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> FairRanks:
    """`rank_matrix` (text to clip) with ties shared: arrays [M, K]. Shapes and errors as there."""
    clips = embeddings(clips, "clips", "N d")
    texts = embeddings(texts, "texts", "M K d")
    captions, languages, width = texts.shape
    wanted = indices(owner, "owner", captions, len(clips)).repeat(languages)
    counts = above_and_equal(texts.reshape(-1, width), clips, wanted)
    above, equal = counts.reshape(2, captions, languages)
    return FairRanks(above, equal, np.ones_like(above))


def fair_audio_to_text(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> FairRanks:
    """The best rank among a clip's captions (clip to text) with ties shared: arrays [N, K].

    clips: [N, d]; texts: [M, K, d]; owner: [M], the clip of each caption. Equal captions of one
    clip do not compete with each other. Errors as `relevant_ranks`.
    """
    counts = []
    for scores, mine in clip_to_text(clips, texts, owner):
        best = scores.max(axis=2, keepdims=True, where=mine, initial=-np.inf)
        above = scores > best  # none of these is the clip's own
        tied = scores == best
        of_chunk = [kind.sum(axis=2) for kind in (above, tied & ~mine, tied & mine)]
        counts.append(of_chunk)
    return FairRanks(*np.concatenate(counts, axis=1))
