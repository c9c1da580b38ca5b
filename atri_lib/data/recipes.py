"""Recipes: what a scene's caption says, and how recipes are drawn for the splits.

A recipe is a layout, items (sounds or pictures) in order, and which of them are far. No recipe
occurs twice, so retrieval is well-defined. Every pair of items belongs to one split, and two items
of one scene are never together in a scene of another split, not even among three; an item alone,
near or far, is alone in no other.
"""

from dataclasses import dataclass
from itertools import combinations, count, permutations

import numpy as np

from atri_lib.data.dataset import SPLITS
from atri_lib.data.phrases import PHRASINGS

LAYOUTS = ("single", "repeated", "sequence", "together")
SHARES = (0.7, 0.1, 0.2)  # of the splits, in the pairs of items and in the items alone
# a layout, so many different items, and in how many ways a set of them can be told: in which order
# if there is one, each of several near or far
KINDS = (
    ("single", 1, 1),
    ("repeated", 1, 1),
    ("sequence", 2, 8),
    ("sequence", 3, 48),
    ("together", 2, 4),
)


@dataclass(frozen=True)
class SceneStyle:
    """How hard the scenes are. layouts: probabilities in the order of LAYOUTS; far: probability of
    a distant item in company; alone, near and far are equally frequent.

    far_level: of distant sounds in dB; noise: signal-to-noise ratio in dB, drawn from this range;
    three: share of sequences with three items.
    """

    layouts: tuple[float, ...] = (0.06, 0.06, 0.58, 0.30)
    far: float = 0.3
    far_level: float = -9.0
    noise: tuple[float, float] = (22.0, 36.0)
    three: float = 0.2


STYLE = SceneStyle()


@dataclass(frozen=True)
class Recipe:
    """What a scene's caption says: layout, indices of its items in order, which are far, and the
    phrasing.
    """

    layout: str
    items: tuple[int, ...]
    far: tuple[bool, ...]
    phrasing: int

    def __str__(self) -> str:
        """As checksums of stored data have it, which called the items sounds."""
        return repr(self).replace("items=", "sounds=")

    @property
    def placed(self) -> list[tuple[int, bool]]:
        """Each of its items in order, and whether it is far."""
        return list(zip(self.items, self.far, strict=True))

    @property
    def said(self) -> tuple:
        """What the caption means; items that are together have no order."""
        ordered = sorted(self.placed) if self.layout == "together" else self.placed
        return self.layout, tuple(ordered)

    @property
    def combinations(self) -> frozenset:
        """What splits must not share: every pair of items in the scene, or the item alone and
        whether it is far.

        Pairs are sorted indices, an item alone is (index, far).
        """
        if len(self.items) == 1:
            return frozenset(self.placed)
        return frozenset(combinations(sorted(self.items), 2))


def open_choices(items: int, seed: int, split: int, apart: bool) -> dict[int, np.ndarray]:
    """Sets of one, two and three of so many items that are open to a split (its number), each int
    [sets, size]; an item alone is its index where it is near, that + `items` where it is far.

    apart: every item belongs to one split, not every pair and every item alone.
    """
    generator = np.random.default_rng((seed, 3))

    def own(things: int) -> np.ndarray:
        """Which of so many things are the split's, by SHARES, in random order: bool [things]."""
        ends = np.round(np.cumsum(SHARES) * things)
        splits = np.searchsorted(ends, np.arange(things), side="right")
        return generator.permutation(splits) == split

    alone = np.tile(own(items), 2) if apart else own(2 * items)
    first, second = np.triu_indices(items, 1)
    pairs = np.zeros((items, items), bool)
    pairs[first, second] = alone[first] & alone[second] if apart else own(len(first))
    triples = pairs[:, :, None] & pairs[:, None] & pairs  # which belong together in pairs, too
    return {1: np.argwhere(alone), 2: np.argwhere(pairs), 3: np.argwhere(triples)}


def draw(items: int, wanted: int, seed: int, split: str, apart: bool) -> tuple[Recipe, ...]:
    """Different recipes of one split, of a bank's items: the kind first, then one of the scenes it
    has left. Raises ValueError for more than there are, and for another split.
    """
    number = SPLITS.index(split)
    choices = open_choices(items, seed, number, apart)
    left = np.array([ways * len(choices[size]) for _, size, ways in KINDS])
    if wanted > left.sum():
        raise ValueError(
            f"{split}: {wanted} scenes wanted, but {items} sounds give only {left.sum()} "
            "that no other split uses; ask for fewer scenes or use a bank with more sounds"
        )
    generator = np.random.default_rng((seed, 1, number))

    def any_of(kind: int, chance: float) -> Recipe:
        """Any recipe of a kind; chance: that an item in company is far."""
        layout, size, _ = KINDS[kind]
        chosen = generator.choice(choices[size])
        orders = list(permutations(range(size)))
        order = orders[0]
        if layout == "sequence":
            order = orders[generator.integers(len(orders))]
        if size > 1:
            chosen = chosen + items * (generator.random(size) < chance)
        if layout == "together" and generator.random() < 0.5:
            order = orders[1]  # either may be named first
        far, index = np.divmod(chosen[list(order)], items)
        phrasing = int(generator.integers(PHRASINGS))
        return Recipe(layout, tuple(index.tolist()), tuple(map(bool, far)), phrasing)

    single, repeated, sequence, together = STYLE.layouts
    of_two = sequence * (1 - STYLE.three)
    frequency = np.array([single, repeated, of_two, sequence * STYLE.three, together])
    recipes: dict[tuple, Recipe] = {}  # by what they say
    while len(recipes) < wanted:
        weights = frequency * (left > 0)
        kind = generator.choice(len(KINDS), p=weights / weights.sum())
        left[kind] -= 1
        for attempt in count():
            # the last ones left may be the unlikely ones
            recipe = any_of(kind, STYLE.far if attempt < 50 else 0.5)
            if recipe.said not in recipes:
                break
        recipes[recipe.said] = recipe
    return tuple(recipes.values())
