"""Scenes: five seconds composed of one to three sounds, near or far, over quiet noise, said in
eight languages.

What a caption says is a *recipe*: layout, sounds in order, and which of them are far. No recipe
occurs twice, so retrieval is well-defined. Every pair of sounds belongs to one split, and two
sounds heard in one scene are never heard together in a scene of another split, not even among
three; a sound heard alone, near or far, is alone in no other.
"""

from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.dataset import SPLITS, Dataset
from atri_lib.data.phrases import PHRASINGS, caption
from atri_lib.data.sounds import Bank
from atri_lib.languages import CODES
from atri_lib.storage import checksum

FORMAT = 1  # raise it when the same recipe is rendered differently
LAYOUTS = ("single", "repeated", "sequence", "together")
KINDS = (
    ("single", 1),
    ("repeated", 1),
    ("sequence", 2),
    ("sequence", 3),
    ("together", 2),
)  # layout, sounds
SHARES = {
    "train": 0.7,
    "val": 0.1,
    "test": 0.2,
}  # of the pairs of sounds, and of the sounds heard alone


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
        return np.array(
            [single, repeated, sequence * (1 - self.three), sequence * self.three, together]
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
    def said(self) -> tuple:
        """What the caption means; sounds heard together have no order."""
        parts = tuple(zip(self.sounds, self.far, strict=True))
        return self.layout, tuple(sorted(parts)) if self.layout == "together" else parts

    @property
    def combinations(self) -> frozenset:
        """What splits must not share: every pair of sounds in the scene, or the sound alone and
        whether it is far.

        Pairs are sorted indices, a sound alone is (index, far).
        """
        alone = frozenset(zip(self.sounds, self.far, strict=True))
        return frozenset(combinations(sorted(self.sounds), 2)) or alone


@dataclass(frozen=True)
class SceneSet(Dataset):
    """A dataset of scenes; audio is rendered when asked for."""

    recipes: tuple[Recipe, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    ids: tuple[str, ...]
    checksum: str
    origin: str
    bank: Bank
    variants: tuple[tuple[np.ndarray, np.ndarray], ...]  # per sound: near, far
    style: SceneStyle
    entropy: tuple[int, int]
    seconds: float

    def waveform(self, index: int) -> np.ndarray:
        """Scene `index` as float32 [samples]; depends on the seed and the index alone, not on
        earlier calls.
        """
        generator = np.random.default_rng((*self.entropy, index % len(self)))
        length = int(self.seconds * SAMPLE_RATE)
        scene = np.zeros(length, np.float32)
        recipe = self.recipes[index]
        for sound, far, start, stop in _slots(recipe, length, generator, self.variants):
            wave = self.variants[sound][int(far)][: stop - start]
            end = start + len(wave)
            scene[start:end] += wave
            cut = min(800, len(wave))  # 50 ms fade-out where a sound was cut to its slot
            if len(wave) == stop - start:
                scene[end - cut : end] -= wave[-cut:] * np.linspace(0, 1, cut, dtype=np.float32)
        power = float(np.mean(scene**2)) or 1e-8
        ratio = generator.uniform(*self.style.noise)
        scene += _noise(length, generator) * np.float32(np.sqrt(power * 10 ** (-ratio / 10)))
        return scene * np.float32(min(1.0, 0.99 / np.abs(scene).max()))


def make_scenes(
    bank: Bank,
    sizes: dict[str, int] | None = None,
    seed: int = 0,
    seconds: float = 5,
    style: SceneStyle | None = None,
) -> dict[str, SceneSet]:
    """Compose scenes for each split from a bank; byte for byte the same for the same bank, sizes,
    seed and style.

    sizes: scenes per split, of "train", "val", "test"; default 2000, 250, 500. A split begins with
    the same scenes whatever its size and that of the others. Raises SceneError, with the number
    that is possible, when the sounds do not give enough different scenes, and ValueError for an
    empty or unknown split or a length below 1 s or above 60 s.
    """
    sizes = {"train": 2000, "val": 250, "test": 500} if sizes is None else sizes
    style = style or SceneStyle()
    if (
        not sizes
        or not set(sizes) <= set(SPLITS)
        or min(sizes.values()) < 1
        or not 1 <= seconds <= 60
    ):
        raise ValueError(
            f"sizes={sizes}, seconds={seconds}: every split needs a scene, splits are {', '.join(SPLITS)}, "
            "scenes last 1 to 60 s"
        )
    variants = tuple(
        (sound.waveform, _distant(sound.waveform, style.far_level)) for sound in bank.sounds
    )
    home, splits = _shared_out(len(bank.sounds), seed), {}
    for split, size in sizes.items():
        number = SPLITS.index(split)
        recipes = _draw(
            home == number, size, style, np.random.default_rng((seed, 1, number)), split
        )
        captions = tuple(
            {
                code: (
                    caption(
                        r.layout,
                        [bank.sounds[i].names[code] for i in r.sounds],
                        r.far,
                        r.phrasing,
                        code,
                    ),
                )
                for code in CODES
            }
            for r in recipes
        )
        about = [
            FORMAT,
            seed,
            number,
            seconds,
            bank.checksum,
            str(style),
            [str(r) for r in recipes],
            list(captions),
        ]
        ids = tuple(f"{split}-{i:05d}" for i in range(len(recipes)))
        made = (recipes, captions, ids, checksum(*about), bank.name, bank, variants)
        splits[split] = SceneSet(*made, style, (seed, 2 + number), seconds)
    return splits


def _shared_out(sounds: int, seed: int) -> np.ndarray:
    """The split of each pair of sounds and, on the diagonal, of (sound, near or far) heard alone.

    Returns int [2 n, n]: rows below n for pairs (symmetric; diagonal: near), the diagonal of the
    rest for far.
    """
    generator = np.random.default_rng((seed, 3))
    home = np.full((2 * sounds, sounds), -1)
    alone, pairs = np.arange(2 * sounds), np.triu_indices(sounds, 1)
    for rows, columns in ((alone, alone % sounds), pairs):
        ends = np.round(np.cumsum(list(SHARES.values())) * len(rows))
        home[rows, columns] = generator.permutation(
            np.searchsorted(ends, np.arange(len(rows)), side="right")
        )
    home[pairs[::-1]] = home[pairs]
    return home


def _choices(member: np.ndarray) -> dict[int, np.ndarray]:
    """Sets of sounds open to a split by their number, each int [sets, n]; alone: near sounds, then
    far ones + n.
    """
    sounds = member.shape[1]
    pairs = np.triu(member[:sounds], 1)
    # b, c beside a such that ab, ac and bc all belong
    triples = [
        np.insert(np.argwhere(pairs & np.outer(row, row)), 0, a, axis=1)
        for a, row in enumerate(pairs)
    ]
    alone = np.flatnonzero(member[np.arange(2 * sounds), np.arange(2 * sounds) % sounds])
    return {1: alone[:, None], 2: np.argwhere(pairs), 3: np.concatenate(triples)}


def _draw(
    member: np.ndarray, count: int, style: SceneStyle, generator: np.random.Generator, split: str
) -> tuple[Recipe, ...]:
    """`count` different recipes of one split: the kind first, then one of the scenes it has
    left.
    """
    choices, sounds = _choices(member), member.shape[1]
    orders = [
        list(permutations(range(n))) if layout == "sequence" else [tuple(range(n))]
        for layout, n in KINDS
    ]
    sizes = [
        len(choices[n]) * len(o) * (2**n if n > 1 else 1)
        for (_, n), o in zip(KINDS, orders, strict=True)
    ]
    capacity = np.where(style.weights > 0, sizes, 0)
    if count > capacity.sum():
        raise SceneError(
            f"{split}: {count} scenes wanted, but {sounds} sounds give only {capacity.sum()} that no other split "
            "uses; ask for fewer scenes or use a bank with more sounds"
        )
    recipes, said = [], [set() for _ in KINDS]
    while len(recipes) < count:
        left = style.weights * (capacity > [len(taken) for taken in said])
        kind = generator.choice(len(KINDS), p=left / left.sum())
        layout, n = KINDS[kind]
        recipe, tries = None, 0
        while recipe is None or recipe.said in said[kind]:
            chosen, order = (
                generator.choice(choices[n]),
                orders[kind][generator.integers(len(orders[kind]))],
            )
            chance = style.far if tries < 50 else 0.5  # the last ones left may be the unlikely ones
            far = generator.random(n) < chance if n > 1 else chosen >= sounds
            if layout == "together" and generator.random() < 0.5:
                order = order[::-1]  # either may be named first
            heard = [(int(chosen[place] % sounds), bool(far[place])) for place in order]
            recipe = Recipe(layout, *zip(*heard, strict=True), int(generator.integers(PHRASINGS)))
            tries += 1
        said[kind].add(recipe.said)
        recipes.append(recipe)
    return tuple(recipes)


def _slots(
    recipe: Recipe, length: int, generator: np.random.Generator, variants
) -> list[tuple[int, bool, int, int]]:
    """(sound, far, first sample, last sample) of every sound of a scene."""
    sounds, far = recipe.sounds, recipe.far
    if recipe.layout in ("single", "together"):
        starts = generator.integers(0, length // 8 + 1, size=len(sounds))
        return [(s, f, int(start), length) for s, f, start in zip(sounds, far, starts, strict=True)]
    if recipe.layout == "repeated":  # two to four times, as its length allows
        size = len(variants[sounds[0]][int(far[0])])
        times = int(np.clip(length // (size + length // 20), 2, 4))
        sounds, far = sounds * times, far * times
    edges = np.linspace(0, length, len(sounds) + 1).astype(int)
    if recipe.layout == "sequence":
        edges[1:-1] += generator.integers(-length // 20, length // 20 + 1, size=len(sounds) - 1)
    return [
        (s, f, a, b - length // 50)
        for s, f, a, b in zip(sounds, far, edges, edges[1:], strict=False)
    ]


def _distant(waveform: np.ndarray, level: float) -> np.ndarray:
    """The sound from afar: quieter, without its high frequencies, with half a second of diffuse
    reverberation.
    """
    muffled = sosfilt(butter(2, 1800, fs=SAMPLE_RATE, output="sos"), waveform)
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    room = np.random.default_rng(7).standard_normal(len(time)) * np.exp(-time / 0.12)
    tail = fftconvolve(muffled, room / np.sqrt(np.sum(room**2)))
    wet = np.concatenate([muffled, np.zeros(len(time) - 1)]) + 0.5 * tail
    return (wet * 10 ** (level / 20)).astype(np.float32)


def _noise(length: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of unit power, between white and brown."""
    white = generator.standard_normal(length).astype(np.float32)
    tilt = generator.uniform(0.0, 0.95)
    coloured = sosfilt(np.array([[1.0, 0, 0, 1.0, -tilt, 0]]), white)
    return (coloured * np.sqrt(1 - tilt**2)).astype(np.float32)
