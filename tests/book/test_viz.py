"""Figures and players: sounds within their size, embedded only where the book is built, text safe
in HTML.
"""

import numpy as np
import pytest

from atri_lib.schemes import SCHEMES
from book import viz

TONE = 0.3 * np.sin(np.arange(80_000) / 10).astype(np.float32)


def test_five_seconds_of_noise_fit_thirty_kilobytes():
    noise = np.random.default_rng(0).normal(size=80_000).astype(np.float32) * 0.2
    assert 20_000 < len(viz.mp3(noise, viz.RATE, viz.LEVEL)) <= 30_000


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
