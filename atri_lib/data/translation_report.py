"""What looks wrong among translations, for a human to read."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import pandas as pd

from atri_lib.data.dataset import text_fault

LOOP = re.compile(r"(.{2,80}?)\1{3,}", re.DOTALL)  # a stretch of text four times in a row
# no "3.5", "e.g", "etc.,"
SENTENCE_END = re.compile(r"(?<!\d)[.!?…]++(?![A-Za-z0-9,;:])|[。！？．｡]+")
# how Unicode's names of letters begin
KANA = ("HIRAGANA", "KATAKANA")
HAN = ("CJK", "IDEOGRAPHIC")  # also the sign that repeats one
# of the letters in a language; the others are written in Latin
SCRIPTS = {"jpn": KANA + HAN, "zho": HAN}
LONG = 5  # letters from which on Japanese is expected to have a kana among them


def report(translations: Mapping[str, Sequence]) -> pd.DataFrame:
    """What looks wrong among translations: columns language, problem, sentence, text.

    translations: language code -> entries with .sentence, .text and .truncated. problem: "empty"
    (also where nothing can be seen); "untranslated" (equals the sentence); "truncated" (the model
    ran into its token limit); "repeated" (a stretch of text four times in a row, and not so in the
    sentence); "shorter by a sentence" (fewer sentences than were given); "wrong script" (most
    letters are not of the language's script, Japanese without kana, Chinese with them). A distinct
    pair is listed once per problem.
    """
    rows = []
    for code, entries in translations.items():
        for entry in entries:
            sentence = entry.sentence.strip()
            text = entry.text.strip()
            empty = text_fault(text) == "is empty"
            shorter = count_sentences(text) < count_sentences(sentence)
            problems = {
                "empty": empty,
                "untranslated": text.casefold() == sentence.casefold(),
                "truncated": entry.truncated,
                "repeated": LOOP.search(text) and not LOOP.search(sentence),
                "shorter by a sentence": not empty and shorter,
                "wrong script": not empty and wrong_script(text, code),
            }
            for problem, found in problems.items():
                if found:
                    rows.append((code, problem, sentence, text))
    table = pd.DataFrame(rows, columns=["language", "problem", "sentence", "text"])
    return table.drop_duplicates(ignore_index=True)


def count_sentences(text: str) -> int:
    """How many parts of a text that hold a letter or digit are ended by a full stop or its like, or
    by its end.
    """
    return sum(any(map(str.isalnum, part)) for part in SENTENCE_END.split(text))


def wrong_script(text: str, code: str) -> bool:
    """Whether a text cannot be in a language, judged by the scripts of its letters."""
    letters = filter(str.isalpha, unicodedata.normalize("NFKC", text))
    names = [unicodedata.name(letter, "") for letter in letters]
    fitting = [name for name in names if name.startswith(SCRIPTS.get(code, "LATIN"))]
    if len(fitting) < len(names) / 2:
        return True
    has_kana = any(name.startswith(KANA) for name in names)
    if code == "jpn":
        return len(names) >= LONG and not has_kana
    return code == "zho" and has_kana
