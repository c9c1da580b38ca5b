"""What is said of queries that have more than one answer; tests/evaluation/test_ties.py compares
the best R@1 with a search over all first places.
"""

import itertools

from atri_lib.data.manifest import CaptionedClips, report_ambiguous
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


def said(capsys, **splits):
    report_ambiguous(splits)
    return capsys.readouterr().err.splitlines()


def test_two_clips_with_two_equal_captions_halve_the_recall(capsys):
    (line,) = said(capsys, test=dataset("ab", "ab", "c"))
    assert line.startswith("Notice: test: captions or clips are there several times. eng: 4 capt")
    assert "zho" not in line
    assert "jpn: 4 captions have more than one right clip, 0 repeat another of their clip" in line
    assert "R@1 can reach 60.0% from text and 66.7% from clip" in line


def test_the_same_sound_twice_makes_every_language_ambiguous(capsys):
    (line,) = said(capsys, test=dataset("a", "b", "c", sounds=["x", "x", "y"]))
    assert line.count("2 captions have more than one right clip") == len(CODES)
    assert "R@1 can reach 66.7% from text and 66.7% from clip" in line


def test_a_caption_twice_at_one_clip_costs_no_recall_at_1(capsys):
    (line,) = said(capsys, test=dataset("aab", "c"))
    assert "eng: 0 captions have more than one right clip, 1 repeat another of their clip" in line
    assert "R@1 can reach 100.0% from text and 100.0% from clip" in line


def test_one_line_per_split_says_it_and_none_where_all_is_clear(capsys):
    val, test = said(
        capsys,
        train=dataset("a", "b"),
        val=dataset("aa"),
        test=dataset("ab", "ac", sounds="xx"),
    )
    assert val.startswith("Notice: val:")
    assert test.startswith("Notice: test:")
