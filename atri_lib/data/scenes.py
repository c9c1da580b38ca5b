"""Scenes: five seconds composed of one to three sounds, near or far, over quiet noise, said in eight languages.

What a caption says is a *recipe*: layout, sounds in order, and which of them are far. Splits share no combination of
layout and set of sounds, and no recipe occurs twice in a split, so retrieval is well-defined. A single sound is the
exception to the first rule when there are fewer sounds than scenes: it is told apart by its recipe.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from atri_lib.data.phrases import PHRASINGS, caption
from atri_lib.data.sounds import SAMPLE_RATE, Bank
from atri_lib.languages import CODES, language
from atri_lib.storage import checksum

FORMAT = 1  # raise it when the same recipe is rendered differently
LAYOUTS = ("single", "repeated", "sequence", "together")


class SceneError(ValueError):
    """More scenes were asked for than the bank's sounds can be combined to."""


@dataclass(frozen=True)
class SceneStyle:
    """How hard the scenes are. layouts: probabilities in the order of LAYOUTS; far: probability of a distant sound.

    far_level: of distant sounds in dB; noise: signal-to-noise ratio in dB, drawn from this range; three: share of
    sequences with three sounds.
    """

    layouts: tuple[float, float, float, float] = (0.06, 0.09, 0.55, 0.30)
    far: float = 0.3
    far_level: float = -9.0
    noise: tuple[float, float] = (22.0, 36.0)
    three: float = 0.2


@dataclass(frozen=True)
class Recipe:
    """What a scene's caption says: layout, indices of its sounds in order, which are far, and the phrasing."""

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
    def combination(self) -> tuple:
        """What splits must not share: the set of sounds and, for one sound, what is said of it."""
        return self.said if len(self.sounds) == 1 else tuple(sorted(self.sounds))


@dataclass(frozen=True)
class SceneSet:
    """A dataset of scenes (the interface of manifest.AudioCaptions); audio is rendered when asked for."""

    name: str
    recipes: tuple[Recipe, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    ids: tuple[str, ...]
    checksum: str
    bank: Bank
    variants: tuple[tuple[np.ndarray, np.ndarray], ...]  # per sound: near, far
    style: SceneStyle
    entropy: tuple[int, int]
    seconds: float
    sample_rate: int = SAMPLE_RATE

    def __len__(self) -> int:
        return len(self.recipes)

    def sentences(self, code: str) -> list[str]:
        """All captions in one language, one per scene."""
        language(code)
        return [entry[code][0] for entry in self.captions]

    @property
    def owner(self) -> np.ndarray:
        """int64 [M]: the scene of each caption; here every scene has one."""
        return np.arange(len(self))

    def waveform(self, index: int) -> np.ndarray:
        """Scene `index` as float32 [samples]; depends on the seed and the index alone, not on earlier calls."""
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
    seconds: float = 5.0,
    style: SceneStyle | None = None,
) -> dict[str, SceneSet]:
    """Draw scenes for each split from a bank; byte for byte the same for the same bank, sizes, seed and style.

    sizes: scenes per split, default {"train": 2000, "val": 250, "test": 500}; the smallest split is drawn first.
    Raises SceneError, with the number that was found, when the sounds do not give enough combinations, and ValueError
    for an empty split or a length below 1 s or above 60 s.
    """
    sizes = {"train": 2000, "val": 250, "test": 500} if sizes is None else sizes
    style = style or SceneStyle()
    if not sizes or min(sizes.values()) < 1 or not 1 <= seconds <= 60:
        raise ValueError(f"sizes={sizes}, seconds={seconds}: every split needs a scene, scenes last 1 to 60 s")
    variants = tuple((sound.waveform, _distant(sound.waveform, style.far_level)) for sound in bank.sounds)
    taken: dict[tuple, str] = {}
    splits = {}
    for number, split in enumerate(sorted(sizes, key=sizes.get)):
        recipes = _draw(len(bank.sounds), sizes[split], style, np.random.default_rng((seed, 1, number)), split, taken)
        captions = tuple(
            {
                code: (caption(r.layout, [bank.sounds[i].names[code] for i in r.sounds], r.far, r.phrasing, code),)
                for code in CODES
            }
            for r in recipes
        )
        about = [FORMAT, seed, number, seconds, bank.checksum, str(style), [str(r) for r in recipes], list(captions)]
        ids = tuple(f"{split}-{i:05d}" for i in range(len(recipes)))
        splits[split] = SceneSet(
            f"scenes/{split}", recipes, captions, ids, checksum(*about), bank, variants, style,
            (seed, 2 + number), seconds,
        )  # fmt: skip
    return {split: splits[split] for split in sizes}


def _draw(
    sounds: int, count: int, style: SceneStyle, generator: np.random.Generator, split: str, taken: dict[tuple, str]
) -> tuple[Recipe, ...]:
    recipes, said, misses = [], set(), 0
    while len(recipes) < count:
        recipe = _recipe(sounds, style, generator)
        if recipe.said in said or taken.get(recipe.combination, split) != split:
            misses += 1
            if misses > 5000:  # in a row: what is left is too rare to be drawn
                raise SceneError(
                    f"{split}: {count} scenes wanted, but {sounds} sounds gave only {len(recipes)} that no other split "
                    "uses; ask for fewer scenes or use a bank with more sounds"
                )
            continue
        taken[recipe.combination] = split
        said.add(recipe.said)
        misses = 0
        recipes.append(recipe)
    return tuple(recipes)


def _recipe(sounds: int, style: SceneStyle, generator: np.random.Generator) -> Recipe:
    layout = LAYOUTS[generator.choice(len(LAYOUTS), p=style.layouts)]
    count = 1 if layout in ("single", "repeated") else 2
    if layout == "sequence" and generator.random() < style.three:
        count = 3
    chosen = generator.choice(sounds, size=count, replace=False)
    far = generator.random(count) < style.far
    phrasing = int(generator.integers(PHRASINGS))
    return Recipe(layout, tuple(int(i) for i in chosen), tuple(bool(f) for f in far), phrasing)


def _slots(recipe: Recipe, length: int, generator: np.random.Generator, variants) -> list[tuple[int, bool, int, int]]:
    """(sound, far, first sample, last sample) of every sound of a scene."""
    sounds, far = recipe.sounds, recipe.far
    if recipe.layout == "sequence":
        edges = np.linspace(0, length, len(sounds) + 1).astype(int)
        edges[1:-1] += generator.integers(-length // 20, length // 20 + 1, size=len(sounds) - 1)
        gap = length // 50
        return [(s, f, a, b - gap) for s, f, a, b in zip(sounds, far, edges, edges[1:], strict=False)]
    if recipe.layout == "repeated":
        size = len(variants[sounds[0]][int(far[0])])
        times = int(np.clip(length // (size + length // 20), 2, 4))
        edges = np.linspace(0, length, times + 1).astype(int)
        return [(sounds[0], far[0], a, b - length // 50) for a, b in zip(edges, edges[1:], strict=False)]
    starts = generator.integers(0, length // 8 + 1, size=len(sounds))
    return [(s, f, int(start), length) for s, f, start in zip(sounds, far, starts, strict=True)]


def _distant(waveform: np.ndarray, level: float) -> np.ndarray:
    """The sound from afar: quieter, without its high frequencies, with half a second of diffuse reverberation."""
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
