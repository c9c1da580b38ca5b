"""What ties and duplicates do to ranks: the fair rank, and the recall that is reachable at all.

`retrieval_ranks` counts a tie against the query. That is safe, but two clips with the same caption
then never find it first: from clip to text their R@1 is 0. Here every order of equal scores is
equally likely instead. The default ranks stay as they are.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from atri_lib.ambiguity import Ambiguity, find_ambiguity
from atri_lib.evaluation.input_checks import embeddings, indices
from atri_lib.evaluation.scores import (
    Embeddings,
    caption_counts,
    caption_scores,
    pair,
    scores_of,
)


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
    def best(self) -> np.ndarray:
        """The rank if every tie goes in favour of the query, int64."""
        return self.above + 1

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
    def tied(self) -> np.ndarray:
        """Whether the rank depends on the order of equal scores, bool."""
        return self.equal > 0

    def chance_at(self, k: int) -> np.ndarray:
        """Share of the orders in which the query's rank is k or better, float64 between 0 and 1.

        The first k ranks hold k - above of the tied items. They miss the query if all of its own
        are among the rest: that is so in C(rest, own) of C(tied, own) orders.
        """
        taken = np.maximum(k - self.above, 0)
        tied = self.equal + self.own
        rest = np.maximum(tied - taken, 0)
        can_miss = rest >= self.own
        misses = _log_binomial(np.where(can_miss, rest, self.own), self.own)
        orders = _log_binomial(tied, self.own)
        return np.where(can_miss, 1 - np.exp(misses - orders), 1.0)

    def recall_at(self, k: int) -> float:
        """Expected share of queries whose rank is k or better, between 0 and 1."""
        return float(self.chance_at(k).mean())


def fair_ranks(queries: Embeddings, gallery: Embeddings, targets: ArrayLike) -> FairRanks:
    """`retrieval_ranks` with ties shared: arrays [Q].

    queries: [Q, d]; gallery: [G, d]; targets: [Q] gallery indices. Errors as `retrieval_ranks`.
    """
    queries, gallery = pair(queries, gallery)
    targets = indices(targets, "targets", len(gallery), (len(queries),))
    above = np.empty(len(queries), dtype=np.int64)
    equal = np.empty(len(queries), dtype=np.int64)
    for rows, scores in scores_of(queries, gallery):
        wanted = np.take_along_axis(scores, targets[rows, None], axis=1)
        above[rows] = (scores > wanted).sum(axis=1)
        equal[rows] = (scores == wanted).sum(axis=1) - 1  # without the target itself
    return FairRanks(above, equal, np.ones_like(above))


def fair_rank_matrix(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> FairRanks:
    """`rank_matrix` (text to clip) with ties shared: arrays [M, K]. Shapes and errors as there."""
    texts = embeddings(texts, "texts", "M K d")
    captions, languages, width = texts.shape
    owner = indices(owner, "owner", len(clips), (captions,))
    found = fair_ranks(texts.reshape(-1, width), clips, owner.repeat(languages))
    counts = [count.reshape(captions, languages) for count in vars(found).values()]
    return FairRanks(*counts)


def fair_audio_to_text(clips: Embeddings, texts: Embeddings, owner: ArrayLike) -> FairRanks:
    """The best rank among a clip's captions (clip to text) with ties shared: arrays [N, K].

    clips: [N, d]; texts: [M, K, d]; owner: [M], the clip of each caption. Equal captions of one
    clip do not compete with each other. Errors as `relevant_ranks`.
    """
    counts = []
    for scores, mine, _ in caption_scores(clips, texts, owner):
        best = np.where(mine, scores, -np.inf).max(axis=2, keepdims=True)
        above = scores > best  # none of these is the clip's own
        tied = scores == best
        of_rows = [kind.sum(axis=2) for kind in (above, tied & ~mine, tied & mine)]
        counts.append(of_rows)
    return FairRanks(*np.concatenate(counts, axis=1))


def ambiguity(
    captions: Sequence[Hashable], owner: ArrayLike, contents: Sequence[Hashable] | None = None
) -> Ambiguity:
    """How many queries cannot be told apart from another clip's, and the R@1 that is reachable.

    captions: the M texts of one language, or anything that is equal for equal texts; owner: [M],
    the clip of each caption; contents: N checksums, equal for equal sounds or pictures; all
    different by default. Raises ValueError for an owner outside the clips, and for a clip without a
    caption.
    """
    if contents is None:
        contents = range(int(np.max(owner, initial=-1)) + 1)
    owner = indices(owner, "owner", len(contents), (len(captions),))
    caption_counts(owner, len(contents))
    return find_ambiguity(captions, owner, contents)


def _log_binomial(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
