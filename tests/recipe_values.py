"""Numbers that equal settings must keep giving: measured here, kept in recipe_values.json, compared
by test_recipe.

python -m tests.recipe_values      # write the file anew, after RECIPE was raised
"""

import pathlib
import tempfile
from collections.abc import Sequence
from unittest import mock

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
        own = {}
        if kind.chooses_m:
            own["m"] = 3
        if name == "hold":
            own["hold"] = 3
        if name == "block":
            own["block"] = 7
        scheme = kind(clips=CLIPS, languages=8, seed=3, **own)
        epochs = [scheme.languages(epoch) for epoch in range(EPOCHS)]
        drawn = np.stack(epochs).astype("<i8")
        weights = [f"{weight:.12g}" for weight in scheme.weights]
        values[name] = {
            "languages": storage.checksum(drawn),
            "weights": storage.checksum(weights),
        }
    return values


def step_values(toy: TrainingData) -> dict[str, list[list[float]]]:
    """Per optimiser and scheme, loss and gradient norm of three steps on toy data."""
    small = TrainConfig(seed=5, epochs=1, batch_size=20, width=8, hidden=16, dropout=0.2)
    values = {}
    for optimizer, rate in (("adam", 1e-2), ("sgd", 1.0)):
        by_optimizer = small.replace(optimizer=optimizer, learning_rate=rate)
        for scheme in ("ml_clap", "cacl", "kcl"):
            config = by_optimizer.replace(scheme=scheme)
            values[f"{optimizer} {scheme}"] = steps(config, toy)
    return values


def steps(config: TrainConfig, data: TrainingData) -> list[list[float]]:
    """Loss and gradient norm of every step of a short run, as the loop makes them."""
    recorded = []
    original = loop.backward

    def recording(model: DualEncoder, *arguments) -> torch.Tensor:
        loss = original(model, *arguments)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        recorded.append([loss.item(), norm.item()])
        return loss

    model = build_model(config, data)
    with mock.patch.object(loop, "backward", recording):
        loop.train(config, data, model, pathlib.Path("no checkpoint is there"))
    return recorded


def rank_values() -> list[list[int]]:
    """The ranks of a small retrieval with many ties."""
    generator = np.random.default_rng(7)
    clips = generator.integers(-1, 2, size=(12, 3)).astype(np.float32)
    texts = generator.integers(-1, 2, size=(12, 4, 3)).astype(np.float32)
    return evaluation.rank_matrix(clips, texts, np.arange(12)).tolist()


def row_of(study: str) -> items.Item:
    """The row of a study that is looked at, with seed 0."""
    labelled = [item for item in registry.STUDIES[study]() if item.label == ROWS[study]]
    (found,) = (item for item in labelled if item.config.seed == 0)
    return found


def fixed_row(study: str) -> items.Item:
    """The same on the book's data and features."""
    item = row_of(study)
    config = item.config.replace(**BOOKS)
    first = item.first
    if first is not None:
        first = first.replace(**BOOKS)
        if stored_loss(study) is None:
            first = first.replace(epochs=1)  # any start will do
    return items.Item(item.label, config, first)


def first_epoch_loss(item: items.Item, data: TrainingData, folder: pathlib.Path) -> float:
    """The mean loss of the first epoch of a run, in nats, on one thread as in a study."""
    if item.first:
        model = load_or_train(item.first, data, folder=folder).model(data)
    else:
        model = build_model(item.config, data)
    if model.alignment is not None:
        model.alignment.fit(item.config.alignment, data.parallel)
    (epoch,) = loop.train(item.config, data, model, folder / "no checkpoint", epochs=1)
    return epoch["loss"]


def stored_loss(study: str) -> float | None:
    """What the stored row says of its first epoch; None where the study has other data than the
    book's.
    """
    item = row_of(study)
    if item.scratch is not None:
        return None
    for name, value in BOOKS.items():
        if getattr(item.config, name) != value:
            return None
    labelled = [result for result in results.read(study) if result.label == item.label]
    (found,) = (result for result in labelled if result.config.seed == 0)
    return found.loss[0]


def measured(toy: TrainingData, folder: pathlib.Path, names: Sequence[str]) -> dict:
    """All values, the first epochs of these studies among them."""
    first_epochs = {}
    if names:
        book = load_data(TrainConfig())
        for name in names:
            first_epochs[name] = first_epoch_loss(fixed_row(name), book, folder)
    return {
        "schemes": scheme_values(),
        "steps": step_values(toy),
        "ranks": rank_values(),
        "first epochs": first_epochs,
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
        off = value - expected["first epochs"][name]
        if abs(off) > 1e-3:
            wrong.append(f"the first epoch of {name}, {ROWS[name]}: {value:.5f} nats")
    return wrong


def main() -> None:
    """Write the file."""
    from tests.conftest import toy_data

    torch.set_num_threads(1)
    values = {"recipe": RECIPE}
    with tempfile.TemporaryDirectory() as folder:
        values |= measured(toy_data(), pathlib.Path(folder), list(ROWS))
    storage.write_json(STORED, values)


if __name__ == "__main__":
    main()
