"""Figures and players: sounds within their size, embedded only where the book is built, text safe
in HTML.
"""

import numpy as np
import pytest

from atri_lib.schemes import SCHEMES
from book import viz

TONE = 0.3 * np.sin(np.arange(80_000) / 10).astype(np.float32)


def noise(seconds):
    generator = np.random.default_rng(0)
    return generator.normal(size=int(seconds * viz.RATE)).astype(np.float32) * 0.2


@pytest.mark.parametrize("seconds, least", [(2, 20_000), (5, 20_000), (10, 20_000), (29, 20_000)])
def test_a_sound_has_thirty_kilobytes_at_most_and_the_best_quality_that_fits(seconds, least):
    assert least < len(viz.small_sound(noise(seconds))) <= 30_000


@pytest.mark.parametrize("seconds, message", [(0, "empty"), (60, "30,000 bytes.*shorter")])
def test_a_sound_that_no_player_holds_is_refused(monkeypatch, seconds, message):
    monkeypatch.setenv("ATRI_PLAYERS", "1")
    with pytest.raises(ValueError, match=message):
        viz.players([("a", noise(seconds))])


def test_a_player_without_a_label_is_called_a_sound(monkeypatch):
    monkeypatch.setenv("ATRI_PLAYERS", "1")
    assert 'aria-label="sound, 5.0 s"' in viz.players([("", TONE)]).forms["text/html"]


def test_sound_is_embedded_only_where_the_book_is_built(monkeypatch):
    monkeypatch.delenv("ATRI_PLAYERS", raising=False)
    assert "base64" not in viz.players([("a tone", TONE)]).forms["text/html"]
    monkeypatch.setenv("ATRI_PLAYERS", "1")
    assert "data:audio/mpeg;base64" in viz.players([("a tone", TONE)]).forms["text/html"]


def test_pictures_are_embedded_only_where_the_book_is_built_small_and_described(monkeypatch):
    picture = np.zeros((224, 224, 3), np.uint8)
    monkeypatch.delenv("ATRI_PLAYERS", raising=False)
    assert "base64" not in viz.pictures([("a frog", picture)]).forms["text/html"]
    monkeypatch.setenv("ATRI_PLAYERS", "1")
    page = viz.pictures([("a frog", picture)]).forms["text/html"]
    assert 'alt="a frog" width="128"' in page and len(page) < 20_000


@pytest.mark.parametrize("shown", ["players", "pictures"])
def test_labels_are_escaped(monkeypatch, shown):
    monkeypatch.setenv("ATRI_PLAYERS", "1")
    content = TONE if shown == "players" else np.zeros((8, 8, 3), np.uint8)
    page = getattr(viz, shown)([("<script>", content)]).forms["text/html"]
    assert "&lt;script&gt;" in page and "<script>" not in page


def test_every_scheme_has_a_look_of_its_own():
    for look in (viz.SCHEME_NAMES, viz.SCHEME_COLOURS, viz.MARKERS):
        assert len(set(look.values())) == len(SCHEMES)
