"""What a reader can search in the browser: every query of the test scenes, answered by several
runs, with its sounds.

From a local file a page may load scripts but not data: so the data are scripts that assign a
global, beside MP3 files.
"""

import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from atri_lib import evaluation, storage
from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.dataset import Dataset
from atri_lib.data.recipes import Recipe
from atri_lib.evaluation.scores import scores_of
from atri_lib.languages import CODES, LANGUAGES
from atri_lib.schemes import SCHEMES
from atri_lib.training import TrainConfig, encode, load_data
from book import live_encoder, viz
from book.sounds import mp3
from studies.parallel_runs import train_all

ALIGNED = "aligned"  # the run that only the page to search shows, on request
SHOWN = {  # run -> its settings
    "ml_clap": {"scheme": "ml_clap"},
    "balanced": {"scheme": "balanced", "m": 1},
    "cacl": {"scheme": "cacl"},
    "kcl": {"scheme": "kcl"},
    ALIGNED: {"scheme": "balanced", "m": 1, "alignment": "ridge"},
}
LOOKS = {
    name: {"label": viz.SCHEME_NAMES[name], "colour": viz.SCHEME_COLOURS[name]} for name in SCHEMES
}
LOOKS[ALIGNED] = {"label": "Balanced, aligned", "colour": "#CC79A7"}
FOUND = 5  # clips kept for each query
PAGE = 10  # ranks up to this are on the first page of results
PLAYED = 256  # clips with a sound, more than half of the book's: those found most often
QUIETEST = 0.95  # compression level of an MP3 file: 16 kbit/s at 16 kHz


def only_answer(recipes: tuple[Recipe, ...]) -> np.ndarray:
    """For each scene, bool [N]: whether no other scene holds all of its sounds."""
    sounds = [set(recipe.items) for recipe in recipes]
    holders = [sum(mine <= other for other in sounds) for mine in sounds]
    return np.array(holders) == 1  # itself


def fair_scenes(dataset: Dataset, ranks: np.ndarray, text_encoder) -> np.ndarray:
    """Queries, bool [M], whose wrong ranks nothing but the model explains; ranks: [M, K] (chapter
    1).

    At least one language finds the scene first, the text encoder knows every piece of the captions,
    and where scenes are composed no other one holds all of its sounds.
    """
    fair = ranks.min(axis=1) == 1
    for code in CODES:
        unknown = text_encoder.unknown_pieces(dataset.sentences(code), code)
        fair &= [not pieces for pieces in unknown]
    if hasattr(dataset, "recipes"):
        fair &= only_answer(dataset.recipes)[dataset.owner]
    return fair


def promised_query(ranks: np.ndarray, fair: np.ndarray, share: float = 0.9) -> int:
    """The fair query (of all, if none is) whose ranks [M, K] disagree more than in `share` of them,
    by their std.
    """
    candidates = np.flatnonzero(fair if fair.any() else np.ones_like(fair))
    spread = ranks.std(axis=1)[candidates]
    order = candidates[np.argsort(spread, kind="stable")]
    return int(order[int(share * (len(order) - 1))])


def answers(clips, texts, owner) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [N, d], [M, K, d] and each caption's clip [M] -> ranks of the right clip [M, K],
    first clips found.

    The clips, best first: [M, K, min(5, N)].
    """
    ranks = evaluation.rank_matrix(clips, texts, owner)
    found = []
    for _, scores in scores_of(texts.reshape(-1, texts.shape[-1]), clips):
        order = np.argsort(-scores, axis=1, kind="stable")
        found.append(order[:, :FOUND])
    return ranks, np.concatenate(found).reshape(*ranks.shape, -1)


def page_shares(ranks: np.ndarray) -> list[float]:
    """Shares of queries, ranks [M, K], whose scene is on the first page in all, in some only and in
    no language.
    """
    on_page = ranks <= PAGE
    every = on_page.all(axis=1).mean()
    some = on_page.any(axis=1).mean()
    return [float(every), float(some - every), float(1 - some)]


def playing_order(found: np.ndarray, first: int, clips: int) -> np.ndarray:
    """All clips [N], `first` before all others, then by how often they are found [...], equal ones
    by number.
    """
    times = np.bincount(found.ravel(), minlength=clips)
    times[first] = found.size + 1
    return np.argsort(-times, kind="stable")


def known_characters(text_encoder) -> str:
    """The characters below U+10000 that the encoder has a piece for."""
    characters = map(chr, range(2**16))
    shown = [one for one in characters if one.isprintable() and not one.isspace()]
    after_a_letter = [f"a{one}" for one in shown]  # a mark alone is no text
    unknown = text_encoder.unknown_pieces(after_a_letter, CODES[0])
    return "".join(one for one, pieces in zip(shown, unknown, strict=True) if not pieces)


def about(answered: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict:
    """What a page says of the runs that it shows and of the languages."""
    schemes = []
    for name, (ranks, _) in answered.items():
        scheme = {"name": name, "aligned": name == ALIGNED, **LOOKS[name]}
        scheme["page"] = page_shares(ranks)
        scheme["mrv"] = evaluation.mean_rank_variance(ranks)
        schemes.append(scheme)
    languages = []
    for one in LANGUAGES:
        locale = one.locale.replace("_", "-")
        languages.append({"code": one.code, "name": one.name, "locale": locale})
    return {"schemes": schemes, "languages": languages, "firstPage": PAGE}


def write(
    folder: str | os.PathLike,
    dataset: Dataset,
    answered: Mapping[str, tuple[np.ndarray, np.ndarray]],
    text_encoder,
) -> None:
    """Write summary.js (the front page), scenes.js (the page to search) and sounds/N.mp3.

    answered: run -> its `answers`; the first one chooses the promised query. The front page shows
    all but ALIGNED.
    """
    every_rank, every_found = (np.stack(one) for one in zip(*answered.values(), strict=True))
    plain = {name: one for name, one in answered.items() if name != ALIGNED}
    ranks = every_rank[0]
    promised = promised_query(ranks, fair_scenes(dataset, ranks, text_encoder))
    captions = [dataset.sentences(code) for code in CODES]
    clip = int(dataset.owner[promised])
    first_found = [found[promised].tolist() for _, found in plain.values()]
    names = {}
    for one in np.unique(first_found).tolist():
        names[one] = captions[0][int(np.argmax(dataset.owner == one))]
    summary = about(plain)
    summary["captions"] = [row[promised] for row in captions]
    summary["clip"] = clip
    summary["names"] = names
    summary["ranks"] = [ranks[promised].tolist() for ranks, _ in plain.values()]
    summary["found"] = first_found
    scenes = about(answered)
    scenes["captions"] = captions
    scenes["known"] = known_characters(text_encoder)
    scenes["ranks"] = every_rank.ravel().tolist()
    scenes["found"] = every_found.ravel().tolist()
    scenes["owner"] = dataset.owner.tolist()
    order = playing_order(every_found, clip, len(dataset)).tolist()
    with storage.atomic_path(folder, folder=True) as partial:
        sounds = partial / "sounds"
        sounds.mkdir()
        for one in order[:PLAYED]:
            sound = mp3(dataset.clip(one), SAMPLE_RATE, QUIETEST)
            (sounds / f"{one}.mp3").write_bytes(sound)
        shared = {"clips": len(dataset), "promised": promised, "silent": order[PLAYED:]}
        write_script(partial / "scenes.js", shared | scenes)
        write_script(partial / "summary.js", shared | summary)


def write_script(path: pathlib.Path, values: dict) -> None:
    """A script that assigns the values to ATRI_ and its name."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    path.write_text(f"window.ATRI_{path.stem.upper()} = {text};\n", encoding="utf-8")


def configs(base: TrainConfig) -> dict[str, TrainConfig]:
    """The runs of SHOWN; without ALIGNED where the text encoder is trained, too."""
    asked = {}
    for name, settings in SHOWN.items():
        if name != ALIGNED or not base.unfreeze.get("text"):
            asked[name] = base.replace(**settings)
    return asked


def build(folder: str | os.PathLike, profile: str = "book") -> None:
    """Write the folder, and in it the live encoder, from the runs with seed 0 of a profile; those
    that the cache does not hold are trained.
    """
    base = TrainConfig.for_profile(profile)
    data = load_data(base)
    asked = configs(base)
    test = data.splits["test"]
    trained = train_all(list(asked.values()), data)
    answered = {}
    runs = {}
    for name, run in zip(asked, trained, strict=True):
        model = run.model(data)
        clips, texts = encode(model, test)
        answered[name] = answers(clips, texts, test.owner.cpu())
        runs[name] = live_encoder.run_arrays(model, clips)
    write(folder, test.dataset, answered, data.text_encoder)
    sentences = []
    for source in data.splits.values():
        for code in CODES:
            sentences += source.dataset.sentences(code)
    tokenizer = data.text_encoder.tokenizer
    live_encoder.write(pathlib.Path(folder) / "live", tokenizer, sentences, runs)
