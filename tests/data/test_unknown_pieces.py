"""No caption of the default data holds a piece that a text encoder does not know; a user's data is
reported.
"""

import itertools

import pytest

from atri_lib.data.phrases import FAR, NEAR, TEMPLATES
from atri_lib.data.recorded import recorded_sounds
from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.data.unknown_pieces import report_unknown, unknown_captions
from atri_lib.encoders import e5, use
from atri_lib.encoders.weights import WeightsError
from atri_lib.languages import CODES

ENCODERS = {"use": (use.MultilingualUSE, use.UNKNOWN), "e5": (e5.E5, e5.UNKNOWN)}


@pytest.fixture(scope="module", params=ENCODERS)
def unknown(request):
    """Which of some sentences hold a piece that the encoder does not know."""
    encoder_class, piece = ENCODERS[request.param]
    try:
        encoder = encoder_class.pretrained()
    except WeightsError as error:
        pytest.skip(str(error))

    def holding(sentences: list[str], code: str) -> list[str]:
        tokens = encoder.tokenize(sentences, code)
        rows = (tokens["ids"] == piece) & tokens["mask"]
        return [sentence for sentence, row in zip(sentences, rows, strict=True) if row.any()]

    return holding


@pytest.fixture(scope="module", params=["synthetic", "tuxpaint"])
def bank(request):
    if request.param == "synthetic":
        return synthetic_sounds()
    request.getfixturevalue("recordings")
    return recorded_sounds()


@pytest.mark.parametrize("code", CODES)
def test_no_name_in_any_template_holds_an_unknown_piece(bank, unknown, code):
    layouts = [by_code for by_code in TEMPLATES.values() if by_code not in (FAR, NEAR)]
    templates = [template for by_code in layouts for template in by_code[code]]
    names = [
        pattern.format(sound.names[code])
        for sound in bank.items
        for pattern in ("{}", FAR[code], NEAR[code])
    ]
    sentences = [
        template.format(*[name] * 3) for template, name in itertools.product(templates, names)
    ]
    assert unknown(names, code) == [] and unknown(sentences, code) == []


def test_names_that_the_encoders_do_not_know_are_found(unknown):
    assert unknown(["一只乌鸫", "狗"], "zho") == [
        "一只乌鸫"
    ]  # the blackbird of the package's captions


class Stub:
    """Knows lower-case ASCII."""

    def unknown_pieces(self, sentences, language):
        return [[piece for piece in sentence.split() if not (piece.isascii() and piece.islower())]
                for sentence in sentences]  # fmt: skip


def dataset(text):
    made = make_scenes(synthetic_sounds(), {"test": 4})["test"]
    captions = tuple(
        {code: (f"a {code}",) for code in CODES} | {"zho": (text.format(i),)} for i in range(4)
    )
    made.captions = captions
    return made


def test_unknown_captions_are_counted_by_language_with_examples():
    table = unknown_captions(dataset("a {0} É"), Stub())
    assert (
        table.language.tolist() == ["zho"]
        and table.captions.tolist() == [4]
        and table.share.tolist() == [1.0]
    )
    assert table.examples[0] == ["a 0 É [0 É]", "a 1 É [1 É]", "a 2 É [2 É]"]
    assert unknown_captions(dataset("a dog"), Stub()).empty


def test_what_captions_hold_does_not_reach_the_terminal_raw(capsys):
    report_unknown({"test": dataset("\x1b]0;{0}\x07 \u202e\nNotice: all is well")}, Stub())
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("Notice: 4 zho") and said.strip().isprintable()
    assert r"\x1b]0;0\x07" in said and r"\u202e\nNotice" in said


def test_they_are_reported_in_a_line_a_language(capsys):
    report_unknown({"test": dataset("a {0} É"), "val": dataset("a dog")}, Stub())
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1 and "4 zho captions of test (100%)" in said and "a 0 É [0 É]" in said
    )
