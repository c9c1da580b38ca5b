"""Names beside those of the CLDR."""

from types import SimpleNamespace

import numpy as np
import pytest

from atri_lib.data.banks import BOOK, default_bank
from atri_lib.data.items import BankUnavailable, Item
from atri_lib.data.scenes import make_scenes
from atri_lib.languages import CODES
from studies.cldr_names import (
    CldrNames,
    bare,
    committed,
    compared,
    verdicts,
    with_cldr_names,
)
from studies.unseen_sounds import SomeSounds


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
    assert bare(name, code) == expected


def test_only_sounds_with_an_emoji_are_compared_and_differences_are_seen():
    duck = dict.fromkeys(CODES, "Ente") | {"eng": "duck"}
    bank = SimpleNamespace(items=(SimpleNamespace(names=duck),))
    ours = dict.fromkeys(CODES, "ente") | {"eng": "a duck", "fra": "un canard"}
    bell = dict.fromkeys(CODES, "ding") | {"eng": "a bell"}
    table = compared([ours, bell], bank)
    assert list(table.name) == ["duck"] * (len(CODES) - 1)
    assert list(table.language[~table.same]) == ["fra"]
    assert compared([bell], bank).empty


def test_names_that_are_not_the_cldrs_are_replaced_with_an_article_and_no_others():
    owl = dict.fromkeys(CODES, "owl") | {"eng": "an owl", "fra": "un hibou", "deu": "eine Eule"}
    frog = dict.fromkeys(CODES, "frog") | {"eng": "a frog"}
    sounds = tuple(
        Item(names["eng"], np.zeros(1, np.float32), names, "here", "none") for names in (owl, frog)
    )
    vetted = dict.fromkeys(CODES, "owl") | {"fra": "chouette", "deu": "Eule"}
    emoji = SimpleNamespace(items=(SimpleNamespace(names=vetted),))
    ours = SomeSounds("ours", sounds, "")
    theirs = with_cldr_names(ours, emoji)
    assert theirs.items[0].names == owl | {"fra": "une chouette"}
    assert theirs.items[1].names == frog


def test_the_scenes_are_those_of_the_book_with_the_committed_names():
    try:
        mine = make_scenes(default_bank(), seed=1)["test"]
        scenes = CldrNames("test", "1")
    except BankUnavailable as reason:
        pytest.skip(str(reason))
    if default_bank().name != BOOK or "drawn" in scenes.origin:
        pytest.skip("the book's recordings or the CLDR cannot be had on this machine")
    assert scenes.recipes == mine.recipes
    assert (scenes.clip(3) == mine.clip(3)).all()
    pairs = zip(default_bank().items, scenes.bank.items, strict=True)
    renamed = [number for number, (ours, theirs) in enumerate(pairs) if ours.names != theirs.names]
    assert renamed == committed()["renamed sounds"]


def test_the_committed_limits_are_judged():
    assert dict(verdicts().verdict.value_counts()) == {"held": 4, "refuted": 1}
