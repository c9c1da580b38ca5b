"""Numbers that equal settings must keep giving: measured here, kept in recipe_values.json, compared
by test_recipe.

python -m tests.recipe_values      # write the file anew, after RECIPE was raised
"""

import pathlib
import tempfile

import numpy as np
import torch

from atri_lib import evaluation, storage
from atri_lib.encoders.dual import DualEncoder
from atri_lib.recipe import RECIPE
from atri_lib.schemes import SCHEMES
from atri_lib.training import TrainConfig, load_data, load_or_train, loop
from atri_lib.training.sources import TrainingData, build_model
from studies import items, registry, results

STORED = pathlib.Path(__file__).with_name("recipe_values.json")
EPOCHS = 10
CLIPS = 40
# One row of every study, so that all schemes, optimisers, lengths and settings of the studies are
# met.
ROWS = {
    "dose_16": "hold 2",
    "captions": "m of K 2",
    "triangle": "cacl 1/12",
    "fresh_16": "balanced 2",
    "anchors": "jpn",
    "stages": "CACL 0, 0.001",
    "towers": "balanced",
    "dose_30": "block",
    "book_30": "ML-CLAP, 60 epochs",
    "dose_16_e5": "Latin",
    "triangle_e5": "cacl_unbiased 1/3",
    "lengths_e5": "ML-CLAP, 60 epochs",
    "folder": "balanced",
    "folder_8": "KCL",
    "folder_new": "ML-CLAP",
    "numbers": "3 of 8",
    "fresh_8": "balanced",
    "fresh_30": "ML-CLAP",
    "descent": "balanced 2",
    "dose_30_e5": "hold all",
    "fixed_counts": "9 and 1, shuffled",
    "fixed_counts_new": "4 of 4, in blocks",
    "fixed_counts_e5": "8 of 2, by turns",
    "fixed_counts_e5_new": "2 each, in pairs",
    "stopped": "KCL, 5 epochs",
    "stopped_new": "KCL, 7 epochs",
    "cures": "ML-CLAP, ridge",
    "cures_e5": "balanced, ridge",
    "cures_folder": "balanced, ridge",
    "cures_unseen": "KCL, ridge",
    "pictures": "CACL",
    "pictures_apart": "balanced",
    "stamps": "ML-CLAP",
    "pixels": "KCL",
    "phrasing": "balanced 2",
    "other_bank": "CACL",
    "cldr": "KCL",
    "unseen": "CACL",
    "parallel_text": "balanced, ridge, 400 captions",
    "other_cures": "even and kept",
    "all_texts_e5": "balanced, all texts",
    "targets_folder": "ML-CLAP, english",
    "targets_phrasing": "ML-CLAP, ridge",
    "towers_apart": "no tower",
}
BOOKS = {name: getattr(TrainConfig(), name) for name in items.DATA}  # settings of the book's data


def scheme_values() -> dict[str, dict[str, str]]:
    """Per scheme, checksums of the languages of ten epochs and of the weights of its columns."""
    values = {}
    for name, kind in SCHEMES.items():
        own = {"m": 3} if kind.chooses_m else {}
        own |= {"hold": 3} if name == "hold" else {}
        own |= {"block": 7} if name == "block" else {}
        scheme = kind(clips=CLIPS, languages=8, seed=3, **own)
        drawn = np.stack([scheme.languages(epoch) for epoch in range(EPOCHS)])
        values[name] = {
            "languages": storage.checksum(drawn.astype("<i8")),
            "weights": storage.checksum([f"{weight:.12g}" for weight in scheme.weights]),
        }
    return values


def step_values(toy: TrainingData) -> dict[str, list[list[float]]]:
    """Per optimiser and scheme, loss and gradient norm of three steps on toy data."""
    values = {}
    for optimizer, rate in (("adam", 1e-2), ("sgd", 1.0)):
        for scheme in ("ml_clap", "cacl", "kcl"):
            config = TrainConfig(
                scheme=scheme,
                seed=5,
                optimizer=optimizer,
                learning_rate=rate,
                epochs=1,
                batch_size=20,
                width=8,
                hidden=16,
                dropout=0.2,
            )
            values[f"{optimizer} {scheme}"] = steps(config, toy)
    return values


def steps(config: TrainConfig, data: TrainingData) -> list[list[float]]:
    """Loss and gradient norm of every step of a short run, as the loop makes them."""
    recorded = []
    original = loop.backward

    def recording(model: DualEncoder, *arguments) -> torch.Tensor:
        loss = original(model, *arguments)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        recorded.append([loss.item(), torch.nn.utils.get_total_norm(gradients).item()])
        return loss

    loop.backward = recording
    try:
        loop.train(config, data, build_model(config, data), pathlib.Path("no checkpoint is there"))
    finally:
        loop.backward = original
    return recorded


def rank_values() -> list[list[int]]:
    """The ranks of a small retrieval with many ties."""
    generator = np.random.default_rng(7)
    clips = generator.integers(-1, 2, size=(12, 3)).astype(np.float32)
    texts = generator.integers(-1, 2, size=(12, 4, 3)).astype(np.float32)
    return evaluation.rank_matrix(clips, texts, np.arange(12)).tolist()


def fixed_row(study: str) -> items.Item:
    """The row of a study that is looked at, with seed 0, on the book's data and features."""
    item = next(
        i for i in registry.STUDIES[study]() if i.label == ROWS[study] and i.config.seed == 0
    )
    first = item.first and item.first.replace(**BOOKS)
    if first and stored_loss(study) is None:
        first = first.replace(epochs=1)  # any start will do
    return items.Item(item.label, item.config.replace(**BOOKS), first)


def first_epoch_loss(item: items.Item, data: TrainingData, folder: pathlib.Path) -> float:
    """The mean loss of the first epoch of a run, in nats, on one thread as in a study."""
    if item.first:
        model = load_or_train(item.first, data, folder=folder).model(data)
    else:
        model = build_model(item.config, data)
    if model.alignment is not None:
        model.alignment.fit(item.config.alignment, data.parallel)
    return loop.train(item.config, data, model, folder / "no checkpoint", epochs=1)[0]["loss"]


def stored_loss(study: str) -> float | None:
    """What the stored row says of its first epoch; None where the study has other data than the
    book's.
    """
    item = next(
        i for i in registry.STUDIES[study]() if i.label == ROWS[study] and i.config.seed == 0
    )
    same = item.scratch is None and all(
        getattr(item.config, name) == value for name, value in BOOKS.items()
    )
    if not same:
        return None
    return next(r for r in results.read(study) if (r.label, r.config.seed) == (item.label, 0)).loss[
        0
    ]


def measured(toy: TrainingData, folder: pathlib.Path, names: list[str]) -> dict:
    """All values, the first epochs of these studies among them."""
    book = load_data(TrainConfig()) if names else None
    return {
        "schemes": scheme_values(),
        "steps": step_values(toy),
        "ranks": rank_values(),
        "first epochs": {name: first_epoch_loss(fixed_row(name), book, folder) for name in names},
    }


def differences(found: dict, expected: dict) -> list[str]:
    """What is not as stored: checksums and ranks exactly, losses and norms to 1e-4, first epochs to
    1e-3.
    """
    wrong = []
    for name, values in expected["schemes"].items():
        if found["schemes"].get(name) != values:
            wrong.append(f"scheme {name}: languages or weights")
    for name, values in expected["steps"].items():
        if not np.allclose(found["steps"][name], values, rtol=1e-4, atol=0):
            wrong.append(f"three steps of {name}: losses or gradient norms")
    if found["ranks"] != expected["ranks"]:
        wrong.append("ranks")
    for name, value in found["first epochs"].items():
        if abs(value - expected["first epochs"][name]) > 1e-3:
            wrong.append(f"the first epoch of {name}, {ROWS[name]}: {value:.5f} nats")
    return wrong


def main() -> None:
    """Write the file."""
    from tests.conftest import toy_data

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        values = measured(toy_data(), pathlib.Path(folder), list(ROWS))
    storage.write_json(STORED, {"recipe": RECIPE} | values)


if __name__ == "__main__":
    main()
