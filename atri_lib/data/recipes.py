"""Recipes: what a scene's caption says, and how recipes are drawn for the splits.

A recipe is a layout, items (sounds or pictures) in order, and which of them are far. No recipe
occurs twice, so retrieval is well-defined. Every pair of items belongs to one split, and two items
of one scene are never together in a scene of another split, not even among three; an item alone,
near or far, is alone in no other.
"""

import itertools
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np

from atri_lib.data.phrases import PHRASINGS

LAYOUTS = ("single", "repeated", "sequence", "together")
SHARES = (0.7, 0.1, 0.2)  # of the splits, in the pairs of items and in the items alone


class SceneError(ValueError):
    """More scenes were asked for than the bank's items can be combined to."""


@dataclass(frozen=True)
class SceneStyle:
    """How hard the scenes are. layouts: probabilities in the order of LAYOUTS; far: probability of
    a distant item in company; alone, near and far are equally frequent.

    far_level: of distant sounds in dB; noise: signal-to-noise ratio in dB, drawn from this range;
    three: share of sequences with three items.
    """

    layouts: tuple[float, float, float, float] = (0.06, 0.06, 0.58, 0.30)
    far: float = 0.3
    far_level: float = -9.0
    noise: tuple[float, float] = (22.0, 36.0)
    three: float = 0.2

    @property
    def weights(self) -> np.ndarray:
        """Relative frequency of each of KINDS."""
        single, repeated, sequence, together = self.layouts
        sequences = [sequence * (1 - self.three), sequence * self.three]
        return np.array([single, repeated, *sequences, together])


class Kind(NamedTuple):
    """A layout with so many different items."""

    layout: str
    items: int

    def orders(self) -> list[tuple[int, ...]]:
        """The orders in which a caption may tell its items apart."""
        places = range(self.items)
        return list(permutations(places)) if self.layout == "sequence" else [tuple(places)]

    def scenes(self, choices: int) -> int:
        """How many scenes say something different, with so many sets of items to choose from.

        One alone is chosen near or far; of several, each may be either.
        """
        distances = 2**self.items if self.items > 1 else 1
        return choices * len(self.orders()) * distances


KINDS = (
    Kind("single", 1),
    Kind("repeated", 1),
    Kind("sequence", 2),
    Kind("sequence", 3),
    Kind("together", 2),
)


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


def shared_out(count: int, seed: int, apart: bool) -> tuple[np.ndarray, np.ndarray]:
    """The number of the split that each of `count` items alone, and each pair of them, belongs to.

    Returns int [2 n] of items alone, all near and then all far, and int [n, n] of pairs, of which
    what is above the diagonal counts. apart: every item belongs to one split; -1 is a pair from
    two of them.
    """
    generator = np.random.default_rng((seed, 3))
    if apart:
        split = _by_shares(count, generator)
        return np.tile(split, 2), np.where(split[:, None] == split, split, -1)
    alone = _by_shares(2 * count, generator)
    pairs = np.full((count, count), -1)
    above = np.triu_indices(count, 1)
    pairs[above] = _by_shares(len(above[0]), generator)
    return alone, pairs


def _by_shares(count: int, generator: np.random.Generator) -> np.ndarray:
    """The number of a split for each of `count` things, by SHARES, in random order: int [count]."""
    ends = np.round(np.cumsum(SHARES) * count)
    return generator.permutation(np.searchsorted(ends, np.arange(count), side="right"))


def _choices(alone: np.ndarray, pairs: np.ndarray) -> dict[int, np.ndarray]:
    """Sets of items open to a split by their number, each int [sets, n]; alone: near items, then
    far ones + n.

    alone, pairs: whether they belong to the split, as `shared_out` has them.
    """
    pairs = np.triu(pairs, 1)
    triples = []
    for first, beside in enumerate(pairs):
        others = np.argwhere(pairs & np.outer(beside, beside))  # which belong with it in pairs, too
        triples.append(np.insert(others, 0, first, axis=1))
    return {1: np.argwhere(alone), 2: np.argwhere(pairs), 3: np.concatenate(triples)}


def draw(
    alone: np.ndarray,
    pairs: np.ndarray,
    count: int,
    style: SceneStyle,
    generator: np.random.Generator,
    split: str,
) -> tuple[Recipe, ...]:
    """`count` different recipes of one split, to which items `alone` and `pairs` belong: the kind
    first, then one of the scenes it has left. Raises SceneError.
    """
    choices = _choices(alone, pairs)
    items = len(pairs)
    possible = [kind.scenes(len(choices[kind.items])) for kind in KINDS]
    left = np.where(style.weights > 0, possible, 0)
    if count > left.sum():
        raise SceneError(
            f"{split}: {count} scenes wanted, but {items} sounds give only {left.sum()} "
            "that no other split uses; ask for fewer scenes or use a bank with more sounds"
        )
    recipes = {}  # by what they say
    while len(recipes) < count:
        weights = style.weights * (left > 0)
        number = generator.choice(len(KINDS), p=weights / weights.sum())
        left[number] -= 1
        kind = KINDS[number]
        for attempt in itertools.count():
            far = style.far if attempt < 50 else 0.5  # the last ones left may be the unlikely ones
            recipe = _drawn(kind, choices[kind.items], items, far, generator)
            if recipe.said not in recipes:
                break
        recipes[recipe.said] = recipe
    return tuple(recipes.values())


def _drawn(
    kind: Kind, choices: np.ndarray, count: int, chance: float, generator: np.random.Generator
) -> Recipe:
    """Any recipe of a kind, of `count` items; chance: that one in company is far."""
    chosen = generator.choice(choices)
    orders = kind.orders()
    order = orders[generator.integers(len(orders))]
    far = generator.random(kind.items) < chance if kind.items > 1 else chosen >= count
    if kind.layout == "together" and generator.random() < 0.5:
        order = order[::-1]  # either may be named first
    return Recipe(
        layout=kind.layout,
        items=tuple(int(chosen[place] % count) for place in order),
        far=tuple(bool(far[place]) for place in order),
        phrasing=int(generator.integers(PHRASINGS)),
    )
