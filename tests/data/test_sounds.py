"""Every bank keeps the contract of Sound; levels, trimming, and the fallback to synthetic
sounds.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atri_lib.audio import SAMPLE_RATE
from atri_lib.data import banks, recorded
from atri_lib.data.banks import BOOK, default_bank
from atri_lib.data.items import Bank, BankUnavailable
from atri_lib.data.recorded import levelled, recorded_sounds, trimmed
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.languages import CODES

ARTICLES = {
    "eng": ("a", "an"),
    "fra": ("un", "une"),
    "deu": ("ein", "eine"),
    "spa": ("un", "una"),
    "nld": ("een",),
    "cat": ("un", "una"),
}


@pytest.fixture(scope="module", params=["synthetic", "tuxpaint"])
def bank(request):
    if request.param == "synthetic":
        return synthetic_sounds()
    request.getfixturevalue("recordings")
    return recorded_sounds()


def test_every_sound_has_one_name_in_each_of_the_eight_languages(bank):
    assert all(tuple(sound.names) == CODES and all(sound.names.values()) for sound in bank.items)


@pytest.mark.parametrize("code", CODES)
def test_a_name_identifies_its_sound_in_every_language(bank, code):
    names = [sound.names[code].casefold() for sound in bank.items]
    assert sorted(names) == sorted(set(names))


def test_ids_are_unique(bank):
    assert len({sound.id for sound in bank.items}) == len(bank.items)


def test_names_read_inside_a_sentence(bank):
    for name in (name for sound in bank.items for name in sound.names.values()):
        assert (
            name == " ".join(name.split())
            and name[-1].isalpha()
            and not set(name) & set("()（）[]“”«»!！?？。.,")
        )


@pytest.mark.parametrize("code", ARTICLES)
def test_names_begin_with_an_indefinite_article_and_only_german_capitalises_nouns(bank, code):
    for words in (sound.names[code].split() for sound in bank.items):
        assert words[0] in ARTICLES[code], words
        assert code != "deu" or any(word[0].isupper() for word in words[1:]), words
        assert code == "deu" or all(word.islower() or word == "Geiger" for word in words), words


def test_the_english_article_fits_its_noun(bank):
    for article, noun, *_ in (sound.names["eng"].split() for sound in bank.items):
        assert (article == "an") == (noun[0] in "aeiou"), noun


@pytest.mark.parametrize("code", ["jpn", "zho"])
def test_japanese_and_chinese_names_hold_neither_spaces_nor_latin_letters(bank, code):
    assert not any(
        char.isspace() or char.isascii() for sound in bank.items for char in sound.names[code]
    )


def test_waveforms_are_audible_mono_float32_of_sensible_level_and_length(bank):
    for sound in bank.items:
        wave = sound.content
        assert (
            wave.dtype == np.float32
            and wave.ndim == 1
            and 0.15 * SAMPLE_RATE < len(wave) < 11 * SAMPLE_RATE
        )
        assert np.isfinite(wave).all() and 0.1 < np.abs(wave).max() <= 0.951
        window = np.lib.stride_tricks.sliding_window_view(wave, min(len(wave), 6400))[::160]
        loudest = np.sqrt(np.square(window, dtype=np.float64).mean(axis=1).max())
        assert 0.02 < loudest < 0.101, sound.id


def test_the_checksum_follows_waveforms_names_and_ids(bank):
    first, *rest = bank.items
    louder = dataclasses.replace(first, content=first.content + np.float32(2**-15))
    renamed = dataclasses.replace(first, names=first.names | {"cat": "un altre"})
    other_id = dataclasses.replace(first, id="other")
    sums = {
        Bank("one", (variant, *rest)).checksum for variant in (first, louder, renamed, other_id)
    }
    assert bank.checksum in sums and len(sums) == 4


@given(before=st.integers(0, 3000), after=st.integers(0, 3000), seed=st.integers(0, 9))
def test_trimming_removes_silence_and_no_sound(before, after, seed):
    tone = np.random.default_rng(seed).uniform(-1, 1, 4000).astype(np.float32)
    kept = trimmed(np.concatenate([np.zeros(before), tone, np.zeros(after)]))
    assert 4000 <= len(kept) < 4000 + 2 * 320
    assert np.square(kept, dtype=np.float64).sum() == pytest.approx(
        np.square(tone, dtype=np.float64).sum()
    )


@pytest.mark.parametrize(
    "silence", [np.zeros(0, np.float32), np.zeros(5, np.float32), np.full(9000, 1e-5, np.float32)]
)
def test_silence_is_trimmed_to_nothing(silence):
    assert trimmed(silence).size == 0


@given(gain=st.floats(1e-3, 10), length=st.integers(1, 20_000))
def test_levelling_does_not_depend_on_the_gain_of_the_recording(gain, length):
    wave = np.random.default_rng(length).normal(size=length)
    assert np.abs(levelled(wave) - levelled(gain * wave)).max() <= 2**-15


def test_a_click_is_limited_by_its_peak():
    click = np.zeros(8000)
    click[4000] = 1.0
    assert np.abs(levelled(click)).max() == pytest.approx(recorded.PEAK, abs=2**-15)


def test_without_recordings_the_default_bank_is_synthetic_and_says_so_once(monkeypatch, capsys):
    def unavailable():
        raise BankUnavailable("no recordings: do this")

    monkeypatch.setitem(banks.SOUNDS, "recordings", unavailable)
    banks.bank.cache_clear()
    try:
        assert default_bank().name == "synthetic" and default_bank() is default_bank()
    finally:
        banks.bank.cache_clear()
    printed = capsys.readouterr()
    assert (
        printed.err.count("no recordings: do this") == 1
        and "synthetic" in printed.err
        and not printed.out
    )


def test_the_recordings_here_are_the_books(recordings):
    """After a name was changed: its checksum goes to `recorded.BOOK`."""
    assert recorded_sounds().name == BOOK
