import numpy as np
import pytest

from studies.bound_checks import overtaken, share_held, tightness


def test_overtaken_is_the_first_step_above_the_other_bound():
    other = [2.0, 2.0, 2.0]
    assert overtaken([1.0, 3.0, 1.0], other) == 2
    assert overtaken([2.5, 3.0, 4.0], other) == 1
    assert np.isnan(overtaken(other, other))  # equal is not above
    assert overtaken([[1.0, 1.0, np.inf], [3.0, 0.0, 0.0]], other).tolist() == [3, 1]


def test_share_held_and_tightness_say_what_they_see():
    assert share_held([1.0, 2.0, 0.0], [1.0, 2.1, 0.0]) == pytest.approx(2 / 3)
    assert share_held([np.nan, 1.0], [1.0, 1.0]) == 0.5
    assert tightness([0.0, 3.0, 1.0], [0.0, 2.0, 0.0]).tolist() == [1.0, 1.5, np.inf]
