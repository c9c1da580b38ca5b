import pytest

from tests.margins import approximate

REFERENCE = "MRV of ML-CLAP: 136.4, of KCL: 87\nR@1 -2.5e-3"


def changed(old, new):
    assert old in REFERENCE
    text = REFERENCE.replace(old, new)
    return approximate(text, 0.2)


@pytest.mark.parametrize("old, new", [("136.4", "120.0"), ("87", "95"), ("2.5e", "2.4e")])
def test_numbers_may_differ_by_the_margin(old, new):
    text = changed(old, new)
    assert text == REFERENCE
    assert not text != REFERENCE


@pytest.mark.parametrize(
    "old, new",
    [
        ("87", "140"),  # too far off
        ("-2.5", "2.5"),  # another sign
        ("KCL", "CACL"),  # another word
        (", of KCL: 87", ""),  # a number less
        ("136.4", "nan"),
    ],
)
def test_nothing_else_may_differ(old, new):
    text = changed(old, new)
    assert text != REFERENCE
    assert not text == REFERENCE


def test_without_a_margin_every_digit_counts():
    assert approximate("1.00", 0.0) != "1.01"
