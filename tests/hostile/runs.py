"""Folders of runs, damaged in every way, and what is trained on from them."""

import numpy as np
from hostile.case import SEARCH, Case
from hostile.changes import entries, flipped, piped, removed, sealed, tensors, truncated, written


def not_finite(state: dict) -> dict:
    return {name: np.full_like(values, np.nan) for name, values in state.items()}


def other_weights(state: dict) -> dict:
    return {"x": np.ones((2, 4), np.float32)}


def one_side(state: dict) -> dict:
    return {"t2a": state["t2a"]}


CASES = [
    Case("no run", "evaluate nowhere", "nowhere: not a complete run .*; give the folder of"),
    Case("an empty folder as run", "evaluate sounds", "sounds: not a complete run"),
    Case(
        "a file as run",
        "evaluate captions.txt",
        "captions.txt: not a complete run .*Not a directory.*; give the folder of",
    ),
    Case(
        "metrics that are null",
        "evaluate run",
        "metrics.json: a JSON object is expected, not NoneType",
        prepare=written("run/metrics.json", "null"),
    ),
    Case(
        "metrics that are a list",
        "evaluate run",
        "a JSON object is expected, not list",
        prepare=written("run/metrics.json", "[]"),
    ),
    Case(
        "metrics that lack keys",
        "evaluate run",
        "metrics.json has no name",
        prepare=sealed(written("run/metrics.json", "{}")),
    ),
    Case(
        "metrics without an origin",
        "evaluate run",
        "metrics.json has no origin",
        prepare=sealed(entries("run/metrics.json", origin=None)),
    ),
    Case(
        "metrics without a note",
        "evaluate run",
        "metrics.json has no note",
        prepare=sealed(entries("run/metrics.json", note=None)),
    ),
    Case(
        "metrics without a checksum",
        "evaluate run",
        "metrics.json: not what was written: its checksum differs",
        prepare=entries("run/metrics.json", checksum=None),
    ),
    Case(
        "a bit of the metrics",
        "evaluate run",
        "metrics.json: not what was written: its checksum differs",
        prepare=flipped("run/metrics.json"),
    ),
    Case(
        "a key twice in the metrics",
        "evaluate run",
        "metrics.json: not JSON .the key 'a' comes twice",
        prepare=written("run/metrics.json", '{"a": 1, "a": 2}'),
    ),
    Case(
        "a score beyond numbers",
        "evaluate run",
        "metrics.json: not JSON .Out of range float",
        prepare=written("run/metrics.json", '{"a": 1e999}'),
    ),
    Case(
        "a bit of the config",
        "evaluate run",
        "config.json is not what was written",
        prepare=flipped("run/config.json"),
    ),
    Case(
        "metrics without scores",
        "evaluate run",
        "metrics.json has no test",
        prepare=sealed(entries("run/metrics.json", test="good")),
    ),
    Case(
        "metrics without checksums",
        "evaluate run",
        "metrics.json has no sha256",
        prepare=sealed(entries("run/metrics.json", sha256=None)),
    ),
    Case(
        "metrics cut short",
        "evaluate run",
        "metrics.json: not JSON",
        prepare=written("run/metrics.json", '{"a":'),
    ),
    Case(
        "metrics that are NaN",
        "evaluate run",
        "metrics.json: not JSON",
        prepare=entries("run/metrics.json", train_seconds=float("nan")),
    ),
    Case(
        "metrics ten thousand deep",
        "evaluate run",
        "metrics.json: not JSON",
        prepare=written("run/metrics.json", '{"a":' * 10**5),
    ),
    Case(
        "metrics that are a pipe",
        "evaluate run",
        "metrics.json: not a regular file",
        prepare=piped("run/metrics.json"),
    ),
    Case(
        "a config with a list",
        "evaluate run",
        r"unfreeze=\[1\]: it should be a valid dictionary",
        prepare=sealed(entries("run/config.json", unfreeze=[1])),
    ),
    Case(
        "a config of another version",
        "evaluate run",
        r"depth=3: Extra inputs are not permitted",
        prepare=sealed(entries("run/config.json", depth=3)),
    ),
    Case(
        "a config that is null",
        "evaluate run",
        "config.json: a JSON object",
        prepare=sealed(written("run/config.json", "null")),
    ),
    Case(
        "a config that is a pipe",
        "evaluate run",
        "config.json: not a regular file",
        prepare=piped("run/config.json"),
    ),
    Case(
        "a bit of the weights",
        "evaluate run",
        "weights.safetensors is not what was written: its SHA-256 differs",
        prepare=flipped("run/weights.safetensors"),
    ),
    Case(
        "a bit of the ranks",
        "evaluate run",
        "ranks.safetensors is not what was written",
        prepare=flipped("run/ranks.safetensors"),
    ),
    Case(
        "a bit of the history",
        "evaluate run",
        "history.csv is not what was written",
        prepare=flipped("run/history.csv"),
    ),
    Case(
        "a run that was interrupted",
        "evaluate begun",
        "finish it with `python -m atri_lib train --resume begun`",
    ),
    Case(
        "scores that paint the terminal",
        "evaluate run",
        r"\\x1b\[31m\\nend: 3",
        0,
        prepare=sealed(entries("run/metrics.json", test={"\x1b[31m\nend": 3})),
    ),
    Case(
        "a note that paints it",
        "evaluate run",
        r"note: \\x07bell\\u202e",
        0,
        prepare=sealed(entries("run/metrics.json", note="\abell\u202e")),
    ),
    Case(
        "a table that paints it",
        "evaluate run",
        r"\\x1b\]0;title\\x07 +1\n",
        0,
        prepare=sealed(written("run/retrieval.csv", "language,R@1\n\x1b]0;title\a,1.0\n")),
    ),
    Case(
        "weights missing",
        "evaluate run",
        "weights.safetensors",
        prepare=removed("run/weights.safetensors"),
    ),
    Case(
        "weights cut short",
        "evaluate run",
        "weights.safetensors is not what",
        prepare=truncated("run/weights.safetensors", 100),
    ),
    Case(
        "weights that are a pipe",
        "evaluate run",
        "not a regular file",
        prepare=piped("run/weights.safetensors"),
    ),
    Case(
        "weights that are not finite",
        f"{SEARCH} --folder sounds",
        "weights.safetensors: values that are not finite",
        prepare=tensors(
            "weights.safetensors",
            not_finite,
        ),
    ),
    Case(
        "weights of another model",
        f"{SEARCH} --folder sounds",
        "do not fit run/weights.safetensors: .*missing",
        prepare=tensors("weights.safetensors", other_weights),
    ),
    Case(
        "ranks of one side",
        "evaluate run",
        "not a complete run .*'a2t'",
        prepare=tensors("ranks.safetensors", one_side),
    ),
    Case(
        "nothing to resume",
        "train --resume nowhere",
        "nowhere: not a run folder, config.json cannot be read",
    ),
    Case(
        "resuming another config",
        "train --resume begun",
        "RECIPE or data changed since it was started",
        prepare=entries("begun/config.json", epochs=3),
    ),
    Case(
        "a bit of a checkpoint",
        "train --resume begun",
        "damaged checkpoint .its content .*; delete it to begin",
        prepare=flipped("begun/checkpoint.safetensors"),
    ),
    Case(
        "a checkpoint that is a pipe",
        "train --resume begun",
        "checkpoint.safetensors: damaged checkpoint .*regular",
        prepare=piped("begun/checkpoint.safetensors"),
    ),
    Case(
        "a checkpoint that is text",
        "train --resume begun",
        "damaged checkpoint .*; delete it",
        prepare=written("begun/checkpoint.safetensors", "text"),
    ),
    Case("an empty name of a run", "evaluate ''", "a value or text is empty", 2),
]
