"""Results that last: written and read back, compared, refused when damaged; and those that are
stored still hold.
"""

import base64
import collections
import dataclasses
import json
import zlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from atri_lib import evaluation, storage
from atri_lib.data.banks import BOOK, default_bank
from atri_lib.data.items import BankUnavailable
from atri_lib.training import TrainConfig, load_or_train
from studies import computing, contrasts, registry, results, shared_sounds, split
from studies.contrasts import MEASURES
from studies.items import Item
from studies.results import Result, ResultsError
from studies.shared_sounds import two_way_interval

STORED = sorted(path.stem for path in results.FOLDER.glob("*.jsonl"))


def made(label, seed, ranks, **settings):
    return Result(
        label=label,
        config=TrainConfig(scheme="ml_clap", seed=seed, **settings),
        first=None,
        data="data",
        key=f"key-{label}-{seed}",
        made={"commit": "", "torch": "2", "python": "3"},
        seconds=1.5,
        loss=[2.0, 1.0],
        test={"mrv": 3.0},
        ranks=np.asarray(ranks),
    )


def shifted(label, seed, spread):
    """Ranks of 40 captions in 8 languages; the larger the spread, the more they disagree."""
    generator = np.random.default_rng(seed)
    ranks = generator.integers(1, 2 + spread, size=(40, 8))
    return made(label, seed, ranks)


def test_what_is_written_is_read_back_in_the_order_of_labels_and_seeds(tmp_path):
    generator = np.random.default_rng(0)
    ranks = generator.integers(1, 500, size=(50, 8))
    start = TrainConfig(scheme="ml_clap", epochs=3)
    plain = made("b", 1, ranks, epochs=4)
    one = dataclasses.replace(plain, first=start)
    other = made("b", 0, ranks + 1)
    results.write("study", [one, other, made("a", 2, ranks)], tmp_path)
    found = results.read("study", tmp_path)
    assert [result.key for result in found] == ["key-a-2", "key-b-0", "key-b-1"]
    for field in dataclasses.fields(Result):
        values = [getattr(result, field.name) for result in (found[2], one)]
        assert np.array_equal(*values), field.name
    assert results.ranks_of(found, "b").shape == (2, 50, 8)
    columns = ["label", "seed", "epochs", "seconds", "mrv", "worst 1 %"]
    assert list(results.table(found)) == columns


def test_an_empty_file_has_no_results(tmp_path):
    results.write("study", [], tmp_path)
    assert results.read("study", tmp_path) == []


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


@pytest.fixture
def spoilt(tmp_path):
    """A function that changes the second of two stored lines and reads both: it must be named."""
    path = tmp_path / "study.jsonl"
    runs = [shifted("a", seed, 1) for seed in (0, 1)]
    results.write("study", runs, tmp_path)
    first, second = path.read_text().splitlines()

    def read(change):
        changed = change(second)
        assert changed != second
        path.write_text(f"{first}\n{changed}\n")
        advice = r"study\.jsonl:2: damaged .* delete the line, run `make experiments`"
        with pytest.raises(ResultsError, match=advice):
            results.read("study", tmp_path)

    return read


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line.replace('"mrv": 3.0', '"mrv": 2.0'),
        lambda line: line.replace('"checksum"', '"sum"'),
        lambda line: "null",
        lambda line: line.replace('"seconds": 1.5', '"seconds": 1.5, "seconds": 1.5'),
        lambda line: line.replace('"seconds": 1.5', '"seconds": NaN'),
        lambda line: '{"a":' * 10**5,
        lambda line: line.replace('"label"', '"\x85label"'),
    ],
)
def test_a_damaged_line_is_named(spoilt, change):
    spoilt(change)


def packed_zeros(size):
    packed = zlib.compress(bytes(size))
    return base64.b64encode(packed).decode()


@pytest.mark.parametrize(
    "values",
    [
        {"config": {"speed": 1}},
        {"test": None},
        {"test": {}},
        {"test": {"mrv": "3"}},
        {"loss": [None]},
        {"shape": [0, 8], "ranks": ""},
        {"shape": [10**9, 8]},
        {"shape": [41, 8]},
        {"shape": []},
        {"ranks": "!"},
        {"ranks": packed_zeros(2**26)},
        {"ranks": packed_zeros(2 * 40 * 8)},
    ],
)
def test_a_line_with_values_that_cannot_be_is_named_whatever_its_checksum(spoilt, values):
    def change(line):
        changed = json.loads(line) | values
        del changed["checksum"]
        changed["checksum"] = storage.checksum(changed)
        return json.dumps(changed)

    spoilt(change)


def test_a_file_or_label_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(ResultsError, match="not there .* run `make experiments`"):
        results.read("nothing", tmp_path)
    runs = [shifted("a", 0, 1), shifted("b", 0, 1)]
    with pytest.raises(ResultsError, match="no run is labelled 'c': use one of a, b"):
        results.ranks_of(runs, "c")


def test_the_key_follows_settings_start_data_and_nothing_else():
    config = TrainConfig(scheme="ml_clap")
    other = config.replace(epochs=7)
    key = results.key_of(config, None, "x")
    assert results.key_of(other, None, "x") != key
    assert results.key_of(config, other, "x") != key
    assert results.key_of(config, None, "y") != key
    elsewhere = config.replace(data="elsewhere")
    assert results.key_of(elsewhere, None, "x") == key


@pytest.mark.parametrize(
    "name, measure",
    [("mrv", evaluation.mean_rank_variance), ("rank_std", evaluation.mean_rank_std)],
)
def test_measures_are_those_of_the_evaluation(name, measure):
    generator = np.random.default_rng(1)
    ranks = generator.integers(1, 9, size=(3, 60, 8))
    of_seeds = [measure(one) for one in ranks]
    found = MEASURES[name](ranks)
    assert found.mean(axis=1) == approx(of_seeds)


def test_recall_is_a_share_of_ranks_in_percent():
    ranks = np.array([[[1, 2, 3, 1]]])
    assert MEASURES["T2A R@1"](ranks) == 50


def test_the_relative_variance_does_not_see_ranks_that_are_worse_in_all_languages_alike():
    generator = np.random.default_rng(2)
    ranks = generator.integers(1, 50, size=(30, 8))
    runs = [made("one", 0, ranks), made("worse", 0, 3 * ranks)]
    one = results.relative_variance(runs, "one")
    assert one > 0.1
    assert results.relative_variance(runs, "worse") == approx(one)


def labelled(runs, label):
    return [dataclasses.replace(run, label=label) for run in runs]


@pytest.fixture
def calm():
    return [shifted("calm", seed, 1) for seed in range(4)]


@pytest.fixture
def wild():
    return [shifted("wild", seed, 9) for seed in range(4)]


def test_a_contrast_is_the_two_way_interval_of_the_evaluation(calm, wild):
    runs = calm + wild
    left = MEASURES["mrv"](results.ranks_of(runs, "calm"))
    right = MEASURES["mrv"](results.ranks_of(runs, "wild"))
    found = contrasts.contrast(runs, "calm", "wild", "mrv")
    assert found == two_way_interval(left, right)
    with pytest.raises(ResultsError, match="not the same seeds and captions"):
        contrasts.contrast(runs[:-1], "calm", "wild", "mrv")


def test_verdicts_hold_are_refuted_or_stay_open(tmp_path, calm, wild):
    results.write("study", calm + wild + labelled(calm, "calm too"), tmp_path)
    expected = {
        ("calm", "wild"): "held",
        ("wild", "calm"): "refuted",
        ("calm", "calm too"): "open",
    }
    said = []
    for better, worse in expected:
        for measure in MEASURES:
            one = {"study": "study", "better": better, "worse": worse, "measure": measure}
            said.append(one)
    storage.write_json(tmp_path / "predictions.json", {"predictions": said})
    storage.write_json(tmp_path / shared_sounds.NAME, {"scenes": {}, "data": {}})
    table = contrasts.verdicts("study", tmp_path)
    for row in table.itertuples():
        assert row.verdict == expected[row.better, row.worse]
    mrv = table.iloc[0]
    assert mrv.low < mrv.difference < mrv.high < 0
    assert mrv.effect < -2
    counted = contrasts.tally(tmp_path)
    study = counted.loc["study"]
    assert study.predictions == 9
    for kind in ("held", "open", "refuted", "wrong side", "Holm"):
        assert study[kind] == 3, kind
    assert pd.isna(study["first held"])
    assert counted.loc["all"].held == 3


@pytest.mark.parametrize("part", contrasts.PARTS)
def test_parts_of_disagreement_are_predicted_like_measures(part, calm):
    runs = calm + labelled(calm, "same")
    assert contrasts.contrast(runs, "calm", "same", part).difference == 0
    assert np.isnan(contrasts.effect_size(runs, "calm", "same", part))


def test_holm_corrects_as_he_did():
    single = pd.Series([0.04, 0.01, 0.03], index=["a", "b", "c"])
    p = contrasts.holm(single)
    assert list(p.index) == ["b", "c", "a"]  # aligned by label where it is used
    assert p.tolist() == approx([0.03, 0.06, 0.06])


@pytest.mark.parametrize("part", contrasts.PARTS)
@pytest.mark.parametrize("seeds", [3, 8])
def test_the_interval_of_a_part_holds_zero_for_two_sets_of_seeds_of_one_scheme(part, seeds):
    stored = results.read("folder_new")
    ranks = results.ranks_of(stored, "ML-CLAP")[:, :300]
    generator = np.random.default_rng(1)
    held = []
    for _ in range(200):
        order = generator.permutation(len(ranks))
        left = split.pseudo_values(ranks[order[:seeds]], part)
        right = split.pseudo_values(ranks[order[seeds : 2 * seeds]], part)
        found = two_way_interval(left, right)
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("seeds", [3, 8, 32])
def test_the_interval_covers_as_it_says_on_stored_residuals(measure, seeds):
    """Tables of differences about a mean of 0 whose sounds, captions and rest are those of stored
    runs.
    """
    runs = results.read("fresh_8")
    left, right = contrasts.values_of(runs, "KCL", "ML-CLAP", measure)
    groups = shared_sounds.groups(runs[0].data)
    difference = left - right
    table = difference - difference.mean()
    stored, captions = table.shape
    by_seed = table.mean(axis=1)
    by_caption = table.mean(axis=0)
    rest = table - by_seed[:, None] - by_caption
    freedom = (stored - 1) * (captions - 1)
    of_rest = np.square(rest).sum() / freedom
    of_seeds = by_seed.var(ddof=1) - of_rest / captions
    spread = np.sqrt(max(0.0, of_seeds))
    of_captions = by_caption.var(ddof=1) - of_rest / stored
    kept = max(0.0, of_captions) / by_caption.var()
    shrink = np.sqrt(kept)
    by_sound, *_ = np.linalg.lstsq(groups.astype(float), by_caption, rcond=None)
    alone = by_caption - groups @ by_sound
    by_sound -= by_sound.mean()
    generator = np.random.default_rng(seeds)
    held = []
    for _ in range(600):
        of_sounds = groups @ generator.choice(by_sound, len(by_sound))
        of_caption = of_sounds + generator.choice(alone, captions)
        row = generator.integers(stored, size=(seeds, captions))
        cells = rest[row, np.arange(captions)]
        of_seed = generator.normal(0, spread, (seeds, 1))
        values = of_seed + shrink * of_caption + cells
        found = two_way_interval(values, np.zeros_like(values), groups)
        held.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(held) <= 0.975


def test_a_contrast_counts_the_sounds_that_scenes_share(monkeypatch):
    """Forty scenes ten times over are forty observations, not four hundred."""
    runs = results.read("fresh_8")
    rows = np.repeat(np.arange(40), 10)
    repeated = [dataclasses.replace(run, ranks=run.ranks[rows]) for run in runs]
    shared = rows[:, None] == np.arange(40)
    monkeypatch.setattr(shared_sounds, "groups", lambda data, folder: shared)
    asked = repeated, "KCL", "ML-CLAP", "stable"
    together = contrasts.contrast(*asked)
    alone = two_way_interval(*contrasts.values_of(*asked))
    assert together.difference == alone.difference
    width = alone.high - alone.low
    assert together.high - together.low > 1.5 * width


@pytest.mark.parametrize("study", registry.STUDIES)
def test_the_sounds_of_every_stored_run_are_known(study):
    for result in results.read(study):
        groups = shared_sounds.groups(result.data)
        assert groups is not None, result.label
        assert len(groups) == len(result.ranks), result.label


@pytest.mark.parametrize("study", ["dose_16", "fresh_8", "towers", "phrasing", "cures_unseen"])
def test_the_noted_sounds_are_those_of_the_scenes(study):
    try:
        default_bank()
    except BankUnavailable as reason:
        pytest.skip(str(reason))
    first, *_ = registry.STUDIES[study]()
    sounds = [recipe.items for recipe in shared_sounds.recipes_of(first)]
    held = shared_sounds.as_groups(sounds)
    *_, last = results.read(study)
    noted = shared_sounds.groups(last.data)
    assert (held == noted).all()


def test_sounds_are_noted_beside_what_is_there_and_damage_is_named(tmp_path, monkeypatch):
    scenes = [SimpleNamespace(items=(0, 2)), SimpleNamespace(items=(1,))]
    monkeypatch.setattr(shared_sounds, "recipes_of", lambda item: scenes)
    shared_sounds.note(None, ["one"], tmp_path)
    shared_sounds.note(None, ["two"], tmp_path)
    for data in ("one", "two"):
        found = shared_sounds.groups(data, tmp_path)
        assert found.tolist() == [[True, False, True], [False, True, False]]
    assert shared_sounds.groups("three", tmp_path) is None
    (tmp_path / shared_sounds.NAME).write_text("{}")
    shared_sounds.groups.cache_clear()
    advice = r"sounds.json: missing or damaged .*; restore the file"
    with pytest.raises(ResultsError, match=advice):
        shared_sounds.groups("one", tmp_path)


def test_the_first_verdicts_are_those_of_the_committed_predictions():
    predictions = contrasts.read_predictions()
    predicted = collections.Counter(said["study"] for said in predictions)
    del predicted["unseen"]  # its predictions never had another interval
    every = set()
    first = contrasts.first_verdicts()
    for study, verdicts in first.items():
        assert len(verdicts) == predicted.pop(study), study
        every |= set(verdicts)
    assert not predicted
    assert every == {"held", "open", "refuted"}


@pytest.mark.parametrize("study", registry.STUDIES)
def test_every_study_names_its_runs_once_and_every_prediction_has_them(study):
    items = registry.STUDIES[study]()
    names = {(item.label, item.config.seed) for item in items}
    assert len(names) == len(items)
    labels = {item.label for item in items}
    for said in contrasts.read_predictions():
        if said["study"] == study:
            assert {said["better"], said["worse"]} <= labels


def test_every_prediction_is_of_a_study():
    predicted = {said["study"] for said in contrasts.read_predictions()}
    assert predicted <= set(registry.STUDIES)


def test_a_study_is_computed_resumed_and_recomputed_when_its_runs_change(
    tmp_path, monkeypatch, toy
):
    monkeypatch.setenv("ATRI_CACHE", str(tmp_path / "cache"))
    small = TrainConfig(scheme="ml_clap", epochs=1, batch_size=20, width=8, hidden=16)
    items = [Item("plain", small), Item("after", small.replace(epochs=2), small)]
    monkeypatch.setitem(registry.STUDIES, "toy", lambda: items)
    monkeypatch.setattr(computing, "load_data", lambda config: toy())
    monkeypatch.setattr(computing, "data_checksum", lambda config: toy().checksum)
    monkeypatch.setattr(shared_sounds, "recipes_of", lambda item: [])
    trained = []

    def train_all(configs, data):
        trained.extend(configs)
        return [load_or_train(config, data) for config in configs]

    monkeypatch.setattr(computing, "train_all", train_all)
    computing.compute("toy", tmp_path)
    assert len(trained) == 3
    after, plain = results.read("toy", tmp_path)
    assert [after.label, plain.label] == ["after", "plain"]
    assert after.config.init is None
    assert after.first == small
    assert not np.array_equal(after.ranks, plain.ranks)
    runs = tmp_path / "cache" / "runs"
    weights = list(runs.glob("*/weights.safetensors"))
    assert weights == []  # nothing reads them again
    computing.compute("toy", tmp_path)
    assert len(trained) == 3  # nothing left to do
    items[0] = Item("plain", small.replace(learning_rate=0.5))
    _, missing = computing.status("toy", tmp_path)
    assert missing == items[:1]
    computing.compute("toy", tmp_path)
    assert len(trained) == 4
    kept, _ = results.read("toy", tmp_path)
    assert kept.key == after.key


@pytest.mark.parametrize("study", STORED)
def test_stored_results_fit_recipe_settings_and_the_data_that_they_name(study):
    """Without looking at the data: the next test does, where the commands fetch them."""
    checksums = {(r.label, r.config.seed): r.data for r in results.read(study)}

    def named(item):
        return checksums.get((item.label, item.config.seed), "")

    _, missing = computing.fitting(study, named)
    stale = sorted({item.label for item in missing})
    file = f"studies/rows/{study}.jsonl"
    assert not stale, f"{file} does not fit today's settings: make experiments ({stale})"
    configs = [item.config for item in registry.STUDIES[study]()]
    kinds = {(config.text_encoder, config.parallel_text) for config in configs}
    assert len(set(checksums.values())) == len(kinds)


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
    sizes = [path.stat().st_size for path in results.FOLDER.rglob("*.json*")]
    assert sum(sizes) < 12_000_000
