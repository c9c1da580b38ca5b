"""The runs of studies of what the paper does: the triangle, its anchor, two stages, open towers."""

from atri_lib.languages import LANGUAGES
from studies.arms import CACL
from studies.items import MAIN, Item, after, some, with_seeds

TEXT_TEXT = {f"1/{parts}": 1 / parts for parts in (3, 4, 6, 12)}
TEXT_TEXT["0"] = 0.0
SMALL = {"scenes": (500, 100, 250), "batch_size": 50}  # where towers are open
AUDIO = {"clips": 2}  # blocks that are opened
TEXT = {"text": 1}


def triangle(encoder: str | None = None) -> list[Item]:
    """CACL taken apart: the weight of text against text, with the paper's bias towards English and
    without.
    """
    runs = {}
    for scheme in ("cacl", "cacl_unbiased"):
        for share, weight in TEXT_TEXT.items():
            runs[f"{scheme} {share}"] = {"scheme": scheme, "text_text": weight}
    return with_seeds(5, runs, epochs=16, text_encoder=encoder)


def lengths_e5() -> list[Item]:
    """The paper's three schemes with E5, trained for fewer and for more epochs than in
    `triangle("e5")`.
    """
    runs = {}
    for epochs in (8, 30, 60):
        for label in ("ML-CLAP", "CACL", "KCL"):
            runs[f"{label}, {epochs} epochs"] = MAIN[label] | {"epochs": epochs}
    return with_seeds(5, runs, text_encoder="e5")


def anchors() -> list[Item]:
    """CACL around each of the eight languages."""
    around = {}
    for place, language in enumerate(LANGUAGES, start=1):
        around[language.code] = CACL | {"anchor": place}
    return with_seeds(5, around, epochs=16)


def stages() -> list[Item]:
    """The paper's recipe, frozen towers: 16 epochs of ML-CLAP, then 10 epochs of each scheme at
    three rates.
    """
    schemes = some("ML-CLAP", "balanced", "CACL", "KCL")
    schemes["CACL 0"] = CACL | {"text_text": 0.0}
    runs = {}
    for rate in (1e-3, 3e-4, 1e-4):
        for label, scheme in schemes.items():
            runs[f"{label}, {rate:g}"] = scheme | {"learning_rate": rate}
    return after(with_seeds(5, runs, epochs=10), epochs=16)


def towers() -> list[Item]:
    """The paper's recipe with open towers: projections first (ML-CLAP), then the last blocks of
    both towers too.
    """
    runs = with_seeds(3, MAIN, epochs=4, learning_rate=1e-4, unfreeze=AUDIO | TEXT, **SMALL)
    return after(runs, epochs=30, **SMALL)


def towers_apart() -> list[Item]:
    """From ML-CLAP's weights, four epochs of balanced with no tower open, with one, with both."""
    towers = {"no tower": {}, "audio tower": AUDIO, "text tower": TEXT}
    towers["both towers"] = AUDIO | TEXT
    runs = {}
    for name, opened in towers.items():
        runs[name] = MAIN["balanced"] | {"unfreeze": opened}
    items = with_seeds(5, runs, epochs=4, learning_rate=1e-4, **SMALL)
    return after(items, epochs=30, **SMALL)
