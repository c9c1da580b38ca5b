"""Data of the studies with phrasings, or a whole collection of sounds, held out."""

import pytest

from atri_lib.data.phrases import PHRASINGS
from atri_lib.data.recipes import Recipe
from studies.unseen_phrasing import HELD_OUT, UnseenPhrasing, rephrased


@pytest.mark.parametrize("phrasing", range(PHRASINGS))
@pytest.mark.parametrize("sound", [0, 3])
def test_the_held_out_phrasing_is_for_the_test_alone(phrasing, sound):
    recipe = Recipe("single", (sound,), (False,), phrasing)
    assert rephrased(recipe, "test").phrasing == HELD_OUT
    in_training = rephrased(recipe, "train")
    assert in_training.phrasing != HELD_OUT
    assert in_training.said == recipe.said
    if phrasing != HELD_OUT:
        assert in_training == recipe


def test_scenes_are_those_of_the_book_in_other_words_and_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="no split 'trial'"):
        rephrased(Recipe("single", (0,), (False,), 0), "trial")
    test = UnseenPhrasing("test", "1")
    assert len(test) == len(test.captions) == 500
    starts = {captions["eng"][0].split()[0] for captions in test.captions}
    train = {captions["eng"][0].split()[0] for captions in UnseenPhrasing("train", "1").captions}
    assert "You" in starts and "You" not in train
