"""Indexes of sounds that were or are to be written."""

import numpy as np
from hostile.case import SEARCH, Case
from hostile.changes import flipped, index_of, index_without_names, written

ONES = np.ones((2, 4), np.float32)

CASES = [
    Case(
        "a bit of an index",
        f"{SEARCH} --index index",
        "index: not an index .its content does not match its check",
        prepare=flipped("index"),
    ),
    Case(
        "a broken sound in an index",
        f"{SEARCH} --folder sounds --index new",
        "b.wav: cannot be read",
        3,
        prepare=written("sounds/b.wav", "text"),
        new=("new",),
    ),
    Case(
        "an index over a sound",
        f"{SEARCH} --folder sounds --index sounds/a.wav",
        "sounds/a.wav: not an index",
    ),
    Case(
        "an index over captions",
        f"{SEARCH} --folder sounds --index captions.txt",
        "captions.txt: not an index",
    ),
    Case(
        "an index over a folder",
        f"{SEARCH} --folder sounds --index scenes",
        "scenes: not an index .*regular file",
    ),
    Case(
        "an index over a pipe",
        f"{SEARCH} --folder sounds --index pipe",
        "pipe: not an index .*regular file",
    ),
    Case(
        "no such index",
        f"{SEARCH} --index nowhere",
        "nowhere: not an index .*--folder FOLDER --index FILE",
    ),
    Case(
        "an index of other weights",
        f"{SEARCH} --index index",
        "built with other weights than those of run: build it",
        prepare=index_of(ONES),
    ),
    Case(
        "fewer names than vectors",
        f"{SEARCH} --index index",
        "it takes N names and vectors",
        prepare=index_of(ONES, ["a"]),
    ),
    Case(
        "names that are no list",
        f"{SEARCH} --index index",
        "index: not an index .*not iterable",
        prepare=index_of(ONES, 3),
    ),
    Case(
        "names that are numbers",
        f"{SEARCH} --index index",
        "it takes N names and vectors",
        prepare=index_of(ONES, [1, 2]),
    ),
    Case(
        "vectors of one dimension",
        f"{SEARCH} --index index",
        "it takes N names and vectors",
        prepare=index_of(ONES[0]),
    ),
    Case(
        "vectors that are not finite",
        f"{SEARCH} --index index",
        "it takes N names and vectors",
        prepare=index_of(ONES * np.float32("inf")),
    ),
    Case(
        "vectors of integers",
        f"{SEARCH} --index index",
        "it takes N names and vectors",
        prepare=index_of(np.ones((2, 4), int)),
    ),
    Case(
        "an index without names",
        f"{SEARCH} --index index",
        "index: not an index",
        prepare=index_without_names(ONES),
    ),
    Case("names that paint the terminal", f"{SEARCH} --index index", r"esc\\x1b\[31m.wav", 0),
    Case("a new index", f"{SEARCH} --folder sounds --index new", "a.wav", 0, new=("new",)),
    Case(
        "an index again",
        f"{SEARCH} --folder sounds --index index",
        "a.wav",
        0,
        new=("index",),
        prepare=index_of(ONES),
    ),
]
