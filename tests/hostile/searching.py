"""Questions to a run: texts, sounds, and files of them."""

import sys

from hostile.case import SEARCH, Case
from hostile.changes import typed, written

MANY = "search --run run --index index --queries"
SOUND = "search --run run --audio sounds/a.wav"


def typed_without_end() -> None:
    """Standard input is one line that never ends."""
    sys.stdin = open("/dev/zero")


CASES = [
    Case(
        "no query",
        "search --run run --folder sounds",
        "one of the arguments query --queries --audio is required",
        2,
    ),
    Case("a blank query", "search ' \t' --run run --folder sounds", "is empty; describe a sound"),
    Case(
        "an invisible query",
        "search '\u200b\u200b' --run run --folder sounds",
        "is empty; describe a sound",
    ),
    Case(
        "half a character",
        "search 'dog \ud83d' --run run --folder sounds",
        "holds half of a character",
    ),
    Case(
        "text and sound",
        f"{SEARCH} --audio sounds/a.wav",
        "argument --audio: not allowed with argument query",
        2,
    ),
    Case(
        "text and texts",
        f"{SEARCH} --queries captions.txt --folder sounds",
        "argument --queries: not allowed with argument query",
        2,
    ),
    Case(
        "captions and a folder",
        f"{SOUND} --captions captions.txt --folder sounds",
        "argument --folder: not allowed with argument --captions",
        2,
    ),
    Case("nowhere to search", SEARCH, "say where to search", 2),
    Case(
        "no results wanted", f"{SEARCH} --folder sounds -k 0", "'0' is not a whole number from 1", 2
    ),
    Case(
        "a query in Klingon",
        f"{SEARCH} --folder sounds --language tlh",
        "argument --language: invalid choice",
        2,
    ),
    Case(
        "a file as folder",
        f"{SEARCH} --folder captions.txt",
        "captions.txt: is a file; give the folder",
    ),
    Case("queries that are nowhere", f"{MANY} nowhere", "No such file or directory: 'nowhere'"),
    Case(
        "queries in Latin-1",
        f"{MANY} latin1.txt",
        "latin1.txt:1: the text .* half of a character .*: save the text as UTF-8",
    ),
    Case(
        "queries that are blank",
        f"{MANY} empty.txt",
        "empty.txt: no texts; write one on each line",
    ),
    Case("queries from a pipe", f"{MANY} pipe", "pipe: not a regular file"),
    Case(
        "a query of 3,000 letters",
        f"{MANY} captions.txt",
        "captions.txt:3: the text 'b+' has 3000 characters",
        prepare=written("captions.txt", "a\n\n" + "b" * 3000),
    ),
    Case(
        "two queries", f"{MANY} captions.txt", "(?s)^A dog barks.:\n  .*\nRain.:\n  .*wav  [01-]", 0
    ),
    Case(
        "two queries as JSON",
        f"{MANY} captions.txt --json -k 1",
        r'^\{"query": "A dog barks\.", "results": \[\{.*\n\{"query": "Rain\."',
        0,
    ),
    Case(
        "queries as they are typed",
        f"{MANY} - --json",
        r'^\{"query": "dog", .*\n\{"query": "\\u96e8", .*\n$',
        0,
        inside=typed("dog\r\n\n雨".encode()),
    ),
    Case(
        "a typed query that is none",
        f"{MANY} -",
        "Notice: the text .* half of a character",
        3,
        inside=typed(b"dog\n\xff\n"),
    ),
    Case(
        "an invisible typed query",
        f"{MANY} -",
        "Notice: the text .* is empty",
        3,
        inside=typed("\u200b\ndog".encode()),
    ),
    Case(
        "a typed query without end",
        f"{MANY} -",
        "a query of 65536 characters or more",
        inside=typed_without_end,
    ),
    Case("nothing typed", f"{MANY} -", "^$", 0, inside=typed(b"")),
    Case("no such folder", f"{SEARCH} --folder nowhere", "nowhere: no such folder"),
    Case("a folder without sounds", f"{SEARCH} --folder run", "run: holds no files to search"),
    Case(
        "only what macOS leaves",
        f"{SEARCH} --folder mac",
        "mac: holds no files to search",
        prepare=written("mac/._a.wav", "macOS"),
    ),
    Case(
        "a broken sound in the folder",
        f"{SEARCH} --folder sounds",
        "sounds/b.wav: cannot be read as audio",
        3,
        prepare=written("sounds/b.wav", "text"),
    ),
    Case(
        "a broken sound when strict",
        f"{SEARCH} --folder sounds --strict",
        "1 of 4 files cannot be read: sounds/b",
        prepare=written("sounds/b.wav", "text"),
    ),
    Case(
        "a broken sound alone",
        f"{SEARCH} --folder mac",
        "1 of 1 files cannot be read: mac/b.wav",
        prepare=written("mac/b.wav", "text"),
    ),
    Case(
        "a sound that is nowhere",
        "search --run run --index index --audio x.wav",
        "x.wav: cannot be read as audio .*No such file",
    ),
    Case(
        "a sound that is text",
        "search --run run --index index --audio captions.txt",
        "cannot be read as audio",
    ),
    Case(
        "captions that are no UTF-8",
        f"{SOUND} --captions latin1.txt",
        "latin1.txt:1: the text .* half of a character",
    ),
    Case(
        "captions in UTF-16",
        f"{SOUND} --captions captions.txt",
        "captions.txt:1: the text .* half of a character",
        prepare=written("captions.txt", "a dog\n".encode("utf-16")),
    ),
    Case(
        "captions with one of Latin-1",
        f"{SOUND} --captions captions.txt",
        "captions.txt:3: the text .* half of a character",
        prepare=written("captions.txt", b"a\r\n\r\nK\xfcche"),
    ),
    Case(
        "a caption of 3,000 letters",
        f"{SOUND} --captions captions.txt",
        "captions.txt:2: .* has 3000 characters",
        prepare=written("captions.txt", "a\n" + "b" * 3000),
    ),
    Case(
        "an invisible caption to find",
        f"{SOUND} --captions captions.txt",
        "captions.txt:1: the text .* is empty",
        prepare=written("captions.txt", "\u200b\na\n"),
    ),
    Case(
        "captions with other ends of lines",
        f"{SOUND} --captions captions.txt",
        r"(?s)^(?=.*a\\x0cb\\u2028c\\x85d\\re  [01-])(?=.*Rain  [01-]).*$",
        0,
        prepare=written("captions.txt", "\ufeffa\x0cb\u2028c\x85d\re\r\n\nRain\n"),
    ),
    Case(
        "no captions",
        f"{SOUND} --captions empty.txt",
        "empty.txt: no texts; write one on each line",
    ),
    Case(
        "captions from a pipe",
        "search --run run --audio sounds/a.wav --captions pipe",
        "pipe: not a regular file",
    ),
    Case(
        "a number of results in words",
        f"{SEARCH} --index index -k five",
        "'five' is not a whole number",
        2,
    ),
]
