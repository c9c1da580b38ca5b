"""Names beside those of the CLDR."""

from types import SimpleNamespace

import numpy as np
import pytest

from atri_lib.data.banks import BOOK, default_bank
from atri_lib.data.items import Bank, BankUnavailable, Item
from atri_lib.data.scenes import make_scenes
from atri_lib.languages import CODES
from studies import cldr_names
from studies.scene_dataset import SIZES


@pytest.mark.parametrize(
    "name, code, expected",
    [
        ("a Red Apple", "eng", "red apple"),
        ("Eine Ente", "deu", "ente"),
        ("un", "fra", "un"),  # nothing would be left
        ("een eend", "cat", "een eend"),  # another language's article
        ("アヒル", "jpn", "アヒル"),
    ],
)
def test_articles_do_not_count(name, code, expected):
    assert cldr_names.bare(name, code) == expected


def named(everywhere, **others):
    """Names of one sound, alike in all but some languages."""
    return dict.fromkeys(CODES, everywhere) | others


def emoji_of(names):
    picture = SimpleNamespace(names=names)
    return SimpleNamespace(items=(picture,))


def test_only_sounds_with_an_emoji_are_compared_and_differences_are_seen():
    emoji = emoji_of(named("Ente", eng="duck"))
    duck = named("ente", eng="a duck", fra="un canard")
    bell = named("ding", eng="a bell")
    table = cldr_names.compared([duck, bell], emoji)
    assert list(table.name) == ["duck"] * (len(CODES) - 1)
    assert list(table.language[~table.same]) == ["fra"]


def test_names_that_are_not_the_cldrs_are_replaced_with_an_article_and_no_others():
    owl = named("owl", eng="an owl", fra="un hibou", deu="eine Eule")
    frog = named("frog", eng="a frog")
    silence = np.zeros(1, np.float32)
    sounds = [Item(names["eng"], silence, names, "here", "none") for names in (owl, frog)]
    ours = Bank("ours", tuple(sounds))
    emoji = emoji_of(named("owl", fra="chouette", deu="Eule"))
    first, second = cldr_names.with_cldr_names(ours, emoji).items
    assert first.names == owl | {"fra": "une chouette"}
    assert second.names == frog


def test_the_scenes_are_those_of_the_book_with_the_committed_names():
    try:
        bank = default_bank()
        scenes = cldr_names.CldrNames("test", "1")
    except BankUnavailable as reason:
        pytest.skip(str(reason))
    if bank.name != BOOK or "drawn" in scenes.origin:
        pytest.skip("the book's recordings or the CLDR cannot be had on this machine")
    ours = make_scenes(bank, SIZES, seed=1)["test"]
    assert scenes.recipes == ours.recipes
    assert (scenes.clip(3) == ours.clip(3)).all()
    renamed = []
    for number, sound in enumerate(bank.items):
        if scenes.bank.items[number].names != sound.names:
            renamed.append(number)
    assert renamed == cldr_names.committed()["renamed sounds"]


def test_the_committed_limits_are_judged():
    verdicts = cldr_names.verdicts().verdict
    assert dict(verdicts.value_counts()) == {"held": 4, "refuted": 1}
