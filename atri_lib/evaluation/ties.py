"""What ties and duplicates do to ranks: the fair rank, and the recall that is reachable at all.

`retrieval_ranks` counts a tie against the query. That is safe, but two clips with the same caption
then never find it first: from audio to text their R@1 is 0. Here every order of equal scores is
equally likely instead. The default ranks stay as they are.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from atri_lib.evaluation.input_checks import embeddings, indices
from atri_lib.evaluation.retrieval import Embeddings, _pair, _scores


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
        return np.where(can_miss, 1 - np.exp(misses - _log_binomial(tied, self.own)), 1.0)

    def recall_at(self, k: int) -> float:
        """Expected share of queries whose rank is k or better, between 0 and 1."""
        return float(self.chance_at(k).mean())


def fair_ranks(queries: Embeddings, gallery: Embeddings, targets: ArrayLike) -> FairRanks:
    """`retrieval_ranks` with ties shared: arrays [Q].

    queries: [Q, d]; gallery: [G, d]; targets: [Q] gallery indices. Errors as `retrieval_ranks`.
    """
    queries, gallery = _pair(queries, gallery)
    targets = indices(targets, "targets", len(gallery), (len(queries),))
    above = np.empty(len(queries), dtype=np.int64)
    equal = np.empty(len(queries), dtype=np.int64)
    for rows, scores in _scores(queries, gallery):
        wanted = np.take_along_axis(scores, targets[rows, None], axis=1)
        above[rows] = (scores > wanted).sum(axis=1)
        equal[rows] = (scores == wanted).sum(axis=1) - 1  # without the target itself
    return FairRanks(above, equal, np.ones_like(above))


def fair_rank_matrix(audio: Embeddings, texts: Embeddings, owner: ArrayLike) -> FairRanks:
    """`rank_matrix` (text to audio) with ties shared: arrays [M, K]. Shapes and errors as there."""
    texts = embeddings(texts, "texts", "M K d")
    captions, languages, width = texts.shape
    owner = indices(owner, "owner", len(audio), (captions,))
    found = fair_ranks(texts.reshape(-1, width), audio, owner.repeat(languages))
    above, equal, own = (
        values.reshape(captions, languages) for values in (found.above, found.equal, found.own)
    )
    return FairRanks(above, equal, own)


def fair_audio_to_text(audio: Embeddings, texts: Embeddings, owner: ArrayLike) -> FairRanks:
    """The best rank among a clip's captions (audio to text) with ties shared: arrays [N, K].

    audio: [N, d]; texts: [M, K, d]; owner: [M], the clip of each caption. Equal captions of one
    clip do not compete with each other. Errors as `relevant_ranks`.
    """
    texts = embeddings(texts, "texts", "M K d").swapaxes(0, 1)
    languages, captions, width = texts.shape
    audio, texts = _pair(audio, texts.reshape(-1, width))
    owner = _complete(owner, len(audio), captions)
    shape = (len(audio), languages)
    above, equal, own = (np.empty(shape, dtype=np.int64) for _ in range(3))
    for rows, scores in _scores(audio, texts):
        scores = scores.reshape(-1, languages, captions)
        mine = (owner == np.arange(len(audio))[rows, None])[:, None]  # [rows, 1, captions]
        best = np.where(mine, scores, -np.inf).max(axis=2, keepdims=True)
        above[rows] = (scores > best).sum(axis=2)  # none of these is the clip's own
        equal[rows] = ((scores == best) & ~mine).sum(axis=2)
        own[rows] = ((scores == best) & mine).sum(axis=2)
    return FairRanks(above, equal, own)


@dataclass(frozen=True)
class Ambiguity:
    """What duplicates in a gallery leave to be reached, in one language.

    captions: [M], bool: another clip has this caption too, or the same sound. clips: [N], bool:
    another clip has the same sound, or every caption of the clip is another clip's too.
    text_to_audio, audio_to_text: the highest R@1 that any model can expect, between 0 and 1, with
    ties shared (`FairRanks.recall_at`).
    """

    captions: np.ndarray
    clips: np.ndarray
    text_to_audio: float
    audio_to_text: float


def ambiguity(
    captions: Sequence[Hashable], owner: ArrayLike, sounds: Sequence[Hashable] | None = None
) -> Ambiguity:
    """How many queries cannot be told apart from another clip's, and the R@1 that is reachable.

    captions: the M texts of one language, or anything that is equal for equal texts; owner: [M],
    the clip of each caption; sounds: N checksums, equal for equal sounds; all different by default.

    Equal captions are one query: the best first place is the sound that most of them belong to.
    If a sound is there s times, each copy comes first in one of s orders. From audio to text the
    same holds with the roles exchanged.
    Raises ValueError for an owner outside the clips, and for a clip without a caption.
    """
    if sounds is None:
        sounds = range(int(np.max(owner, initial=-1)) + 1)
    owner = _complete(owner, len(sounds), len(captions))
    clips_of_text: dict[Hashable, set[int]] = {}
    pairs: Counter = Counter()  # captions of a sound with a text
    for text, clip in zip(captions, owner.tolist(), strict=True):
        clips_of_text.setdefault(text, set()).add(clip)
        pairs[sounds[clip], text] += 1
    copies, sharing = Counter(sounds), Counter(captions)  # clips of a sound, captions of a text
    found_clips: Counter = Counter()  # text -> its queries that the best first place answers
    found_texts: Counter = Counter()  # sound -> its clips that the best first place answers
    for (sound, text), count in pairs.items():
        found_clips[text] = max(found_clips[text], count / copies[sound])
        found_texts[sound] = max(found_texts[sound], count / sharing[text])
    shared = np.array([len(clips_of_text[text]) > 1 for text in captions])
    copied = np.array([copies[sound] > 1 for sound in sounds])
    distinct = np.zeros(len(sounds), dtype=bool)  # clips with a caption that no other clip has
    distinct[owner[~shared]] = True
    return Ambiguity(
        captions=shared | copied[owner],
        clips=copied | ~distinct,
        text_to_audio=sum(found_clips.values()) / len(captions),
        audio_to_text=sum(found_texts.values()) / len(sounds),
    )


def _complete(owner: ArrayLike, clips: int, captions: int) -> np.ndarray:
    """The clip of each caption, int64 [captions]. Raises ValueError if a clip has none."""
    owner = indices(owner, "owner", clips, (captions,))
    counts = np.bincount(owner, minlength=clips)
    if 0 in counts:
        raise ValueError(f"clip {counts.argmin()} has no caption: every clip needs at least one")
    return owner


def _log_binomial(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
