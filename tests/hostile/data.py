"""A user's data: the manifest, its captions and sounds."""

import numpy as np
from hostile.case import TRAIN, Case
from hostile.changes import (
    caption,
    copied,
    endless_flac,
    in_order,
    line,
    linked_outside,
    marked,
    one_clip,
    piped,
    shared_captions,
    sound,
    truncated,
    written,
)
from manifest_faults import FAULTS

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
        "manifest.jsonl:1: .*object",
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
        "id 'train1.wav' of train is on line 1 already",
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
        ":1: .*train0.wav: is empty",
        prepare=written("scenes/train0.wav", ""),
    ),
    Case(
        "a pipe as sound",
        TRAIN,
        ":1: .*train0.wav: no such audio file",
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
        "Several clips share a caption",
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
        for fault in FAULTS
    ),
]
