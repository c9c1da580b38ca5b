import pytest

from tests.margins import approximate

REFERENCE = "MRV of ML-CLAP: 136.4, of KCL: 87\nR@1 -2.5e-3"


@pytest.mark.parametrize(
    ("text", "equal"),
    [
        (REFERENCE, True),
        ("MRV of ML-CLAP: 120.0, of KCL: 95\nR@1 -2.4e-3", True),
        ("MRV of ML-CLAP: 136.4, of KCL: 140\nR@1 -2.5e-3", False),  # a number too far off
        ("MRV of ML-CLAP: 136.4, of KCL: 87\nR@1 2.5e-3", False),  # another sign
        ("MRV of ML-CLAP: 136.4, of CACL: 87\nR@1 -2.5e-3", False),  # another word
        ("MRV of ML-CLAP: 136.4\nR@1 -2.5e-3", False),  # a number less
        ("MRV of ML-CLAP: nan, of KCL: 87\nR@1 -2.5e-3", False),
    ],
)
def test_numbers_may_differ_by_the_margin_and_nothing_else(text, equal):
    assert (approximate(text, 0.2) == REFERENCE) is equal
    assert (approximate(text, 0.2) != REFERENCE) is not equal


def test_without_a_margin_every_digit_counts():
    assert approximate("1.00", 0.0) != "1.01"
