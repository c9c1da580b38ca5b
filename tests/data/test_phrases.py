"""Captions: every layout in every language with three phrasings, cased, spaced and punctuated as
that language does.
"""

import itertools
import re

import pytest

from atri_lib.data.phrases import FAR, NEAR, PHRASINGS, TEMPLATES, caption
from atri_lib.languages import CODES

NAMES = {
    "eng": ("a dog", "a rooster", "an owl"), "fra": ("un chien", "un coq", "un hibou"),
    "deu": ("ein Hund", "ein Hahn", "eine Eule"), "spa": ("un perro", "un gallo", "una lechuza"),
    "nld": ("een hond", "een haan", "een uil"), "cat": ("un gos", "un gall", "un mussol"),
    "jpn": ("イヌ", "おんどり", "フクロウ"), "zho": ("狗", "公鸡", "猫头鹰"),
}  # fmt: skip
LAYOUTS = (("single", 1), ("repeated", 1), ("sequence", 2), ("sequence", 3), ("together", 2))
LAID_OUT = [by_code for by_code in TEMPLATES.values() if by_code not in (FAR, NEAR)]
ALL = [
    (layout, count, phrasing, far, code)
    for layout, count in LAYOUTS
    for phrasing in range(PHRASINGS)
    for far in itertools.product((False, True), repeat=count)
    for code in CODES
]


def test_every_layout_has_three_phrasings_in_eight_languages():
    for by_code in LAID_OUT:
        assert set(by_code) == set(CODES)
        assert all(len(set(phrasings)) == PHRASINGS == 3 for phrasings in by_code.values())


@pytest.mark.parametrize("code", CODES)
def test_sentences_are_cased_spaced_and_punctuated(code):
    for layout, count, phrasing, far, _ in (entry for entry in ALL if entry[-1] == code):
        sentence = caption(layout, NAMES[code][:count], far, phrasing, code)
        assert all(name.lower() in sentence.lower() for name in NAMES[code][:count]), sentence
        assert (
            sentence[0] == sentence[0].upper()
            and "  " not in sentence
            and sentence == sentence.strip()
        )
        if code in ("jpn", "zho"):
            assert (
                sentence.endswith("。") and " " not in sentence and not re.search("[.,:]", sentence)
            ), sentence
        else:
            assert sentence.endswith(".") and sentence.count(".") == 1, sentence
        if code == "deu":
            assert "Hund" in sentence and not re.search(r"\w,? (Ein|Eine) ", sentence), sentence
        elif code in ("eng", "fra", "spa", "nld", "cat"):
            assert not re.search(r"[a-z,] (A|An|Un|Una|Een) ", sentence), sentence


@pytest.mark.parametrize("code", CODES)
def test_what_differs_in_the_recipe_differs_in_the_caption(code):
    sentences = [
        caption(layout, NAMES[code][:count], far, 0, code)
        for layout, count in LAYOUTS
        for far in itertools.product((False, True), repeat=count)
    ]
    assert len(set(sentences)) == len(sentences)


def test_an_unknown_layout_is_refused():
    with pytest.raises(KeyError):
        caption("backwards", NAMES["eng"][:1], (False,), 0, "eng")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hielo", " y hielo"),
        ("hierba", " y hierba"),
        ("hilo", " e hilo"),
        ("insectos", " e insectos"),
    ],
)
def test_spanish_y_becomes_e_before_the_sound_i_alone(name, said):
    assert said in caption("together", ("un rey", name), (False, False), 0, "spa")


@pytest.mark.parametrize(("code", "word"), [("eng", "sound"), ("jpn", "音"), ("zho", "的声音")])
def test_no_template_hangs_the_word_sound_on_a_name(code, word):
    """A name may itself be one ("a rising tone"): the Chinese for "the sound of the sound of rain"
    is not a caption.
    """
    templates = [text for by_code in LAID_OUT for text in by_code[code]]
    assert not any(re.search(rf"{word} of \{{|\}}の?{word}", text) for text in templates)
