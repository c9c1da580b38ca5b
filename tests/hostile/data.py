"""A user's data: the manifest, its captions and sounds."""

import io

import numpy as np
from hostile.case import TRAIN, Case
from hostile.changes import (
    Change,
    caption,
    copied,
    endless_flac,
    in_order,
    line,
    linked,
    linked_outside,
    marked,
    one_clip,
    pictures,
    piped,
    shared_captions,
    sound,
    truncated,
    written,
)
from manifest_faults import FAULTS, IMAGE_FAULTS, image
from PIL import Image


def picture(content: bytes) -> Change:
    """A file as the picture of the first line."""
    return in_order(written("scenes/x.png", content), line(**image("x.png")))


def png(width: int, height: int) -> bytes:
    """A black one."""
    stream = io.BytesIO()
    Image.new("L", (width, height)).save(stream, "PNG")
    return stream.getvalue()


CASES = [
    Case("no manifest", f"{TRAIN} --data nowhere.jsonl", "nowhere.jsonl: no such manifest; give"),
    Case(
        "a folder without manifest",
        f"{TRAIN} --data sounds",
        "sounds/manifest.jsonl: no such manifest",
    ),
    Case(
        "an empty manifest",
        TRAIN,
        "manifest.jsonl: empty",
        prepare=written("scenes/manifest.jsonl", ""),
    ),
    Case(
        "a line that is not JSON",
        TRAIN,
        "manifest.jsonl:1: .*JSON",
        prepare=written("scenes/manifest.jsonl", "{audio"),
    ),
    Case(
        "a line that is no text",
        TRAIN,
        "manifest.jsonl:1: .*JSON",
        prepare=written("scenes/manifest.jsonl", b'{"audio": "\xff"}'),
    ),
    Case(
        "a line that is a list",
        TRAIN,
        "manifest.jsonl:1: no JSON object",
        prepare=written("scenes/manifest.jsonl", "[1]"),
    ),
    Case(
        "a caption too many",
        TRAIN,
        "trained kcl",
        0,
        prepare=caption("fra", ["a", "b"]),
        new=("runs/kcl-0-*/*",),
    ),
    Case(
        "an id twice",
        TRAIN,
        "of train and what is on line 1: the id 'train1.wav' is the same; change one",
        prepare=line(id="train1.wav"),
    ),
    Case(
        "text as sound",
        TRAIN,
        ":1: .*train0.wav: cannot be read as audio",
        prepare=written("scenes/train0.wav", "a"),
    ),
    Case(
        "an empty file as sound",
        TRAIN,
        ":1: .*train0.wav: cannot be read as audio",
        prepare=written("scenes/train0.wav", ""),
    ),
    Case(
        "a pipe as sound",
        TRAIN,
        ":1: .*train0.wav: .*not a regular file",
        prepare=piped("scenes/train0.wav"),
    ),
    Case("a sound too short", TRAIN, ":1: .*0.001 s of audio", prepare=sound(np.zeros(16))),
    Case(
        "samples that are no numbers",
        TRAIN,
        "train0.wav: .*not finite",
        prepare=sound(np.full(4000, np.nan), subtype="FLOAT"),
    ),
    Case(
        "no test split",
        "evaluate run --data scenes/m.jsonl",
        "no lines with split test",
        prepare=one_clip,
    ),
    Case(
        "a mark before the manifest",
        "evaluate run --data scenes",
        "origin: ",
        0,
        prepare=marked,
    ),
    Case(
        "captions that several clips share",
        "evaluate run --data scenes",
        "shared captions and sounds:",
        0,
        prepare=shared_captions,
    ),
    Case("a header that lies", TRAIN, "train0.wav", prepare=endless_flac),
    Case(
        "samples without a header",
        TRAIN,
        "x.raw",
        prepare=in_order(written("scenes/x.raw", bytes(9999)), line(audio="x.raw")),
    ),
    Case(
        "deafening samples",
        TRAIN,
        "train0.wav",
        prepare=sound(np.full(4000, 1e30), subtype="FLOAT"),
    ),
    Case("half a sound", TRAIN, "train0.wav", prepare=truncated("scenes/train0.wav", 4000)),
    Case("a link out of the folder", TRAIN, "train0.wav", prepare=linked_outside),
    Case(
        "a test sound in training",
        TRAIN,
        "train0.wav|test0.wav",
        prepare=copied("scenes/test0.wav", "scenes/train0.wav"),
    ),
    *(
        Case(fault.name, TRAIN, f"jsonl:1: .*{fault.message}", prepare=line(**fault.changes))
        for fault in FAULTS + IMAGE_FAULTS
    ),
    Case(
        "an HTML page as picture",
        TRAIN,
        ":1: .*x.png: cannot be read as an image .*fetch",
        prepare=picture(b"<!DOCTYPE html><html>404"),
    ),
    Case(
        "an empty picture", TRAIN, ":1: .*x.png: cannot be read as an image", prepare=picture(b"")
    ),
    Case(
        "half a picture",
        TRAIN,
        ":1: .*x.png: cannot be read as an",
        prepare=picture(png(99, 99)[:50]),
    ),
    Case(
        "a picture of one pixel",
        TRAIN,
        ":1: .*x.png: .*1 x 1 pixels",
        prepare=picture(png(1, 1)),
    ),
    Case(
        "a picture of 400 million pixels",
        TRAIN,
        ":1: .*x.png: .*400000000 pixels.* 8 to 9000 pixels a side",
        prepare=picture(png(20_000, 20_000)),
    ),
    Case(
        "a pipe as picture",
        TRAIN,
        ":1: .*x.png: .*not a regular file",
        prepare=in_order(piped("scenes/x.png"), line(**image("x.png"))),
    ),
    Case(
        "a link to a picture out of the folder",
        TRAIN,
        ":1: 'x.png' is outside the manifest's",
        prepare=in_order(linked("../captions.txt", "scenes/x.png"), line(**image("x.png"))),
    ),
    Case(
        "an encoder of pictures for sounds",
        f"{TRAIN} --clip-encoder eye",
        "scenes: sounds, but the encoder toy eye reads pictures; name another encoder",
    ),
    Case(
        "an encoder of sounds for pictures",
        TRAIN,
        "scenes: pictures, but the encoder toy ear reads sounds; name another encoder",
        prepare=pictures,
    ),
    Case(
        "a run of sounds on pictures",
        "evaluate run --data scenes",
        "scenes: pictures, but the encoder toy ear reads sounds; name another encoder",
        prepare=pictures,
    ),
]
