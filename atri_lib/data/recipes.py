"""Recipes: what a scene's caption says, and how recipes are drawn for the splits.

A recipe is a layout, items (sounds or pictures) in order, and which of them are far. No recipe
occurs twice, so retrieval is well-defined. Every pair of items belongs to one split, and two items
of one scene are never together in a scene of another split, not even among three; an item alone,
near or far, is alone in no other.
"""

from collections.abc import Mapping
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
        of_two = sequence * (1 - self.three)
        return np.array([single, repeated, of_two, sequence * self.three, together])


class Kind(NamedTuple):
    """A layout with so many different items."""

    layout: str
    items: int

    @property
    def orders(self) -> list[tuple[int, ...]]:
        """In which a caption may tell them apart."""
        orders = list(permutations(range(self.items)))
        return orders if self.layout == "sequence" else orders[:1]

    @property
    def ways(self) -> int:
        """In how many ways a set of items can be told: each of several may be near or far."""
        return len(self.orders) * 2**self.items if self.items > 1 else 1


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


def open_choices(count: int, seed: int, split: int, apart: bool) -> dict[int, np.ndarray]:
    """Sets of one, two and three of `count` items that are open to a split (its number), each int
    [sets, items]; an item alone is its index where it is near, that + `count` where it is far.

    apart: every item belongs to one split, not every pair and every item alone.
    """
    generator = np.random.default_rng((seed, 3))
    if apart:
        own = _by_shares(count, generator) == split
        alone = np.tile(own, 2)
        pairs = np.triu(np.outer(own, own), 1)
    else:
        alone = _by_shares(2 * count, generator) == split
        pairs = np.zeros((count, count), bool)
        of_pairs = _by_shares(count * (count - 1) // 2, generator)
        pairs[np.triu_indices(count, 1)] = of_pairs == split
    triples = pairs[:, :, None] & pairs[:, None] & pairs  # which belong together in pairs, too
    return {1: np.argwhere(alone), 2: np.argwhere(pairs), 3: np.argwhere(triples)}


def _by_shares(count: int, generator: np.random.Generator) -> np.ndarray:
    """The number of a split for each of `count` things, by SHARES, in random order: int [count]."""
    ends = np.round(np.cumsum(SHARES) * count)
    return generator.permutation(np.searchsorted(ends, np.arange(count), side="right"))


def draw(
    choices: Mapping[int, np.ndarray],
    items: int,
    count: int,
    style: SceneStyle,
    generator: np.random.Generator,
    split: str,
) -> tuple[Recipe, ...]:
    """`count` different recipes of one split, of the bank's `items` as `open_choices` has them: the
    kind first, then one of the scenes it has left. Raises SceneError.
    """
    possible = [kind.ways * len(choices[kind.items]) for kind in KINDS]
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
        attempts = 0
        recipe = None
        while recipe is None or recipe.said in recipes:
            far = style.far if attempts < 50 else 0.5  # the last ones left may be the unlikely ones
            recipe = _drawn(kind, choices[kind.items], items, far, generator)
            attempts += 1
        recipes[recipe.said] = recipe
    return tuple(recipes.values())


def _drawn(
    kind: Kind, choices: np.ndarray, count: int, chance: float, generator: np.random.Generator
) -> Recipe:
    """Any recipe of a kind, of `count` items; chance: that one in company is far."""
    chosen = generator.choice(choices)
    order = list(kind.orders[generator.integers(len(kind.orders))])
    far = chosen >= count
    if kind.items > 1:
        far = generator.random(kind.items) < chance
    if kind.layout == "together" and generator.random() < 0.5:
        order.reverse()  # either may be named first
    items = (chosen % count)[order]
    phrasing = int(generator.integers(PHRASINGS))
    return Recipe(kind.layout, tuple(items.tolist()), tuple(far[order].tolist()), phrasing)
