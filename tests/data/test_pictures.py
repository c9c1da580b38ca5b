"""Pictures and their scenes: names, splits, where things stand, and what takes their place."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from atri_lib.data import banks, pictures
from atri_lib.data.items import BankUnavailable, bank_of
from atri_lib.data.phrases import PHRASINGS, PICTURES, TEMPLATES, caption
from atri_lib.data.picture_scenes import NAMES, PictureScenes
from atri_lib.data.pictures import cut_out, drawn
from atri_lib.languages import CODES, LANGUAGES
from atri_lib.training import TrainConfig
from atri_lib.training.datasets import are_pictures, load_datasets

SIZES = {"train": 150, "val": 20, "test": 40}


def compose(bank, sizes, seed, apart=False):
    return {split: PictureScenes(bank, size, seed, split, apart) for split, size in sizes.items()}


@pytest.fixture(scope="module")
def scenes():
    return compose(drawn(), SIZES, seed=0)


def test_a_bank_leaves_out_what_has_no_name_a_long_one_or_anothers():
    names = {
        thing: dict.fromkeys(CODES, thing) for thing in ("a frog", "a newt", "A FROG", "x" * 41)
    }
    names["a toad"] = dict.fromkeys(CODES[1:], "a toad")
    bank = bank_of("few", names, lambda name: np.ones(3), "test")
    assert [thing.id for thing in bank.items] == ["a frog", "a newt"]
    assert bank.left_out == {
        "A FROG": "another has the name 'a frog'",
        "x" * 41: "a name of more than 40 characters",
        "a toad": "no caption in eng",
    }


def test_the_drawn_shapes_differ_in_names_and_in_pixels():
    bank = drawn()
    assert len(bank.items) == 36
    pixels = {shape.content.tobytes() for shape in bank.items}
    assert len(pixels) == 36


def test_the_phrases_are_those_of_sounds_in_number_and_differ():
    assert set(PICTURES) == set(TEMPLATES)
    for layout, by_code in PICTURES.items():
        assert set(by_code) == set(CODES), layout
        if layout not in ("far", "near"):
            assert all(len(set(texts)) == PHRASINGS for texts in by_code.values()), layout


@pytest.mark.parametrize("code", CODES)
def test_every_name_and_size_is_said_in_its_order(code):
    for phrasing, far in itertools.product(range(3), itertools.product((False, True), repeat=3)):
        said = caption("sequence", ["Aa", "Bb", "Cc"], far, phrasing, code, PICTURES)
        assert said.find("Aa") < said.find("Bb") < said.find("Cc")
        assert said[0] == said[0].upper() and "  " not in said


def combinations(split):
    return set().union(*(recipe.combinations for recipe in split.recipes))


def heard(split):
    return {number for recipe in split.recipes for number in recipe.items}


def test_splits_share_no_combination_or_no_picture_at_all(scenes):
    for one, other in itertools.combinations(scenes.values(), 2):
        assert not combinations(one) & combinations(other)
        assert heard(one) & heard(other)
    apart = compose(drawn(), {"train": 50, "val": 5, "test": 10}, seed=0, apart=True)
    for one, other in itertools.combinations(apart.values(), 2):
        assert not heard(one) & heard(other)


def test_scenes_are_the_same_again_and_others_with_another_seed(scenes):
    again = compose(drawn(), SIZES, seed=0)["test"]
    assert again.checksum == scenes["test"].checksum
    np.testing.assert_array_equal(again.clip(7), scenes["test"].clip(7))
    assert compose(drawn(), SIZES, seed=1)["test"].checksum != again.checksum


def test_a_scene_shows_what_its_caption_says(scenes):
    """The darkest columns (rows) of a shape's colour stand in the order of the recipe."""
    black = [i for i, p in enumerate(drawn().items) if p.id.endswith("black")]
    found = 0
    for index, recipe in enumerate(scenes["train"].recipes):
        place = [number in black for number in recipe.items]
        if recipe.layout not in ("sequence", "together") or sum(place) != 1:
            continue
        dark = np.argwhere(scenes["train"].clip(index).max(-1) < 60)
        row, column = dark.mean(0)
        along = row if recipe.layout == "together" else column
        assert int(along * len(place) / 224) == place.index(True)
        found += 1
    assert found > 5


def saved(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file


def test_a_picture_is_cut_to_what_shows_and_keeps_its_shape():
    image = Image.new("RGBA", (300, 200))
    image.paste((255, 0, 0, 255), (100, 50, 200, 100))  # 100 wide, 50 high
    pixels = cut_out(saved(image))
    shown = np.argwhere(pixels[..., 3] > 128)
    assert pixels.shape == (128, 128, 4)
    assert np.ptp(shown, axis=0).tolist() == [63, 127]
    assert cut_out(saved(Image.new("P", (20, 10)))).shape == (128, 128, 4)


def test_where_no_package_can_be_had_drawn_shapes_take_the_place_with_a_notice(monkeypatch, capsys):
    def unavailable():
        raise BankUnavailable("no apt-get")

    monkeypatch.setitem(banks.PICTURES, "stamps", unavailable)
    banks.bank.cache_clear()
    try:
        assert banks.bank("stamps") is drawn()
    finally:
        banks.bank.cache_clear()
    assert "no apt-get\nContinuing with drawn shapes" in capsys.readouterr().err


def test_data_are_named_pictures_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(banks, "bank", lambda name: drawn())
    config = TrainConfig(data="pictures", scenes=(20, 5, 5))
    assert {len(split) for split in load_datasets(config).values()} == {20, 5}
    assert all(map(are_pictures, NAMES)) and not are_pictures(None)
    (tmp_path / "pictures").mkdir()
    assert not are_pictures("pictures")


def test_too_many_scenes_are_refused():
    with pytest.raises(ValueError, match="36 sounds give only"):
        compose(drawn(), {"val": 10**6}, seed=0)


def test_names_come_from_the_tables_of_all_languages(tmp_path):
    entry = '<ldml><annotations><annotation cp="{}" type="tts">{}</annotation></annotations></ldml>'
    for language in LANGUAGES:
        character = "\U0001f993" if language.code != "zho" else "→"
        table = tmp_path / f"{language.locale[:2]}.xml"
        table.write_text(entry.format(character, f"zebra {language.code}"))
    found = pictures.annotations(tmp_path)
    assert found == {"\U0001f993": {code: f"zebra {code}" for code in CODES if code != "zho"}}
