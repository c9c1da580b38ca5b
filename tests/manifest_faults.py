"""What can be wrong with one line of a manifest, and what is said about it: read by the tests of
the loader and by those of the command line.
"""

from dataclasses import dataclass

from atri_lib.languages import CODES

CAPTIONS = {code: f"a tone, {code}" for code in CODES}


@dataclass(frozen=True)
class Fault:
    """changes: what differs from a good line; message: a pattern of what follows file and line."""

    name: str
    changes: dict
    message: str


def caption(code: str, value: object) -> dict:
    """One caption among good ones."""
    return {"captions": CAPTIONS | {code: value}}


def caption_missing(code: str) -> dict:
    return {"captions": {known: text for known, text in CAPTIONS.items() if known != code}}


EMPTY = "captions: fra: 0: caption is empty"
CAPTION_FAULTS = [
    Fault(
        "a text for all captions",
        {"captions": "a dog"},
        "captions: Input should be a valid dictionary",
    ),
    Fault(
        "a caption in Italian",
        caption("ita", ["un cane"]),
        "unknown language 'ita': use eng, fra",
    ),
    Fault("a caption missing", caption_missing("nld"), "caption missing in nld"),
    Fault(
        "English captions alone",
        {"captions": {"eng": "a dog"}},
        "missing in fra, .* zho; add it .*translate.* --languages eng",
    ),
    Fault("a list of no captions", caption("cat", []), "caption missing in cat"),
    Fault(
        "a list of nothing",
        caption("zho", [None]),
        "captions: zho: 0: Input should be a valid string",
    ),
    Fault(
        "a caption that is nothing",
        caption("zho", None),
        "captions: zho: 0: Input should be a valid string",
    ),
    Fault(
        "a caption that is a number",
        caption("zho", 3),
        "captions: zho: 0: Input should be a valid string, not 3",
    ),
    Fault(
        "a caption that is an object",
        caption("zho", {"a": "b"}),
        "captions: zho: 0: Input should be a valid string",
    ),
    Fault("a blank caption", caption("fra", "  "), EMPTY),
    Fault("a caption of NUL", caption("fra", "\0\0"), EMPTY),
    Fault("a caption of a zero-width space", caption("fra", "\u200b"), EMPTY),
    Fault("a caption of zero-width spaces", caption("fra", "\u200b \u200b"), EMPTY),
    Fault("a caption of a byte order mark", caption("fra", "\ufeff"), EMPTY),
    Fault("a caption of Hangul fillers", caption("fra", "\u3164\u115f"), EMPTY),
    Fault("a caption of blank braille", caption("fra", "\u2800 \u2800"), EMPTY),
    Fault("a caption of marks without letters", caption("fra", "\ufe0f\u034f\u0301"), EMPTY),
    Fault(
        "a caption with half a surrogate pair",
        caption("fra", "\ud800"),
        "captions: fra: 0: .*unicode",
    ),
    Fault(
        "a caption of 1 MB",
        caption("fra", "a" * 10**6),
        "captions: fra: 0: caption has 1000000 characters, 2000 are",
    ),
    Fault(
        "a caption of 100,000 words",
        caption("fra", "dog " * 10**5),
        "captions: fra: 0: caption has 399999 characters",
    ),
]
LINE_FAULTS = [
    Fault("a sound and a picture", {"image": "dog.png"}, "give either audio or image, the path of"),
    Fault("neither sound nor picture", {"audio": None}, "give either audio or image, the path of"),
    Fault("a picture that is a number", {"image": 7}, "image: Input should be a valid string"),
    Fault("a sound that is a number", {"audio": 7}, "audio: Input should be a valid string"),
    Fault(
        "an empty name of a sound",
        {"audio": ""},
        "give either audio or image",
    ),
    Fault(
        "no such sound", {"audio": "none.wav"}, "none.wav: cannot be read as audio .*No such file"
    ),
    Fault("a sound outside", {"audio": "../dog.wav"}, "outside the manifest's folder"),
    Fault("a sound in a roundabout way", {"audio": "a/../../dog.wav"}, "outside the manifest's"),
    Fault("an absolute path", {"audio": "/etc/hosts"}, "'/etc/hosts' is outside"),
    Fault("an absolute path of nothing", {"audio": "/etc/dog.wav"}, "outside the manifest's"),
    Fault("a path of Windows", {"audio": "C:\\dog.wav"}, "dog.wav: .*No such file"),
    Fault(
        "a sound with NUL in its name",
        {"audio": "dog\0.wav"},
        "null (byte|character)",
    ),
    Fault(
        "a sound with a long name",
        {"audio": "a" * 5000},
        "File name too long",
    ),
    Fault(
        "an unknown split",
        {"split": "dev"},
        "split: Input should be 'train', 'val' or 'test', not 'dev'",
    ),
    Fault("an id that is a number", {"id": 3}, "id: Input should be a valid string"),
]


def image(name: str) -> dict:
    """A picture in place of the sound."""
    return {"audio": None, "image": name}


# Of a manifest's first line: what follows one with a sound is refused for that.
IMAGE_FAULTS = [
    Fault(
        "no such picture", image("none.png"), "none.png: cannot be read as an image .*No such file"
    ),
    Fault("a picture outside", image("../dog.png"), "'../dog.png' is outside the manifest's"),
    Fault("an absolute path of a picture", image("/etc/dog.png"), "outside the manifest's folder"),
    Fault(
        "a picture with NUL in its name",
        image("dog\0.png"),
        "null (byte|character)",
    ),
    Fault(
        "a picture with a name of two lines",
        image("a\nb\x1b[31m.png"),
        r"a\\nb\\x1b\[31m\.png: cannot be read as an image .*No such file",
    ),
    Fault(
        "a picture with a long name",
        image("a" * 5000),
        "File name too long",
    ),
    Fault("a folder as picture", image("."), "cannot be read as an image .*not a regular file"),
]
FAULTS = CAPTION_FAULTS + LINE_FAULTS
