"""Search: the nearest entries by cosine, and an index that is read as it was written."""

import numpy as np
import pytest

from atri_lib.search import Index, SearchError

INDEX = Index(("a", "b", "c", "d"), np.array([[0, 1], [1, 0], [0.6, 0.8], [1, 0]], np.float32), "run")


def test_the_nearest_come_first_and_equal_ones_keep_their_order():
    found = INDEX.nearest(np.array([1, 0], np.float32), 3)
    assert found == [("b", 1.0), ("d", 1.0), ("c", pytest.approx(0.6))]
    assert [name for name, _ in INDEX.nearest(np.array([0, 1], np.float32), 9)] == ["a", "c", "b", "d"]


def test_an_index_is_read_as_it_was_written(tmp_path):
    INDEX.save(tmp_path / "index")
    read = Index.load(tmp_path / "index")
    assert (read.names, read.run) == (INDEX.names, INDEX.run) and np.array_equal(read.embeddings, INDEX.embeddings)
    (tmp_path / "other").write_bytes(b"no index")
    with pytest.raises(SearchError, match="not an index"):
        Index.load(tmp_path / "other")
