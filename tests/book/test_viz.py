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
    assert 20_000 < len(viz.small_sound(noise)) <= 30_000


def test_sound_is_embedded_only_where_the_book_is_built(monkeypatch):
    monkeypatch.delenv("ATRI_PLAYERS", raising=False)
    assert "base64" not in viz.player(TONE, "a tone").forms["text/html"]
    monkeypatch.setenv("ATRI_PLAYERS", "1")
    assert "data:audio/mpeg;base64" in viz.player(TONE, "a tone").forms["text/html"]


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


@pytest.mark.parametrize("samples, message", [(0, "empty"), (16_000 * 120, "play a shorter clip")])
def test_what_cannot_be_played_is_refused(samples, message):
    noise = np.random.default_rng(0).normal(size=samples).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        viz.small_sound(noise)


def test_every_scheme_has_a_look_of_its_own():
    for look in (viz.SCHEME_NAMES, viz.SCHEME_COLOURS, viz.MARKERS):
        assert len(set(look.values())) == len(SCHEMES)
