"""What is done to a case's copy of the world before its command, or in the child that runs it."""

import functools
import io
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import sys
from collections.abc import Callable

import numpy as np
import soundfile
from PIL import Image
from safetensors.numpy import load_file, save_file

from atri_lib import storage
from atri_lib.languages import CODES

Change = Callable[[], None]
MANIFEST = pathlib.Path("scenes/manifest.jsonl")


def later(function: Callable[..., None]) -> Callable[..., Change]:
    """Called with its arguments now, done when a case runs."""

    @functools.wraps(function)
    def given(*arguments, **options) -> Change:
        return functools.partial(function, *arguments, **options)

    return given


def nothing() -> None:
    """What most cases need."""


@later
def in_order(*changes: Change) -> None:
    for change in changes:
        change()


# Files


@later
def flipped(name: str) -> None:
    """One bit of a file, near its end."""
    content = bytearray(pathlib.Path(name).read_bytes())
    content[-5] ^= 1
    pathlib.Path(name).write_bytes(content)


@later
def written(name: str, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    replaced(name).write_bytes(data)


def replaced(name: str) -> pathlib.Path:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


@later
def piped(name: str) -> None:
    os.mkfifo(replaced(name))


@later
def removed(name: str) -> None:
    pathlib.Path(name).unlink()


@later
def truncated(name: str, size: int) -> None:
    os.truncate(name, size)


@later
def copied(name: str, *places: str) -> None:
    for place in places:
        shutil.copy(name, place)


@later
def linked(target: str, name: str) -> None:
    os.symlink(target, name)


@later
def entries(name: str, **changes) -> None:
    """A JSON file with some entries changed; None removes one."""
    values = json.loads(pathlib.Path(name).read_text()) | changes
    for key, value in changes.items():
        if value is None:
            del values[key]
    pathlib.Path(name).write_text(json.dumps(values))


@later
def everywhere(pattern: str, change: Callable[[str], Change]) -> None:
    """The same done to every file of a pattern."""
    for path in list(pathlib.Path().glob(pattern)):
        change(str(path))()


@later
def read_only(*names: str) -> None:
    for name in names:
        for path in [pathlib.Path(name), *pathlib.Path(name).rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)


# Runs and indexes


@later
def sealed(change: Change, run: str = "run") -> None:
    """A run changed by somebody who gives it the checksums that belong to it."""
    change()
    metrics = json.loads(pathlib.Path(run, "metrics.json").read_text())
    metrics.pop("checksum", None)
    for name in metrics.get("sha256", ()):
        metrics["sha256"][name] = storage.sha256_file(f"{run}/{name}")
    storage.write_sealed(f"{run}/metrics.json", metrics)


def tensors(name: str, change: Callable[[dict], dict]) -> Change:
    """A run's file rewritten, with the SHA-256 that belongs to it."""

    def rewrite() -> None:
        state = dict(load_file(f"run/{name}"))
        save_file(change(state), f"run/{name}")

    return sealed(rewrite)


@later
def a_third_run(seed: int) -> None:
    """A copy of a run that says it has this seed."""
    shutil.copytree("run/", "third")
    sealed(entries("third/config.json", seed=seed), "third")()


@later
def index_of(vectors: np.ndarray, names: object = ("a", "b")) -> None:
    note = {"names": json.dumps(names), "weights": "0" * 64}
    note["checksum"] = storage.checksum(note, vectors)
    save_file({"embeddings": vectors}, "index", note)


@later
def index_without_names(vectors: np.ndarray) -> None:
    save_file({"embeddings": vectors}, "index")


# The dataset


@later
def line(**changes) -> None:
    """The first line of the manifest with some entries changed."""
    first, *rest = MANIFEST.read_text().splitlines()
    changed = json.dumps(json.loads(first) | changes)
    MANIFEST.write_text("\n".join([changed, *rest]))


def caption(code: str, value: object) -> Change:
    captions = {known: "a tone" for known in CODES}
    return line(captions=captions | {code: value})


@later
def sound(samples: np.ndarray, **options) -> None:
    soundfile.write("scenes/train0.wav", samples, 16000, **options)


def shared_captions() -> None:
    """All test clips under the captions of the first."""
    clips = [json.loads(text) for text in MANIFEST.read_text().splitlines()]
    tests = [clip for clip in clips if clip["split"] == "test"]
    for clip in tests:
        clip["captions"] = tests[0]["captions"]
    MANIFEST.write_text("".join(json.dumps(clip) + "\n" for clip in clips))


def one_clip() -> None:
    """A second manifest, of the first clip alone."""
    first = MANIFEST.read_text().splitlines()[0]
    MANIFEST.with_name("m.jsonl").write_text(first)


def marked() -> None:
    """A byte order mark before the manifest."""
    MANIFEST.write_bytes(b"\xef\xbb\xbf" + MANIFEST.read_bytes())


def endless_flac() -> None:
    """A FLAC file whose header claims 2**36 - 1 samples."""
    soundfile.write("scenes/train0.flac", 0.1 * np.ones(4000), 16000)
    content = bytearray(pathlib.Path("scenes/train0.flac").read_bytes())
    content[21] |= 0x0F  # STREAMINFO: 36 bits from the middle of this byte
    content[22:26] = b"\xff" * 4
    pathlib.Path("scenes/train0.wav").write_bytes(content)


def pictures() -> None:
    """Pictures in place of all sounds, each of another grey."""
    clips = [json.loads(text) for text in MANIFEST.read_text().splitlines()]
    for i, clip in enumerate(clips):
        clip["image"] = clip.pop("audio").replace(".wav", ".png")
        Image.new("L", (9, 9), i).save(MANIFEST.with_name(clip["image"]))
    MANIFEST.write_text("".join(json.dumps(clip) + "\n" for clip in clips))


def linked_outside() -> None:
    shutil.move("scenes/train0.wav", "elsewhere.wav")
    os.symlink("../elsewhere.wav", "scenes/train0.wav")


# The process


def full_disk() -> None:
    """No file may grow beyond 1,000 bytes: what a full disk does, where none can be had."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def nobody() -> None:
    """Root may write anywhere; give that up."""
    if os.geteuid() == 0:
        for folder in (pathlib.Path.cwd().parent, pathlib.Path.cwd()):
            folder.chmod(0o755)
        os.setuid(65534)


@later
def setting(name: str, value: str) -> None:
    os.environ[name] = value


def reader_gone() -> None:
    """What `| head -1` leaves of a pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)


def modules_here() -> None:
    """Python finds modules in the folder where the command is typed, as it does for `python -m`."""
    sys.path.insert(0, "")


@later
def typed(content: bytes) -> None:
    """What is typed, or comes by a pipe, as standard input."""
    sys.stdin = io.TextIOWrapper(io.BytesIO(content))


def homeless() -> None:
    """A user whose home folder nobody knows."""
    for name in ("HOME", "ATRI_CACHE", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    pwd.getpwuid = {}.__getitem__
