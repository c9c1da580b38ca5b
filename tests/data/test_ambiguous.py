"""How many queries have more than one answer, and the best R@1, against a search over all
rankings.
"""

import itertools

import numpy as np
import pytest

from atri_lib.data.ambiguous import COLUMNS, ambiguous_captions, report_ambiguous
from atri_lib.data.manifest import CaptionedClips
from atri_lib.languages import CODES


def dataset(*texts, sounds=None):
    """A clip per entry: its captions, which are the same in all languages but zho, where each has
    its own.
    """
    captions, numbers = [], itertools.count()
    for said in texts:
        captions.append(
            dict.fromkeys(CODES, tuple(said)) | {"zho": tuple(f"狗{next(numbers)}" for _ in said)}
        )
    names = tuple(map(str, range(len(texts))))
    recordings = tuple(sounds or names)
    return CaptionedClips("made", names, tuple(captions), "x", None, recordings=recordings)


def first(ranked, right, strict):
    """Chance that the first of tied items is right: they are shuffled, or a wrong one among them
    comes first.
    """
    top = [item in right for item in ranked]
    return float(all(top)) if strict else np.mean(top)


def best(queries, classes, strict):
    """The best mean R@1: queries that look alike, by their first entry, put the same class of items
    first.
    """
    total = 0.0
    for look in {look for look, _ in queries}:
        asked = [right for other, right in queries if other == look]
        total += max(sum(first(tied, right, strict) for right in asked) for tied in classes)
    return total / len(queries)


def brute_force(data, code):
    texts, owner = data.sentences(code), data.owner.tolist()
    clips = [
        [i for i, sound in enumerate(data.recordings) if sound == one]
        for one in sorted(set(data.recordings))
    ]
    rows = [[j for j, text in enumerate(texts) if text == one] for one in sorted(set(texts))]
    captions = [(text, {owner[j]}) for j, text in enumerate(texts)]
    sounds = [
        (data.recordings[i], {j for j, one in enumerate(owner) if one == i})
        for i in range(len(data))
    ]
    return [best(queries, classes, strict) for strict in (False, True)
            for queries, classes in ((captions, clips), (sounds, rows))]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_the_reachable_recall_is_that_of_the_best_ranking(seed):
    generator = np.random.default_rng(seed)
    texts = [generator.choice(list("abcdef"), generator.integers(1, 4)) for _ in range(6)]
    data = dataset(*texts, sounds=generator.choice(list("uvwxyz"), 6).tolist())
    table = ambiguous_captions(data).set_index("language")
    for code in table.index:
        reached = table.loc[code, ["t2a", "a2t", "t2a_strict", "a2t_strict"]].tolist()
        assert reached == pytest.approx(brute_force(data, code))


def test_two_clips_with_two_equal_captions_halve_the_recall():
    table = ambiguous_captions(dataset("ab", "ab", "c")).set_index("language")
    assert list(table.index) == [code for code in CODES if code != "zho"]
    assert table.loc["fra"].tolist() == pytest.approx([4, 0, 0, 3 / 5, 2 / 3, 3 / 5, 1 / 3])
    assert list(table.columns) == COLUMNS[1:]


def test_the_same_sound_twice_makes_every_language_ambiguous():
    table = ambiguous_captions(dataset("a", "b", "c", sounds=["x", "x", "y"])).set_index("language")
    assert (
        list(table.index) == list(CODES) and set(table.captions) == {2} and set(table.twins) == {2}
    )
    reached = table.loc["zho", ["t2a", "a2t", "t2a_strict", "a2t_strict"]].tolist()
    assert reached == pytest.approx([2 / 3, 2 / 3, 1 / 3, 2 / 3])


def test_a_caption_twice_at_one_clip_costs_no_recall_at_1():
    table = ambiguous_captions(dataset("aab", "c")).set_index("language")
    assert table.loc["eng"].tolist() == [0, 1, 0, 1.0, 1.0, 1.0, 1.0] and len(table) == 7


def test_one_line_per_split_says_it_and_none_where_all_is_clear(capsys):
    report_ambiguous(
        {"train": dataset("a", "b"), "val": dataset("aa"), "test": dataset("ab", "ac", sounds="xx")}
    )
    val, test = capsys.readouterr().err.splitlines()
    assert (
        val.startswith("Notice: val: 1 eng, 1 fra")
        and "repeat another of their clip" in val
        and "R@1" not in val
    )
    assert (
        "4 jpn, 4 zho captions have more than one right clip; 2 clips have the sound of another"
        in test
    )
    assert "R@1 can reach 50.0% from text to clip" in test
