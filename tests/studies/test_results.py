"""Results that last: written and read back, compared, refused when damaged; and those that are
stored still hold.
"""

import base64
import collections
import dataclasses
import json
import zlib
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from atri_lib import storage
from atri_lib.data.banks import BOOK, default_bank
from atri_lib.data.items import BankUnavailable
from atri_lib.evaluation import two_way_interval
from atri_lib.training import TrainConfig
from studies import computing, contrasts, registry, results, shared_sounds, split
from studies.contrasts import MEASURES
from studies.items import Item
from studies.results import Result, ResultsError

STORED = sorted(path.stem for path in results.FOLDER.glob("*.jsonl"))


def made(label, seed, ranks, **settings):
    config = TrainConfig(scheme="ml_clap", seed=seed, **settings)
    made_with = {"commit": "", "torch": "2", "python": "3"}
    about = (label, config, None, "data", f"key-{label}-{seed}", made_with)
    return Result(*about, 1.5, [2.0, 1.0], {"mrv": 3.0}, np.asarray(ranks))


def shifted(label, seed, spread):
    """Ranks of 40 captions in 8 languages; the larger the spread, the more they disagree."""
    generator = np.random.default_rng(seed)
    return made(label, seed, 1 + generator.integers(0, 1 + spread, size=(40, 8)))


def test_what_is_written_is_read_back_in_the_order_of_labels_and_seeds(tmp_path):
    ranks = np.random.default_rng(0).integers(1, 500, size=(50, 8))
    start = TrainConfig(scheme="ml_clap", epochs=3)
    one = dataclasses.replace(made("b", 1, ranks, epochs=4), first=start)
    results.write("study", [one, made("b", 0, ranks + 1), made("a", 2, ranks)], tmp_path)
    found = results.read("study", tmp_path)
    assert [(result.label, result.config.seed) for result in found] == [
        ("a", 2),
        ("b", 0),
        ("b", 1),
    ]
    for name in ("label", "config", "first", "data", "key", "made", "seconds", "loss", "test"):
        assert getattr(found[2], name) == getattr(one, name)
    assert np.array_equal(found[2].ranks, ranks)
    assert results.ranks_of(found, "b").shape == (2, 50, 8)
    assert list(results.table(found).columns) == [
        "label", "seed", "epochs", "seconds", "mrv", "worst 1 %",
    ]  # fmt: skip


def test_an_empty_file_has_no_results(tmp_path):
    results.write("study", [], tmp_path)
    assert results.read("study", tmp_path) == []


def summed(line, **changes):
    """A line changed by somebody who gives it the checksum that belongs to it."""
    values = json.loads(line) | changes
    values.pop("checksum")
    return json.dumps(values | {"checksum": storage.checksum(values)})


def packed_zeros(size):
    return base64.b64encode(zlib.compress(bytes(size))).decode()


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"predictions": 3}',
        '{"predictions": [3]}',
        '{"predictions": [{"measure": "mrv", "better": "a", "worse": "b"}]}',
        '{"predictions": [{"study": "study", "measure": "speed", "better": "a", "worse": "b"}]}',
        '{"predictions": [{"study": "study", "measure": "mrv", "better": "a"}]}',
    ],
)
def test_damaged_predictions_are_named(tmp_path, content):
    results.write("study", [shifted("a", 0, 1)], tmp_path)
    (tmp_path / "predictions.json").write_text(content)
    with pytest.raises(ResultsError, match=r"predictions\.json: .* damaged .*; restore the file"):
        contrasts.verdicts("study", tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line.replace('"mrv": 3.0', '"mrv": 2.0'),
        lambda line: line.replace('"shape": [40, 8]', '"shape": [41, 8]'),
        lambda line: json.dumps(json.loads(line) | {"ranks": "!"}),
        lambda line: json.dumps(json.loads(line) | {"config": {"speed": 1}}),
        lambda line: json.dumps(
            {name: value for name, value in json.loads(line).items() if name != "checksum"}
        ),
        lambda line: "[]",
        lambda line: "null",
        lambda line: line.replace('"seconds": 1.5', '"seconds": 1.6'),
        lambda line: summed(line, test=None),
        lambda line: summed(line, test=[1.0]),
        lambda line: summed(line, test={}),
        lambda line: summed(line, test={"mrv": "3"}),
        lambda line: summed(line, test={"mrv": None}),
        lambda line: summed(line, shape=[0, 8], ranks=""),
        lambda line: summed(line, shape=[10**9, 8]),
        lambda line: summed(line, shape=[]),
        lambda line: summed(line, ranks=packed_zeros(2**26)),
        lambda line: summed(line, ranks=packed_zeros(2 * 40 * 8)),
        lambda line: summed(line, loss=[None]),
        lambda line: line.replace('"seconds": 1.5', '"seconds": 1.5, "seconds": 1.5'),
        lambda line: line.replace('"seconds": 1.5', '"seconds": NaN'),
        lambda line: '{"a":' * 10**5,
        lambda line: line.replace('"label"', '"\x85label"'),
    ],
)
def test_a_damaged_line_is_named(tmp_path, spoil):
    results.write("study", [shifted("a", 0, 1), shifted("a", 1, 1)], tmp_path)
    first, second = (tmp_path / "study.jsonl").read_text().splitlines()
    (tmp_path / "study.jsonl").write_text(f"{first}\n{spoil(second)}\n")
    with pytest.raises(
        ResultsError, match=r"study\.jsonl:2: damaged .* delete the line, run `make experiments`"
    ):
        results.read("study", tmp_path)


def test_a_file_or_label_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(ResultsError, match="not there .* run `make experiments`"):
        results.read("nothing", tmp_path)
    with pytest.raises(ResultsError, match="no run is labelled 'c': use one of a, b"):
        results.ranks_of([shifted("a", 0, 1), shifted("b", 0, 1)], "c")


def test_the_key_follows_settings_start_data_and_nothing_else():
    config = TrainConfig(scheme="ml_clap")
    other = TrainConfig(scheme="ml_clap", epochs=7)
    asked = [(config, None, "x"), (other, None, "x"), (config, other, "x"), (config, None, "y")]
    keys = [results.key_of(*one) for one in asked]
    assert len(set(keys)) == 4
    assert results.key_of(config.replace(data="elsewhere"), None, "x") == keys[0]


def test_measures_are_those_of_the_evaluation():
    from atri_lib import evaluation

    ranks = np.random.default_rng(1).integers(1, 9, size=(3, 60, 8))
    variance = np.mean([evaluation.mean_rank_variance(one) for one in ranks])
    deviation = np.mean([evaluation.mean_rank_std(one) for one in ranks])
    assert MEASURES["mrv"](ranks).mean() == pytest.approx(variance)
    assert MEASURES["rank_std"](ranks).mean() == pytest.approx(deviation)
    assert MEASURES["T2A R@1"](ranks).mean() == pytest.approx(100 * (ranks == 1).mean())


def test_the_relative_variance_does_not_see_ranks_that_are_worse_in_all_languages_alike():
    ranks = np.random.default_rng(2).integers(1, 50, size=(30, 8))
    runs = [made("a", 0, ranks), made("b", 0, 3 * ranks), made("c", 0, np.tile(ranks[:, :1], 8))]
    one, same, agreeing = (results.relative_variance(runs, label) for label in "abc")
    assert one == pytest.approx(same) and one > 0.1 and agreeing == 0


def test_a_contrast_is_the_two_way_interval_of_the_evaluation():
    runs = [shifted("a", seed, 4) for seed in range(5)]
    runs += [shifted("b", seed, 5) for seed in range(5)]
    left = MEASURES["mrv"](results.ranks_of(runs, "a"))
    right = MEASURES["mrv"](results.ranks_of(runs, "b"))
    assert contrasts.contrast(runs, "a", "b", "mrv") == two_way_interval(left, right)
    with pytest.raises(ResultsError, match="not the same seeds and captions"):
        contrasts.contrast(runs[:-1], "a", "b", "mrv")


def test_verdicts_hold_are_refuted_or_stay_open(tmp_path):
    runs = [shifted("calm", seed, 1) for seed in range(4)]
    runs += [shifted("wild", seed, 9) for seed in range(4)]
    runs += [dataclasses.replace(run, label="calm too") for run in runs[:4]]
    results.write("study", runs, tmp_path)
    pairs = (("calm", "wild"), ("wild", "calm"), ("calm", "calm too"))
    said = []
    for better, worse in pairs:
        for measure in contrasts.MEASURES:
            one = {"study": "study", "better": better, "worse": worse, "measure": measure}
            said.append(one)
    (tmp_path / "predictions.json").write_text(json.dumps({"predictions": said}))
    (tmp_path / shared_sounds.NAME).write_text(json.dumps({"scenes": {}, "data": {}}))
    table = contrasts.verdicts("study", tmp_path).set_index(["better", "worse"])
    for pair, verdict in zip(pairs, ("held", "refuted", "open"), strict=True):
        assert set(table.loc[pair, "verdict"]) == {verdict}
    mrv = table[table.measure == "mrv"].loc[[("calm", "wild")]].iloc[0]
    assert mrv.difference < 0 and mrv.low < mrv.difference < mrv.high and mrv.effect < -2
    counted = contrasts.tally(tmp_path)
    assert counted.loc["study"].to_dict() == {
        "predictions": 9, "held": 3, "open": 3, "refuted": 3, "wrong side": 3, "Holm": 3,
        "first held": None,
    }  # fmt: skip
    assert counted.loc["all"].held == counted.loc["study"].held


@pytest.mark.parametrize("part", contrasts.PARTS)
def test_parts_of_disagreement_are_predicted_like_measures(part):
    runs = [shifted("calm", seed, 1) for seed in range(4)]
    runs += [dataclasses.replace(run, label="same") for run in runs]
    assert contrasts.contrast(runs, "calm", "same", part).difference == 0
    assert np.isnan(contrasts.effect_size(runs, "calm", "same", part))


def test_holm_corrects_as_he_did():
    p = contrasts.holm(pd.Series([0.04, 0.01, 0.03], index=["a", "b", "c"]))
    assert list(p.index) == ["b", "c", "a"]  # aligned by label where it is used
    assert p.to_dict() == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})


@pytest.mark.parametrize("measure", contrasts.MEASURES)
@pytest.mark.parametrize("seeds", [3, 8, 32])
def test_the_interval_covers_as_it_says_on_stored_residuals(measure, seeds):
    """Tables of differences about a mean of 0 whose sounds, captions and rest are those of stored
    runs.
    """
    runs = results.read("fresh_8")
    left, right = contrasts.values_of(runs, "KCL", "ML-CLAP", measure)
    groups = shared_sounds.groups(runs[0].data)
    table = left - right - (left - right).mean()
    stored, captions = table.shape
    by_seed, by_caption = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, None] - by_caption
    of_rest = np.square(rest).sum() / ((stored - 1) * (captions - 1))
    of_seeds = max(0.0, by_seed.var(ddof=1) - of_rest / captions)
    of_captions = max(0.0, by_caption.var(ddof=1) - of_rest / stored)
    shrink = np.sqrt(of_captions / by_caption.var())
    by_sound = np.linalg.lstsq(groups.astype(float), by_caption, rcond=None)[0]
    alone = by_caption - groups @ by_sound
    generator = np.random.default_rng(seeds)
    held = []
    for _ in range(600):
        of_sounds = generator.choice(by_sound - by_sound.mean(), len(by_sound))
        drawn = (groups @ of_sounds + generator.choice(alone, captions)) * shrink
        cells = rest[generator.integers(stored, size=(seeds, captions)), np.arange(captions)]
        values = generator.normal(0, np.sqrt(of_seeds), (seeds, 1)) + drawn + cells
        found = two_way_interval(values, np.zeros_like(values), groups)
        held.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.975


@pytest.mark.parametrize("part", contrasts.PARTS)
@pytest.mark.parametrize("seeds", [3, 8])
def test_the_two_way_interval_of_a_part_holds_zero_for_two_sets_of_seeds(part, seeds):
    ranks = results.ranks_of(results.read("folder_new"), "ML-CLAP")[:, :300]
    generator = np.random.default_rng(1)
    held = []
    for _ in range(200):
        order = generator.permutation(len(ranks))
        sides = (ranks[order[:seeds]], ranks[order[seeds : 2 * seeds]])
        found = two_way_interval(*(split.pseudo_values(side, part) for side in sides))
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) >= 0.93


def test_a_contrast_counts_the_sounds_that_scenes_share(tmp_path, monkeypatch):
    """Forty scenes ten times over are forty observations, not four hundred."""
    runs = results.read("fresh_8")
    rows = np.repeat(np.arange(40), 10)
    repeated = [dataclasses.replace(run, ranks=run.ranks[rows]) for run in runs]
    monkeypatch.setattr(
        shared_sounds, "groups", lambda data, folder: rows[:, None] == np.arange(40)
    )
    together = contrasts.contrast(repeated, "KCL", "ML-CLAP", "stable")
    alone = two_way_interval(*contrasts.values_of(repeated, "KCL", "ML-CLAP", "stable"))
    assert together.difference == alone.difference
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_the_sounds_of_every_stored_run_are_known_and_those_of_its_scenes():
    noted = {}
    for study in registry.STUDIES:
        for result in results.read(study):
            groups = shared_sounds.groups(result.data)
            assert groups is not None and len(groups) == len(result.ranks), (study, result.label)
            noted[study] = groups
    try:
        default_bank()
    except BankUnavailable as reason:
        pytest.skip(str(reason))
    for study in ("dose_16", "fresh_8", "towers", "phrasing", "cures_unseen"):
        recipes = shared_sounds.recipes_of(registry.STUDIES[study]()[0])
        held = shared_sounds.as_groups([recipe.items for recipe in recipes])
        assert (held == noted[study]).all(), study


def test_sounds_are_noted_beside_what_is_there_and_damage_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_sounds, "recipes_of", lambda item: [Sounds((0, 2)), Sounds((1,))])
    shared_sounds.note(None, ["one"], tmp_path)
    shared_sounds.note(None, ["two"], tmp_path)
    assert shared_sounds.groups("one", tmp_path).tolist() == [
        [True, False, True],
        [False, True, False],
    ]
    assert (shared_sounds.groups("two", tmp_path) == shared_sounds.groups("one", tmp_path)).all()
    assert shared_sounds.groups("three", tmp_path) is None
    (tmp_path / shared_sounds.NAME).write_text("{}")
    shared_sounds.groups.cache_clear()
    with pytest.raises(ResultsError, match=r"sounds.json: missing or damaged .*; restore the file"):
        shared_sounds.groups("one", tmp_path)


class Sounds(NamedTuple):
    """What is read of a recipe."""

    items: tuple[int, ...]


def test_the_first_verdicts_are_those_of_the_committed_predictions():
    predicted = collections.Counter(said["study"] for said in contrasts.read_predictions())
    first = contrasts.first_verdicts()
    later = {"unseen"}  # their predictions never had another interval
    assert {study: len(said) for study, said in first.items()} == {
        study: count for study, count in predicted.items() if study not in later
    }
    assert {verdict for said in first.values() for verdict in said} == {"held", "open", "refuted"}


def test_every_study_names_its_runs_once_and_every_prediction_has_them():
    predicted = json.loads((results.FOLDER / "predictions.json").read_text())["predictions"]
    labels = {}
    for name, study in registry.STUDIES.items():
        names = [(item.label, item.config.seed) for item in study()]
        assert len(set(names)) == len(names), name
        labels[name] = {label for label, _ in names}
    for said in predicted:
        assert {said["better"], said["worse"]} <= labels[said["study"]], said


def test_a_study_is_computed_resumed_and_recomputed_when_its_runs_change(
    tmp_path, monkeypatch, toy
):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    settings = {"epochs": 1, "batch_size": 20, "width": 8, "hidden": 16}
    first = TrainConfig(scheme="ml_clap", seed=3, **settings)
    items = [Item("plain", first), Item("after", first.replace(epochs=2), first)]
    monkeypatch.setitem(registry.STUDIES, "toy", lambda: items)
    monkeypatch.setattr(computing, "load_data", lambda config: toy())
    monkeypatch.setattr(computing, "data_checksum", lambda config: toy().checksum)
    monkeypatch.setattr(shared_sounds, "recipes_of", lambda item: [])
    trained = []

    def train_all(configs, data):
        from atri_lib.training import load_or_train

        trained.extend(configs)
        return [load_or_train(config, data) for config in configs]

    monkeypatch.setattr(computing, "train_all", train_all)
    computing.compute("toy", tmp_path)
    kept = results.read("toy", tmp_path)
    assert [result.label for result in kept] == ["after", "plain"] and len(trained) == 3
    assert kept[0].config.init is None
    assert kept[0].first == first
    assert not np.array_equal(kept[0].ranks, kept[1].ranks)
    runs = tmp_path / "cache" / "runs"
    assert not list(runs.glob("*/weights.safetensors"))  # nothing reads them again
    computing.compute("toy", tmp_path)
    assert len(trained) == 3  # nothing left to do
    items[0] = Item("plain", first.replace(learning_rate=0.5))
    assert [item.label for item in computing.status("toy", tmp_path)[1]] == ["plain"]
    computing.compute("toy", tmp_path)
    assert len(trained) == 4 and results.read("toy", tmp_path)[0].key == kept[0].key


@pytest.mark.parametrize("study", STORED)
def test_stored_results_fit_recipe_settings_and_the_data_that_they_name(study):
    """Without looking at the data: the next test does, where the commands fetch them."""
    checksums = {(r.label, r.config.seed): r.data for r in results.read(study)}
    _, missing = computing.fitting(
        study, lambda item: checksums.get((item.label, item.config.seed), "")
    )
    stale = sorted({item.label for item in missing})
    file = f"studies/rows/{study}.jsonl"
    assert not stale, f"{file} does not fit today's settings: make experiments ({stale})"
    configs = [item.config for item in registry.STUDIES[study]()]
    named = {(config.text_encoder, config.parallel_text) for config in configs}
    assert len(set(checksums.values())) == len(named)


@pytest.fixture(scope="module")
def checksums():
    """Of data that studies share: each is taken once."""
    return {}


@pytest.mark.parametrize("study", STORED)
def test_stored_results_are_of_the_data_that_the_commands_fetch(study, checksums):
    if default_bank().name != BOOK:
        pytest.skip(f"{study}: the book's recordings cannot be had on this machine")
    if any(item.scratch for item in registry.STUDIES[study]()):
        pytest.skip(f"{study}: no command fetches its recordings ahead; `make verify` compares it")
    try:
        _, missing = computing.status(study, checksums=checksums)
    except BankUnavailable as reason:  # pictures
        pytest.skip(f"{study}: {reason}")
    assert not missing, f"studies/rows/{study}.jsonl does not fit today's data: make experiments"


def test_stored_results_are_small():
    assert sum(path.stat().st_size for path in results.FOLDER.rglob("*.json*")) < 12_000_000
