"""Names beside those of the CLDR."""

from types import SimpleNamespace

import pytest

from atri_lib.languages import CODES
from studies.cldr_names import bare, compared


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
    bank = SimpleNamespace(sounds=(SimpleNamespace(names=duck),))
    ours = dict.fromkeys(CODES, "ente") | {"eng": "a duck", "fra": "un canard"}
    bell = dict.fromkeys(CODES, "ding") | {"eng": "a bell"}
    table = compared([ours, bell], bank)
    assert list(table.name) == ["duck"] * (len(CODES) - 1)
    assert list(table.language[~table.same]) == ["fra"]
    assert compared([bell], bank).empty
