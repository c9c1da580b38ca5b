"""What a step costs: memory that is counted exactly, and that does not grow with K unless asked to."""

import pytest

from atri_lib.cost import Setting, measure

SMALL = {"batch": 8, "length": 8, "layers": 1, "width": 64, "repeats": 1}


@pytest.fixture(scope="module")
def peaks():
    settings = [Setting("kcl", k, chunk, **SMALL) for k in (2, 6, 10) for chunk in (0, 8, 4)]
    settings += [Setting("m_of_k", 10, m=1, **SMALL)] + [Setting("ml_clap", 10, **SMALL)] * 2
    table = measure(settings)
    assert (table[["seconds", "tensors", "resident"]] > 0).all(axis=None)
    return table.tensors.tolist()


def test_plain_kcl_grows_linearly_and_chunks_stay_flat(peaks):
    plain, by_language, cached = peaks[0:9:3], peaks[1:9:3], peaks[2:9:3]
    assert plain[2] - plain[1] == pytest.approx(plain[1] - plain[0], rel=0.05) and plain[2] > 2 * plain[0]
    assert by_language[2] <= 1.05 * by_language[0] <= 1.3 * peaks[-1]
    assert cached[2] <= 1.05 * cached[0] and cached[0] < by_language[0]


def test_bytes_of_tensors_are_the_same_every_time(peaks):
    assert peaks[-1] == pytest.approx(peaks[-2], rel=1e-3)
    assert peaks[-1] == pytest.approx(peaks[-3], rel=1e-3)  # one of K is what ML-CLAP takes


def test_what_cannot_be_measured_says_why():
    with pytest.raises(ValueError, match="at least 2 clips"):
        measure([Setting("cacl", 2, batch=1)])
