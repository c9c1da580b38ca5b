"""Scenes: five seconds composed of one to three sounds, near or far, over quiet noise, said in
eight languages.

What a caption says is a *recipe*: layout, sounds in order, and which of them are far. No recipe
occurs twice, so retrieval is well-defined. Every pair of sounds belongs to one split, and two
sounds heard in one scene are never heard together in a scene of another split, not even among
three; a sound heard alone, near or far, is alone in no other.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import ClassVar, NamedTuple

import numpy as np

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.dataset import SPLITS, Dataset
from atri_lib.data.phrases import PHRASINGS, SOUNDS, caption
from atri_lib.data.rendering import Variants, distant, mixed, noise, slots
from atri_lib.data.sounds import Bank
from atri_lib.languages import CODES
from atri_lib.storage import checksum

FORMAT = 1  # raise it when the same recipe is rendered differently
LAYOUTS = ("single", "repeated", "sequence", "together")
SHARES = (0.7, 0.1, 0.2)  # of SPLITS, in the pairs of sounds and in the sounds heard alone


class SceneError(ValueError):
    """More scenes were asked for than the bank's sounds can be combined to."""


@dataclass(frozen=True)
class SceneStyle:
    """How hard the scenes are. layouts: probabilities in the order of LAYOUTS; far: probability of
    a distant sound in company; alone, near and far are equally frequent.

    far_level: of distant sounds in dB; noise: signal-to-noise ratio in dB, drawn from this range;
    three: share of sequences with three sounds.
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
    """A layout with so many different sounds."""

    layout: str
    sounds: int

    def orders(self) -> list[tuple[int, ...]]:
        """The orders in which a caption may tell its sounds apart."""
        places = range(self.sounds)
        return list(permutations(places)) if self.layout == "sequence" else [tuple(places)]

    def scenes(self, choices: int) -> int:
        """How many scenes say something different, with so many sets of sounds to choose from.

        A sound alone is chosen near or far; of several, each may be either.
        """
        distances = 2**self.sounds if self.sounds > 1 else 1
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
    """What a scene's caption says: layout, indices of its sounds in order, which are far, and the
    phrasing.
    """

    layout: str
    sounds: tuple[int, ...]
    far: tuple[bool, ...]
    phrasing: int

    @property
    def heard(self) -> list[tuple[int, bool]]:
        """Each of its sounds in order, and whether it is far."""
        return list(zip(self.sounds, self.far, strict=True))

    @property
    def said(self) -> tuple:
        """What the caption means; sounds heard together have no order."""
        ordered = sorted(self.heard) if self.layout == "together" else self.heard
        return self.layout, tuple(ordered)

    @property
    def combinations(self) -> frozenset:
        """What splits must not share: every pair of sounds in the scene, or the sound alone and
        whether it is far.

        Pairs are sorted indices, a sound alone is (index, far).
        """
        if len(self.sounds) == 1:
            return frozenset(self.heard)
        return frozenset(combinations(sorted(self.sounds), 2))


@dataclass(frozen=True)
class SceneSet(Dataset):
    """A dataset of scenes; audio is rendered when asked for."""

    phrases: ClassVar[Mapping] = SOUNDS
    recipes: tuple[Recipe, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    ids: tuple[str, ...]
    checksum: str
    origin: str
    bank: Bank
    variants: Variants
    style: SceneStyle
    entropy: tuple[int, int]
    seconds: float

    @staticmethod
    def variants_of(bank: Bank, style: SceneStyle) -> tuple:
        """Every sound near and far."""
        waves = [sound.waveform for sound in bank.sounds]
        return tuple((wave, distant(wave, style.far_level)) for wave in waves)

    def clip(self, index: int) -> np.ndarray:
        """Scene `index` as float32 [samples]; depends on the seed and the index alone, not on
        earlier calls.
        """
        generator = np.random.default_rng((*self.entropy, index % len(self)))
        length = int(self.seconds * SAMPLE_RATE)
        recipe = self.recipes[index]
        places = slots(recipe.layout, recipe.heard, length, generator, self.variants)
        scene = mixed(places, length, self.variants)
        power = float(np.mean(scene**2)) or 1e-8
        ratio = generator.uniform(*self.style.noise)
        scene += noise(length, generator) * np.float32(np.sqrt(power * 10 ** (-ratio / 10)))
        return scene * np.float32(min(1.0, 0.99 / np.abs(scene).max()))


def make_scenes(
    bank: Bank,
    sizes: dict[str, int] | None = None,
    seed: int = 0,
    seconds: float = 5,
    style: SceneStyle | None = None,
    kind: type[SceneSet] = SceneSet,
    apart: bool = False,
) -> dict[str, SceneSet]:
    """Compose scenes for each split from a bank; byte for byte the same for the same bank, sizes,
    seed and style.

    sizes: scenes per split, of "train", "val", "test"; default 2000, 250, 500. A split begins with
    the same scenes whatever its size and that of the others. kind: what renders and says them.
    apart: no two splits share a sound at all, instead of no combination of them. Raises SceneError,
    with the number that is possible, when the sounds do not give enough different scenes, and
    ValueError for an empty or unknown split or a length below 1 s or above 60 s.
    """
    if sizes is None:
        sizes = {"train": 2000, "val": 250, "test": 500}
    style = style or SceneStyle()
    filled = sizes and set(sizes) <= set(SPLITS) and min(sizes.values()) >= 1
    if not filled or not 1 <= seconds <= 60:
        raise ValueError(
            f"sizes={sizes}, seconds={seconds}: every split needs a scene, "
            f"splits are {', '.join(SPLITS)}, scenes last 1 to 60 s"
        )
    variants = kind.variants_of(bank, style)
    share_out = _sounds_shared_out if apart else _shared_out
    home = share_out(len(bank.sounds), seed)
    splits = {}
    for split, size in sizes.items():
        number = SPLITS.index(split)
        generator = np.random.default_rng((seed, 1, number))
        recipes = _draw(home == number, size, style, generator, split)
        captions = tuple(_captions(recipe, bank, kind.phrases) for recipe in recipes)
        about = (FORMAT, seed, number, seconds, bank.checksum, str(style))
        drawn = ([str(recipe) for recipe in recipes], list(captions))
        splits[split] = kind(
            recipes=recipes,
            captions=captions,
            ids=tuple(f"{split}-{i:05d}" for i in range(size)),
            checksum=checksum(*about, *drawn),
            origin=bank.name,
            bank=bank,
            variants=variants,
            style=style,
            entropy=(seed, 2 + number),
            seconds=seconds,
        )
    return splits


def _captions(recipe: Recipe, bank: Bank, phrases: Mapping) -> dict[str, tuple[str, ...]]:
    """One caption of a scene in every language."""
    said = {}
    for code in CODES:
        names = [bank.sounds[sound].names[code] for sound in recipe.sounds]
        said[code] = (caption(recipe.layout, names, recipe.far, recipe.phrasing, code, phrases),)
    return said


def _shared_out(sounds: int, seed: int) -> np.ndarray:
    """The split of each pair of sounds and, on the diagonal, of (sound, near or far) heard alone.

    Returns int [2 n, n]: rows below n for pairs (symmetric; diagonal: near), the diagonal of the
    rest for far.
    """
    generator = np.random.default_rng((seed, 3))
    home = np.full((2 * sounds, sounds), -1)
    alone = np.arange(2 * sounds)
    pairs = np.triu_indices(sounds, 1)
    for rows, columns in ((alone, alone % sounds), pairs):
        home[rows, columns] = _by_shares(len(rows), generator)
    home[pairs[::-1]] = home[pairs]
    return home


def _sounds_shared_out(sounds: int, seed: int) -> np.ndarray:
    """The same where every sound belongs to one split; -1 for a pair from two of them."""
    split = _by_shares(sounds, np.random.default_rng((seed, 3)))
    together = np.where(split[:, None] == split, split, -1)
    return np.concatenate([together, together])


def _by_shares(count: int, generator: np.random.Generator) -> np.ndarray:
    """The number of a split for each of `count` things, by SHARES, in random order: int [count]."""
    ends = np.round(np.cumsum(SHARES) * count)
    return generator.permutation(np.searchsorted(ends, np.arange(count), side="right"))


def _choices(member: np.ndarray) -> dict[int, np.ndarray]:
    """Sets of sounds open to a split by their number, each int [sets, n]; alone: near sounds, then
    far ones + n.
    """
    sounds = member.shape[1]
    pairs = np.triu(member[:sounds], 1)
    triples = []
    for first, beside in enumerate(pairs):
        others = np.argwhere(pairs & np.outer(beside, beside))  # which belong with it in pairs, too
        triples.append(np.insert(others, 0, first, axis=1))
    either = np.arange(2 * sounds)
    alone = np.flatnonzero(member[either, either % sounds])
    return {1: alone[:, None], 2: np.argwhere(pairs), 3: np.concatenate(triples)}


def _draw(
    member: np.ndarray, count: int, style: SceneStyle, generator: np.random.Generator, split: str
) -> tuple[Recipe, ...]:
    """`count` different recipes of one split: the kind first, then one of the scenes it has
    left.
    """
    choices = _choices(member)
    sounds = member.shape[1]
    possible = [kind.scenes(len(choices[kind.sounds])) for kind in KINDS]
    capacity = np.where(style.weights > 0, possible, 0)
    if count > capacity.sum():
        raise SceneError(
            f"{split}: {count} scenes wanted, but {sounds} sounds give only {capacity.sum()} "
            "that no other split uses; ask for fewer scenes or use a bank with more sounds"
        )
    recipes = []
    said = [set() for _ in KINDS]
    while len(recipes) < count:
        left = style.weights * (capacity > [len(taken) for taken in said])
        number = generator.choice(len(KINDS), p=left / left.sum())
        kind = KINDS[number]
        for attempt in itertools.count():
            far = style.far if attempt < 50 else 0.5  # the last ones left may be the unlikely ones
            recipe = _drawn(kind, choices[kind.sounds], sounds, far, generator)
            if recipe.said not in said[number]:
                break
        said[number].add(recipe.said)
        recipes.append(recipe)
    return tuple(recipes)


def _drawn(
    kind: Kind, choices: np.ndarray, sounds: int, chance: float, generator: np.random.Generator
) -> Recipe:
    """Any recipe of a kind; chance: that a sound in company is far."""
    chosen = generator.choice(choices)
    orders = kind.orders()
    order = orders[generator.integers(len(orders))]
    far = generator.random(kind.sounds) < chance if kind.sounds > 1 else chosen >= sounds
    if kind.layout == "together" and generator.random() < 0.5:
        order = order[::-1]  # either may be named first
    return Recipe(
        layout=kind.layout,
        sounds=tuple(int(chosen[place] % sounds) for place in order),
        far=tuple(bool(far[place]) for place in order),
        phrasing=int(generator.integers(PHRASINGS)),
    )
