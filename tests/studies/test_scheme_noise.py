"""Where chance decides in a scheme, how much, and what it remembers, by enumeration."""

import numpy as np
import pytest

from atri_lib.schemes import SCHEMES
from studies.scheme_noise import biased, chance, noise_share, remembers
from tests.test_schemes import CASES, every_history, scheme_of


@pytest.mark.parametrize("languages, m", CASES)
@pytest.mark.parametrize("name", SCHEMES)
def test_bias_chance_and_memory_are_those_of_every_history(name, languages, m, epochs=4, hold=2):
    rows = every_history(name, languages, m, epochs, hold)
    scheme = scheme_of(name, 3, languages, m=m, hold=hold)
    # All but CACL and English are unbiased; CACL over two languages has nothing to choose.
    assert biased(scheme) == (name == "english" or (name == "cacl" and languages > 2))
    varying = rows[:, 0].std(0) > 1e-12
    assert chance(scheme).tolist() == np.flatnonzero(varying).tolist()
    centred = rows - rows.mean(0)
    for epoch in range(epochs):
        earlier = np.einsum("hek,hl->ekl", centred[:, :epoch], centred[:, epoch]) / len(rows)
        assert remembers(scheme, epoch) == (np.abs(earlier).max(initial=0) > 1e-12)


@pytest.mark.parametrize("name", SCHEMES)
def test_noise_share_is_the_variance_of_a_weighted_mean_of_values(name, languages=4, m=3):
    scheme = scheme_of(name, 2, languages, m=m)
    values = np.array([3.0, -1.0, 0.5, 2.0])
    outcomes = every_history(name, languages, m, 1, 2)[:, 0]
    variance = (outcomes @ values).var()
    random = values[chance(scheme)]
    among = random.var() if len(random) else 0
    assert variance == pytest.approx(noise_share(scheme) * among)
    assert variance == pytest.approx(values @ scheme.covariance(0, 0) @ values)
