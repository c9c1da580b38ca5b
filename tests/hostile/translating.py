"""Captions to translate, and what they are written to."""

from hostile.case import Case
from hostile.changes import linked, setting, written

CASES = [
    Case("nothing to translate", "translate nowhere.txt --out x.csv", "nowhere.txt"),
    Case(
        "Latin-1 to translate",
        "translate latin1.txt --out x.csv",
        "latin1.txt:1: the text .* half of a character",
    ),
    Case(
        "a long caption to translate",
        "translate captions.txt --out x.csv",
        "captions.txt:2: .* has 3000 characters",
        prepare=written("captions.txt", "a\n" + "b" * 3000),
    ),
    Case(
        "blanks to translate",
        "translate empty.txt --out x.csv",
        "empty.txt: no texts; write one",
    ),
    Case(
        "translation over its source",
        "translate captions.txt --out captions.txt",
        "exists and is not replaced. Name another file with --out",
    ),
    Case(
        "translation over a link to it",
        "translate captions.txt --out x",
        "exists and is not replaced. Name another file with --out",
        prepare=linked("captions.txt", "x"),
    ),
    Case(
        "English into English",
        "translate captions.txt --to eng --out x.csv",
        "invalid choice: 'eng'",
        2,
    ),
    Case(
        "a model that is nowhere",
        "translate captions.txt --out x.csv --model ./nowhere",
        "no such file or folder",
    ),
    Case(
        "a hub that was not asked for",
        "translate captions.txt --out x.csv",
        "downloaded only with ATRI_HUB=1",
    ),
    Case(
        "a hub without network",
        "translate captions.txt --out x.csv",
        "without ATRI_OFFLINE and HF_HUB_OFFLINE",
        inside=setting("ATRI_OFFLINE", "1"),
    ),
    Case(
        "an empty name to translate",
        "translate '' --out x.csv",
        "a value or text is empty",
        2,
    ),
    Case(
        "no language to translate to",
        "translate captions.txt --out x.csv --to",
        "expected at least one",
        2,
    ),
    Case("a folder to translate", "translate sounds --out x.csv", "sounds: not a regular file"),
]
