"""Scenes to search: which are chosen, what is written of them, and what a browser finds in it."""

import dataclasses
import io
import json
import re
import shutil
import types

import numpy as np
import pytest
import soundfile
import torch
from headless import loaded, needs_browser
from small_chapters import ROOT

from atri_lib.data.dataset import Dataset
from atri_lib.data.phrases import caption
from atri_lib.data.recipes import Recipe
from atri_lib.languages import CODES, LANGUAGES
from atri_lib.training import TrainConfig
from book import search_page
from book.sounds import mp3

NAMES = {
    "eng": ["a rooster", "a dog", "a cat", "a horse", "a bell", "a train"],
    "fra": ["un coq", "un chien", "un chat", "un cheval", "une cloche", "un train"],
    "deu": ["ein Hahn", "ein Hund", "eine Katze", "ein Pferd", "eine Glocke", "ein Zug"],
    "spa": ["un gallo", "un perro", "un gato", "un caballo", "una campana", "un tren"],
    "nld": ["een haan", "een hond", "een kat", "een paard", "een klok", "een trein"],
    "cat": ["un gall", "un gos", "un gat", "un cavall", "una campana", "un tren"],
    "jpn": ["雄鶏", "犬", "猫", "馬", "鐘", "電車"],
    "zho": ["公鸡", "狗", "猫", "马", "钟", "火车"],
}
WORDS = {
    "eng": "rooster cat",
    "fra": "coq chat",
    "deu": "Hahn Katze",
    "spa": "gallo gato",
    "nld": "haan kat",
    "cat": "gall gat",
    "jpn": "雄鶏 猫",
    "zho": "公鸡和猫",
}
PAIRS = [(a, b) for a in range(6) for b in range(6) if a < b]
EXPECTED = PAIRS.index((0, 2))
SCHEMES = {  # run -> noise in its texts
    "ml_clap": 3.0,
    "balanced": 2.0,
    "cacl": 1.0,
    "kcl": 0.0,
    "aligned": 0.1,
}
BUILT = ROOT / "_build" / "scenes"


class Toy(Dataset):
    """Fifteen scenes of a second, a pair of sounds in each."""

    recipes = tuple(Recipe("sequence", pair, (False, False), 0) for pair in PAIRS)
    captions = tuple(
        {
            code: (caption("sequence", [names[a], names[b]], (False, False), 0, code),)
            for code, names in NAMES.items()
        }
        for a, b in PAIRS
    )
    ids = tuple(map(str, range(len(PAIRS))))

    def clip(self, index):
        return (0.1 * np.sin(np.arange(16_000) * (index + 1) / 20)).astype(np.float32)


def knows_all_but(strange):
    def unknown(sentences, code):
        return [[c for c in sentence if c in strange] for sentence in sentences]

    return types.SimpleNamespace(unknown_pieces=unknown)


def embeddings(noise, seed=0):
    generator = np.random.default_rng(seed)
    audio = generator.normal(size=(len(PAIRS), 16))
    texts = audio[:, None] + noise * generator.normal(size=(len(PAIRS), 8, 16))
    return (
        torch.from_numpy(x / np.linalg.norm(x, axis=-1, keepdims=True)).float()
        for x in (audio, texts)
    )


@pytest.fixture(scope="module")
def answered():
    return {
        name: search_page.answers(*embeddings(noise), np.arange(len(PAIRS)))
        for name, noise in SCHEMES.items()
    }


@pytest.fixture(scope="module")
def scenes(answered, tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "_static" / "search"
    shutil.copytree(ROOT / "book" / "_static" / "search", folder)
    written = folder.parent / "written"
    search_page.write(written, Toy(), answered, knows_all_but("鸬鷀"))
    shutil.copytree(written, folder, dirs_exist_ok=True)
    shutil.copy(ROOT / "book" / "_static" / "eight_ranks.png", folder.parent)
    return folder


def assigned(path):
    """The value that a script assigns to a global, and the global's name."""
    name, text = re.fullmatch(
        r"window\.(\w+) = (.*);\n", path.read_text(encoding="utf-8"), re.S
    ).groups()
    return name, json.loads(text)


def unpacked(numbers, *shape):
    return np.array(numbers).reshape(shape)


def test_a_scene_is_the_only_answer_when_no_other_holds_its_sounds():
    recipes = [
        Recipe("sequence", sounds, (False,) * len(sounds), 0)
        for sounds in ((0, 1), (1, 0, 2), (3,), (2, 4))
    ]
    assert search_page.only_answer(tuple(recipes)).tolist() == [False, True, True, True]


def test_a_fair_scene_is_found_by_some_language_and_read_whole():
    ranks = np.full((len(PAIRS), 8), 2)
    ranks[[0, 3, 4], 5] = 1
    fair = search_page.fair_scenes(
        Toy(), ranks, knows_all_but("鐘")
    )  # a bell, in Japanese: of the pair (0, 4)
    assert PAIRS[3] == (0, 4) and np.flatnonzero(fair).tolist() == [0, 4]


def test_the_promised_query_has_nine_tenths_of_the_fair_ones_below_it():
    ranks = np.ones((30, 8), int)
    ranks[:, 3] += np.random.default_rng(0).permutation(30)  # disagreement grows with it
    fair = np.arange(30) % 3 != 0
    below = ranks[fair].std(axis=1) < ranks[search_page.promised_query(ranks, fair)].std()
    assert below.sum() == int(0.9 * (fair.sum() - 1))
    assert fair[search_page.promised_query(ranks, fair)]
    assert ranks[search_page.promised_query(ranks, np.zeros(30, bool)), 3] == 1 + int(0.9 * 29)


def test_answers_are_those_of_sorting_all_clips(answered):
    audio, texts = (x.double().numpy() for x in embeddings(SCHEMES["ml_clap"]))
    ranks, found = answered["ml_clap"]
    for scene in range(len(PAIRS)):
        for k in range(8):
            order = np.argsort(-audio @ texts[scene, k])
            assert order[:5].tolist() == found[scene, k].tolist()
            assert order.tolist().index(scene) + 1 == ranks[scene, k]
    assert answered["kcl"][0].max() == 1 < ranks.max()


def test_shares_of_the_first_page_add_up():
    ranks = np.array([[1, 10], [10, 11], [11, 500], [3, 4]])
    assert search_page.page_shares(ranks) == [0.5, 0.25, 0.25]


def test_clips_are_played_in_the_order_of_how_often_they_are_found():
    found = np.array([[2, 2, 1], [1, 1, 4]])
    assert search_page.playing_order(found, 3, 6).tolist() == [3, 1, 2, 4, 0, 5]


def test_characters_are_known_as_the_encoder_knows_them():
    known = search_page.known_characters(knows_all_but("é鸬"))
    assert [character in known for character in "aé犬鸬ー \n"] == [
        True,
        False,
        True,
        False,
        True,
    ] + [False] * 2


def test_a_sound_comes_back_from_mp3_as_it_was_and_small():
    wave = Toy().clip(3)
    data = mp3(wave, 16_000, search_page.QUIETEST)
    heard, rate = soundfile.read(io.BytesIO(data))
    assert rate == 16_000 and len(data) < 3_500
    similar = np.correlate(np.pad(heard, 3000), wave, "valid").max() / (
        np.linalg.norm(heard) * np.linalg.norm(wave)
    )
    assert similar > 0.9


def test_what_is_written_holds_every_answer(scenes, answered):
    name, data = assigned(scenes / "scenes.js")
    assert name == "ATRI_SCENES" and data["clips"] == len(PAIRS) and data["silent"] == []
    assert [entry["code"] for entry in data["languages"]] == list(CODES)
    assert data["captions"] == [Toy().sentences(code) for code in CODES]
    assert np.array_equal(
        unpacked(data["ranks"], 5, -1, 8), np.stack([ranks for ranks, _ in answered.values()])
    )
    assert np.array_equal(
        unpacked(data["found"], 5, -1, 8, 5), np.stack([found for _, found in answered.values()])
    )
    name, summary = assigned(scenes / "summary.js")
    assert name == "ATRI_SUMMARY" and summary["promised"] == summary["clip"] == data["promised"]
    assert summary["ranks"][0] == answered["ml_clap"][0][summary["promised"]].tolist()
    names = [[scheme["name"] for scheme in one["schemes"]] for one in (data, summary)]
    assert names == [list(SCHEMES), list(SCHEMES)[:4]]
    assert len(summary["ranks"]) == len(summary["found"]) == 4
    assert sorted(path.name for path in (scenes / "sounds").iterdir()) == sorted(
        f"{i}.mp3" for i in range(len(PAIRS))
    )


def test_runs_of_one_scheme_differ_in_name_and_look():
    asked = search_page.configs(TrainConfig.for_profile("book"))
    assert list(asked) == list(SCHEMES)
    assert asked["balanced"].replace(alignment="ridge") == asked["aligned"]
    for key in ("label", "colour"):
        assert len({search_page.LOOKS[name][key] for name in asked}) == len(SCHEMES)


def test_no_run_is_aligned_where_the_text_encoder_is_trained():
    asked = search_page.configs(TrainConfig.for_profile("paper"))
    assert list(asked) == list(SCHEMES)[:4]


def test_the_clips_found_most_often_have_sounds_and_the_others_are_named(
    tmp_path, answered, monkeypatch
):
    monkeypatch.setattr(search_page, "PLAYED", 3)
    search_page.write(tmp_path / "some", Toy(), answered, knows_all_but(""))
    _, data = assigned(tmp_path / "some" / "scenes.js")
    played = {int(path.stem) for path in (tmp_path / "some" / "sounds").iterdir()}
    assert len(played) == 3 and len(data["silent"]) == len(PAIRS) - 3
    assert played.isdisjoint(data["silent"])
    assert data["promised"] in played


# In a browser: the parts of the pages that are HTML, beside the scripts, as a site holds them.

ASK = """
const errors = [];
addEventListener("error", (event) => {
  errors.push(event.message || "not loaded: " + event.target.src);
}, true);
addEventListener("load", () => {
  const told = document.createElement("script");
  told.type = "application/json";
  told.id = "told";
  told.textContent = JSON.stringify({answers: (ACT)(), errors}).replaceAll("<", "\\\\u003c");
  document.body.append(told);
});
"""
TYPE = """() => Object.fromEntries(Object.entries(WORDS).map(([code, words]) => {
  const box = document.getElementById("atri-words");
  const best = () => document.querySelector(".atri-suggestions li button");
  box.value = words;
  box.dispatchEvent(new Event("input"));
  const scene = +best().dataset.scene;
  best().click();
  const first = [...document.querySelectorAll(".atri-card")].map((card) => [card.dataset.scheme,
    [+card.querySelector("ol li").dataset.clip, +card.querySelector("b").textContent,
     [...card.querySelectorAll(".atri-ladder .atri-number")].map((cell) => +cell.textContent)]]);
  const language = document.getElementById("atri-language").value;
  const heading = document.querySelector("h2 q");
  return [code, {scene, language, lang: heading.lang, first: Object.fromEntries(first)}];
}))"""


def page(name, static, act="() => null", fragment=""):
    """The document that Chromium has made of a page's HTML, and what `act` returned there without
    an error.
    """
    blocks = re.findall(
        r"```\{raw\} html\n(.*?)```",
        (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8"),
        re.S,
    )
    body = "".join(blocks).replace(
        "<!-- seconds -->", '{"01_a": "61.0", "02_b": "60.0", "03_c": "0.0"}'
    )
    body += "".join(
        f'<span data-chapters="{names}">-</span>' for names in ("01_a 02_b", "02_b", "03_c 04_d")
    )
    file = static.parent.parent / "book" / f"{name}.html"
    file.parent.mkdir(exist_ok=True)
    head = f'<meta charset="utf-8"><title>x</title><script>{ASK.replace("ACT", act)}</script>'
    file.write_text(
        f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>',
        encoding="utf-8",
    )
    document = loaded(file, fragment)
    told = json.loads(document.find(id="told").text)
    assert told["errors"] == []
    return document, told["answers"]


@needs_browser
def test_known_words_in_each_language_find_their_clip(scenes, answered):
    act = TYPE.replace("WORDS", json.dumps(WORDS))
    _, told = page("search", scenes, act)
    assert list(told) == list(CODES)
    for k, (code, *_, locale) in enumerate(map(dataclasses.astuple, LANGUAGES)):
        assert (told[code]["scene"], told[code]["language"]) == (EXPECTED, str(k)), code
        assert told[code]["lang"] == locale.replace("_", "-")
        for scheme, (clip, rank, ladder) in told[code]["first"].items():
            ranks, found = answered[scheme]
            assert clip == found[EXPECTED, k, 0] and rank == ranks[EXPECTED, k], (code, scheme)
            assert ladder == ranks[EXPECTED].tolist()
        assert told[code]["first"]["kcl"][0] == EXPECTED


@needs_browser
@pytest.mark.browser  # after the site, whose build makes the scenes
def test_the_promised_scene_of_the_book_is_found_by_its_captions_and_small(tmp_path):
    static = tmp_path / "_static" / "search"
    shutil.copytree(ROOT / "book" / "_static" / "search", static)
    shutil.copytree(BUILT, static, dirs_exist_ok=True)
    _, data = assigned(static / "scenes.js")
    ranks = unpacked(data["ranks"], 5, -1, 8)
    captions = {code: data["captions"][k][data["promised"]] for k, code in enumerate(CODES)}
    _, told = page("search", static, TYPE.replace("WORDS", json.dumps(captions)))
    for k, code in enumerate(CODES):
        assert (told[code]["scene"], told[code]["language"]) == (data["promised"], str(k)), code
        assert told[code]["first"]["kcl"][1:] == [
            ranks[3, data["promised"], k],
            ranks[3, data["promised"]].tolist(),
        ]
    files = [path for path in BUILT.rglob("*.*") if path.is_file() and path.parent.name != "live"]
    assert (
        sum(path.stat().st_size for path in files) < 6e6
        and sum(path.suffix == ".mp3" for path in files) >= 120
    )


@needs_browser
def test_words_that_the_encoder_does_not_know_are_marked(scenes):
    act = """() => ["a 鸬 dog", "a dog", "犬鷀"].map((words) => {
      const box = document.getElementById("atri-words");
      box.value = words;
      box.dispatchEvent(new Event("input"));
      const marks = [...document.querySelectorAll(".atri-suggestions mark")];
      return marks.map((mark) => mark.textContent);
    })"""
    assert page("search", scenes, act)[1] == [["鸬"], [], ["鷀"]]


@needs_browser
def test_scenes_are_sorted_by_disagreement_and_an_address_opens_one(scenes, answered):
    act = """() => ["0", "0-3", "0-"].map((value) => {
      const sort = document.getElementById("atri-sort");
      sort.value = value;
      sort.dispatchEvent(new Event("change"));
      const buttons = [...document.querySelectorAll(".atri-scenes button")];
      return buttons.map((button) => +button.dataset.scene);
    })"""
    document, orders = page("search", scenes, act, f"#scene={EXPECTED}&lang=deu")
    assert document.select_one("h2 q").text == Toy().sentences("deu")[EXPECTED]
    spread = [answered[name][0].std(axis=1) for name in ("ml_clap", "kcl")]
    for order, key in zip(
        orders, (spread[0], spread[0] - spread[1], -np.arange(len(PAIRS))), strict=True
    ):
        assert len(order) == 12 and np.all(np.diff(key[order]) <= 1e-12)
        assert key[order].min() >= np.delete(key, order).max() - 1e-12


@needs_browser
def test_a_box_shows_and_hides_the_run_with_alignment(scenes, answered):
    act = """() => {
      const box = document.getElementById("atri-aligned");
      const sort = document.getElementById("atri-sort");
      const all = (selector) => [...document.querySelectorAll(selector)];
      const see = () => ({
        cards: all(".atri-card").map((card) => card.dataset.scheme),
        sorts: all("#atri-sort option").map((option) => option.value),
        sorted: sort.value,
        scenes: all(".atri-scenes button").map((button) => button.dataset.scene),
      });
      const told = [see()];
      box.click();
      told.push(see());
      sort.value = "4";
      sort.dispatchEvent(new Event("change"));
      const ladder = all("[data-scheme=aligned] .atri-ladder .atri-number");
      const ranks = ladder.map((cell) => +cell.textContent);
      box.click();
      told.push(see());
      return {told, ranks, label: box.labels[0].textContent};
    }"""
    _, seen = page("search", scenes, act, f"#scene={EXPECTED}&lang=fra")
    before, on, after = seen["told"]
    assert before == after and before["cards"] == list(SCHEMES)[:4]
    assert on["cards"] == list(SCHEMES)
    assert set(on["sorts"]) - set(before["sorts"]) == {"4", "0-4"} and on["sorted"] == "0"
    assert seen["ranks"] == answered["aligned"][0][EXPECTED].tolist()
    assert seen["label"] == "Align translations before training (balanced)"


@needs_browser
def test_the_front_page_shows_the_promised_sound_in_eight_languages(scenes):
    document, _ = page("preface", scenes)
    _, data = assigned(scenes / "summary.js")
    rows = document.select("#atri-promise tbody tr")
    assert [row.select_one(".atri-query").text for row in rows] == data["captions"]
    shown = [
        [int(re.match(r"\d+", cell.text)[0]) for cell in row.select(".atri-number")] for row in rows
    ]
    assert shown == [list(pair) for pair in zip(data["ranks"][0], data["ranks"][3], strict=True)]
    assert len(document.select("#atri-result tbody tr")) == 4
    assert [place.text for place in document.select("[data-chapters]")] == [
        "3 minutes",
        "a minute at most",
        "-",
    ]
    assert all(button["aria-label"].startswith("Play: ") for button in document.select("button"))


@needs_browser
@pytest.mark.parametrize("name, place", [("search", "#atri-search"), ("preface", "#atri-promise")])
def test_a_copy_without_scenes_says_how_to_get_them(name, place, tmp_path):
    static = tmp_path / "_static" / "search"
    shutil.copytree(ROOT / "book" / "_static" / "search", static)
    shutil.copy(ROOT / "book" / "_static" / "eight_ranks.png", tmp_path / "_static")
    document, _ = page(name, static)
    assert "make book" in document.select_one(place).text
    assert not document.select("button")


def test_scripts_stay_small_and_ask_no_network():
    scripts = sorted((ROOT / "book" / "_static" / "search").glob("*.js"))
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in scripts) <= 340
    for path in scripts:
        assert not re.search(
            r"https?:|fetch\(|XMLHttpRequest|import ", path.read_text(encoding="utf-8")
        ), path.name
