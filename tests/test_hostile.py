"""What a hostile or unlucky user types: each ends with a code and one line that says what to do,
and spoils nothing.

A case runs the command line in a forked child with a limit of time and memory, in a copy of a small
world: a dataset of tones, a run trained on it with encoders of a few lines, sounds, captions and an
index.
"""

import dataclasses
import io
import json
import os
import pathlib
import pwd
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
import pytest
import soundfile
import torch
import transformers
from safetensors.numpy import load_file, save_file

from atri_lib import __main__, doctor, storage
from atri_lib.data import recorded, translation
from atri_lib.encoders import presets
from atri_lib.languages import CODES
from atri_lib.search import Searcher, index_folder
from atri_lib.training import TrainConfig, load_data, load_or_train

SECONDS, MEMORY = 60, 2 * 2**30  # of one case: time, and bytes beyond what the tests have already
ENCODED = "--audio-encoder toy --text-encoder toy --data scenes"
SMALL = f"{ENCODED} --epochs 2 --batch-size 4 --width 4 --hidden 4"
TRAIN = f"train --folder runs {SMALL}"


class Ear(torch.nn.Module):
    """Patches of 1,000 samples: their mean, deviation and rate of sign changes."""

    dim, name = 3, "toy ear"

    def forward(self, clips):
        patches = clips[:, : clips.shape[1] // 1000 * 1000].reshape(len(clips), -1, 1000)
        changes = (patches[..., 1:] * patches[..., :-1] < 0).float().mean(-1)
        return torch.stack([patches.mean(-1), patches.std(-1), changes], -1)


class Reader(Ear):
    """The length of a sentence, and its language."""

    dim, name = 2, "toy reader"

    def embed(self, sentences, language="eng"):
        return torch.tensor(
            [[len(sentence), CODES.index(language)] for sentence in sentences]
        ).float()

    def unknown_pieces(self, sentences, language="eng"):
        return [[] for _ in sentences]


def write_tones(folder: pathlib.Path) -> None:
    lines = []
    folder.mkdir()
    for split, count in {"train": 8, "val": 4, "test": 4}.items():
        for i in range(count):
            tone = 0.3 * np.sin((0.05 + 0.01 * len(split)) * (i + 1) * np.arange(4000))
            soundfile.write(folder / f"{split}{i}.wav", tone, 16000)
            captions = {code: f"{code} {split} tone {'very ' * i}high" for code in CODES}
            lines.append({"audio": f"{split}{i}.wav", "split": split, "captions": captions})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder that every case has a copy of.

    `run` and `other` link to finished runs of two seeds, `begun` to an interrupted one.
    """
    folder, patch = tmp_path_factory.mktemp("world"), pytest.MonkeyPatch()
    published = presets._builder

    def builder(given, known):
        return (
            (Ear if known is presets.AUDIO_ENCODERS else Reader)
            if given == "toy"
            else published(given, known)
        )

    patch.setattr(presets, "_builder", builder)
    patch.setenv("ATRI_CACHE", str(folder / "cache"))
    patch.setenv("ATRI_PROGRESS", "0")
    for name in ("ATRI_HUB", "RANK"):
        patch.delenv(name, raising=False)
    patch.setenv("HF_HUB_CACHE", "hub")
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    assert (
        transformers.AutoModelForSeq2SeqLM and translation and doctor and recorded
    )  # loaded once, not in each child
    write_tones(folder / "scenes")
    patch.chdir(folder)
    small = {"data": "scenes", "epochs": 2, "batch_size": 4, "width": 4, "hidden": 4}  # as SMALL
    config = TrainConfig(audio_encoder="toy", text_encoder="toy", **small)
    data = load_data(config)
    run = load_or_train(config, data, folder="runs")
    with pytest.MonkeyPatch.context() as stop, pytest.raises(KeyboardInterrupt):
        stop.setattr("atri_lib.training.runs.score", interrupted)
        load_or_train(config.replace(seed=1, checkpoint_every=1), data, folder="runs")
    other = load_or_train(config.replace(seed=2), data, folder="runs")
    (begun,) = (path.parent for path in pathlib.Path("runs").glob("*/checkpoint.safetensors"))
    os.symlink(run.path, "run")
    os.symlink(other.path, "other")
    os.symlink(begun, "begun")
    (folder / "sounds").mkdir()
    for i, name in enumerate(("a.wav", "雨.wav", "esc\x1b[31m.wav")):
        shutil.copy(f"scenes/test{i}.wav", f"sounds/{name}")
    (folder / "sounds" / "._a.wav").write_bytes(b"macOS")
    index, _ = index_folder(Searcher(run), "sounds")
    index.save("index")
    (folder / "captions.txt").write_text("A dog barks.\nRain.\n")
    (folder / "latin1.txt").write_bytes("Küche\n".encode("latin-1"))
    (folder / "empty.txt").write_text(" \n")
    os.mkfifo(folder / "pipe")
    yield folder
    patch.undo()


def interrupted(*arguments, **options):
    raise KeyboardInterrupt


@dataclass(frozen=True)
class Case:
    """name, command, exit code, a pattern of the last line on stderr (or of stdout, for code 0);
    prepare: what is done to the copy before; inside: what is done in the child; encoding: that of
    stdout; new: what the command may add.
    """

    name: str
    command: str
    message: str
    code: int = 1
    prepare: Callable[[], None] = lambda: None
    inside: Callable[[], None] = lambda: None
    encoding: str = "utf-8"
    new: tuple[str, ...] = ()


# What is done before a command


def flipped(name: str) -> Callable[[], None]:
    """One bit of a file, near its end."""

    def change() -> None:
        content = bytearray(pathlib.Path(name).read_bytes())
        content[-5] ^= 1
        pathlib.Path(name).write_bytes(content)

    return change


def written(name: str, content: str | bytes) -> Callable[[], None]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda: replaced(name).write_bytes(data)


def replaced(name: str) -> pathlib.Path:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def piped(name: str) -> Callable[[], None]:
    return lambda: os.mkfifo(replaced(name))


def removed(name: str) -> Callable[[], None]:
    return lambda: pathlib.Path(name).unlink()


def entries(name: str, **changes) -> Callable[[], None]:
    """A JSON file with some entries changed; None removes one."""

    def change() -> None:
        values = json.loads(pathlib.Path(name).read_text()) | changes
        left_out = [key for key, value in changes.items() if value is None]
        pathlib.Path(name).write_text(
            json.dumps({key: values[key] for key in values if key not in left_out})
        )

    return change


def everywhere(pattern: str, change: Callable[[str], Callable[[], None]]) -> Callable[[], None]:
    """The same done to every file of a pattern."""

    def change_all() -> None:
        for path in list(pathlib.Path().glob(pattern)):
            change(str(path))()

    return change_all


def sealed(change: Callable[[], None], run: str = "run") -> Callable[[], None]:
    """A run changed by somebody who gives it the checksums that belong to it."""

    def rewrite() -> None:
        change()
        metrics = json.loads(pathlib.Path(run, "metrics.json").read_text())
        for name in metrics.get("sha256", ()):
            metrics["sha256"][name] = storage.sha256_file(f"{run}/{name}")
        storage.write_sealed(
            f"{run}/metrics.json", {k: v for k, v in metrics.items() if k != "checksum"}
        )

    return rewrite


def tensors(name: str, change: Callable[[dict], dict]) -> Callable[[], None]:
    """A run's file rewritten, with the SHA-256 that belongs to it."""
    return sealed(lambda: save_file(change(dict(load_file(f"run/{name}"))), f"run/{name}"))


def index_of(
    vectors: np.ndarray, names: object = ("a", "b"), meta: bool = True
) -> Callable[[], None]:
    note = {"names": json.dumps(names), "weights": "0" * 64} if meta else None
    if note:
        note["checksum"] = storage.checksum(note, vectors)
    return lambda: save_file({"embeddings": vectors}, "index", note)


def line(**changes) -> Callable[[], None]:
    """The first line of the manifest with some entries changed."""

    def change() -> None:
        path = pathlib.Path("scenes/manifest.jsonl")
        first, *rest = path.read_text().splitlines()
        path.write_text("\n".join([json.dumps(json.loads(first) | changes), *rest]))

    return change


def caption(code: str, value: object) -> Callable[[], None]:
    captions = {known: "a tone" for known in CODES} | {code: value}
    return line(captions={known: text for known, text in captions.items() if text is not None})


def sound(samples: np.ndarray, name: str = "scenes/train0.wav", **options) -> Callable[[], None]:
    return lambda: soundfile.write(name, samples, 16000, **options)


def shared_captions():
    """All test clips under the captions of the first."""
    path = pathlib.Path("scenes/manifest.jsonl")
    clips = [json.loads(line) for line in path.read_text().splitlines()]
    first = next(clip for clip in clips if clip["split"] == "test")
    for clip in clips:
        if clip["split"] == "test":
            clip["captions"] = first["captions"]
    path.write_text("".join(json.dumps(clip) + "\n" for clip in clips))


def endless_flac() -> None:
    """A FLAC file whose header claims 2**36 - 1 samples."""
    soundfile.write("scenes/train0.flac", 0.1 * np.ones(4000), 16000)
    content = bytearray(pathlib.Path("scenes/train0.flac").read_bytes())
    content[21] |= 0x0F  # STREAMINFO: 36 bits from the middle of this byte
    content[22:26] = b"\xff" * 4
    pathlib.Path("scenes/train0.wav").write_bytes(content)


def linked_outside() -> None:
    shutil.move("scenes/train0.wav", "elsewhere.wav")
    os.symlink("../elsewhere.wav", "scenes/train0.wav")


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


def read_only(*names: str) -> Callable[[], None]:
    def change() -> None:
        for name in names:
            for path in [pathlib.Path(name), *pathlib.Path(name).rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)

    return change


def setting(name: str, value: str) -> Callable[[], None]:
    return lambda: os.environ.__setitem__(name, value)


def reader_gone() -> None:
    """What `| head -1` leaves of a pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)


def modules_here() -> None:
    """Python finds modules in the folder where the command is typed, as it does for `python -m`."""
    sys.path.insert(0, "")


def typed(content: bytes) -> Callable[[], None]:
    """What is typed, or comes by a pipe, as standard input."""
    return lambda: setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def homeless() -> None:
    """A user whose home folder nobody knows."""
    for name in ("HOME", "ATRI_CACHE", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    pwd.getpwuid = {}.__getitem__


def a_third_run(seed: int) -> Callable[[], None]:
    """A copy of a run that says it has this seed."""

    def copy() -> None:
        shutil.copytree("run/", "third")
        sealed(entries("third/config.json", seed=seed), "third")()

    return copy


ONES = np.ones((2, 4), np.float32)
SEARCH = "search dog --run run"
MANY = "search --run run --index index --queries"
SOUND = "search --run run --audio sounds/a.wav"
OWN = "train --data scenes --text-encoder toy --audio-encoder "
CASES = [
    # settings
    Case("an unknown scheme", f"{TRAIN} --scheme magic", "scheme='magic': unknown scheme 'magic': use one of ml_clap, .*or your own as module:Class"),
    Case("a batch of one", f"{TRAIN} --batch-size 1", "batch_size=1: it should be greater than or equal to 2"),
    Case("epochs in words", f"{TRAIN} --epochs many", "argument --epochs: invalid int value: 'many'", 2),
    Case("no epochs", f"{TRAIN} --epochs 0", "epochs=0: it should be greater"),
    Case("an infinite temperature", f"{TRAIN} --temperature inf", "temperature=inf: it should be a finite number"),
    Case("a temperature that is none", f"{TRAIN} --temperature nan", "temperature=nan: it should be a finite number"),
    Case("no temperature", f"{TRAIN} --temperature 0", "temperature=0.0: it should be greater than or equal to 0.001"),
    Case("a negative temperature", f"{TRAIN} --temperature=-1", "temperature=-1.0: it should be greater than"),
    Case("a temperature of nearly nothing", f"{TRAIN} --temperature 1e-45", "temperature=1e-45: it should"),
    Case("a temperature without end", f"{TRAIN} --temperature 1e9", "temperature=.*: it should be less than or equal"),
    Case("a step beyond the numbers", f"{TRAIN} --learning-rate 1e300",
         r"learning_rate=1e\+300: it should be at most 1e\+30"),
    Case("an empty start", f"{TRAIN} --init ''", "init='': it is empty; give a value, or leave it out"),
    Case("an empty manifest's name", "train --data ''", "data='': it is empty"),
    Case("an empty encoder", "train --audio-encoder ''", "audio_encoder='': it is empty"),
    Case("an empty text encoder", "train --text-encoder ''", "text_encoder='': it is empty"),
    Case("an empty folder", f"{TRAIN} --folder ''", "argument --folder: it is empty", 2),
    Case("a home that is none", "train --folder ~nobody-here/x", "'~nobody-here/x': there is no such home folder", 2),
    Case("no such module", f"{OWN}nowhere:Ear", "'nowhere:Ear': no module 'nowhere'; type the command in its folder"),
    Case("a module of nothing", f"{OWN}:Ear", "':Ear': write module:Class"),
    Case("a path as module", f"{OWN}a/b.py:Ear", "write module:Class, as in my_module:MyClass"),
    Case("a function as encoder", f"{OWN}os:system=true", "system of os is no subclass of torch.nn.Module"),
    Case("no such class", f"{OWN}os:Ear", "Ear of os is no subclass"),
    Case("a module that fails", f"{OWN}mine:Ear", "'mine:Ear': its module fails when imported .ZeroDivisionError",
         prepare=written("mine.py", "1 / 0"), inside=modules_here),
    Case("a module that leaves", f"{OWN}mine:Ear", "'mine:Ear': its module fails when imported .SystemExit",
         prepare=written("mine.py", "raise SystemExit(0)"), inside=modules_here),
    Case("a module without its own", f"{OWN}mine:Ear", "'mine:Ear': its module fails .*No module named 'absent'",
         prepare=written("mine.py", "import absent"), inside=modules_here),
    Case("a class that wants more", f"{OWN}torch.nn:Linear", "'torch.nn:Linear': it cannot be built .TypeError"),
    Case("a module that is no encoder", f"{OWN}torch.nn:ReLU", "'torch.nn:ReLU': it has no name .str.; see atri_lib"),
    Case("an infinite step", f"{TRAIN} --learning-rate inf", "learning_rate=inf: it should be a finite number"),
    Case("everything dropped", f"{TRAIN} --dropout 1", "dropout=1.0: it should be less than 1"),
    Case("dropout that is no number", f"{TRAIN} --dropout nan", "dropout=nan: it should be"),
    Case("a seed of 2^45", f"{TRAIN} --seed {2**45}", "seed=35184372088832: it should be less than 4294967296"),
    Case("a negative seed", f"{TRAIN} --seed=-1", "seed=-1: it should be greater than or equal to 0"),
    Case("a data seed of 2^64", f"{TRAIN} --data-seed {2**64}", "data_seed=.*: it should be less than"),
    Case("a third tower", f"{TRAIN} --unfreeze video=1", "unfreeze=.*it should be 'audio' or 'text'"),
    Case("blocks without a number", f"{TRAIN} --unfreeze audio", "unfreeze=.*audio=2 text=all"),
    Case("blocks in words", f"{TRAIN} --unfreeze text=some", "unfreeze=.*'text': 'some'.*text=all"),
    Case("negative blocks", f"{TRAIN} --unfreeze audio=-1", "unfreeze=.*greater than or equal to 0"),
    Case("English not first", f"{TRAIN} --languages fra eng", r"languages=.*English \(eng\) comes first"),
    Case("a language twice", f"{TRAIN} --languages eng eng", "languages=.*no language twice"),
    Case("an unknown language", f"{TRAIN} --languages eng xxx", "unknown language code 'xxx': use one of eng, fra"),
    Case("more languages than there are", f"{TRAIN} --scheme m_of_k --m 9", "draw .*9 different languages out of 8"),
    Case("m left open", f"{TRAIN} --scheme m_of_k", "m_of_k needs m"),
    Case("CACL with one language", f"{TRAIN} --scheme cacl --languages eng", "cacl.*language"),
    Case("an unknown preset", f"{TRAIN} --preset large", "preset='large': use one of mini, paper"),
    Case("an unknown encoder", f"{TRAIN} --text-encoder bert", "unknown encoder 'bert': use one of use, e5, sonar"),
    Case("an encoder without its path", f"{TRAIN} --audio-encoder ced-tiny=", "only ced-SIZE=PATH"),
    Case("no scenes", "train --scenes 9 0 9", "scenes=.*: it should be greater than or equal to 1"),
    Case("no width", f"{TRAIN} --width 0", "width=0: it should be greater"),
    Case("a negative chunk", f"{TRAIN} --text-chunk=-1", "text_chunk=-1: it should be greater"),
    Case("numbers of 8 bits", f"{TRAIN} --precision fp8", "precision='fp8': it should be 'fp32' or 'bf16'"),
    Case("an unknown profile", f"{TRAIN} --profile big", "argument --profile: invalid choice: 'big'", 2),
    Case("features of open towers", "features --profile paper", "invalid choice: 'paper'", 2),
    Case("features of five epochs", "features --epochs 5", "unrecognized arguments: --epochs 5", 2),
    Case("resuming with another seed", "train --resume begun --seed 99", "it takes no --seed; leave that out", 2),
    Case("resuming with a profile", "train --resume begun --profile smoke", "it takes no --profile; leave", 2),
    Case("resuming elsewhere", "train --resume begun --folder x --epochs 3", "it takes no --epochs, --folder", 2),
    Case("resuming nothing", "train --resume ''", "argument --resume: it is empty", 2),
    Case("a start that is nowhere", f"{TRAIN} --init nowhere", "init='nowhere': give the folder of a finished run"),
    Case("a start of another size", f"{TRAIN} --init run --width 8", "another architecture, .*expected"),
    Case("a start with a flipped bit", f"{TRAIN} --init run", "init='run': .*weights.safetensors is not what was",
         prepare=flipped("run/weights.safetensors")),
    Case("steps that explode", f"{TRAIN} --learning-rate 1e30 --epochs 9", "Try a smaller learning rate"),
    Case("more memory than there is", f"{TRAIN} --hidden 2000000000", "not enough memory; give .*--batch-size"),
    # a user's data
    Case("no manifest", f"{TRAIN} --data nowhere.jsonl", "nowhere.jsonl: no such manifest; give"),
    Case("a folder without manifest", f"{TRAIN} --data sounds", "sounds/manifest.jsonl: no such manifest"),
    Case("an empty manifest", TRAIN, "manifest.jsonl: empty", prepare=written("scenes/manifest.jsonl", "")),
    Case("a line that is not JSON", TRAIN, "manifest.jsonl:1: .*JSON",
         prepare=written("scenes/manifest.jsonl", "{audio")),
    Case("a line that is no text", TRAIN, "manifest.jsonl:1: .*JSON",
         prepare=written("scenes/manifest.jsonl", b'{"audio": "\xff"}')),
    Case("a line that is a list", TRAIN, "manifest.jsonl:1: .*object",
         prepare=written("scenes/manifest.jsonl", "[1]")),
    Case("a caption missing", TRAIN, ":1: .*caption missing .*deu", prepare=caption("deu", None)),
    Case("an empty caption", TRAIN, ":1: .*caption .*empty|jpn is empty", prepare=caption("jpn", " ")),
    Case("a caption that is a number", TRAIN, ":1: .*fra", prepare=caption("fra", 3)),
    Case("a caption too many", TRAIN, "trained kcl", 0,
         prepare=caption("fra", ["a", "b"]), new=("runs/kcl-0-*/*",)),
    Case("a caption in Klingon", TRAIN, ":1: .*unknown language code 'tlh'", prepare=caption("tlh", "nuqneH")),
    Case("an id twice", TRAIN, "id 'train1.wav' of train is on line 1 already", prepare=line(id="train1.wav")),
    Case("an id that is a number", TRAIN, ':1: "?id"?', prepare=line(id=3)),
    Case("an unknown split", TRAIN, ":1: .*split.*test", prepare=line(split="dev")),
    Case("a file outside", TRAIN, ":1: audio '../a.wav' is outside", prepare=line(audio="../a.wav")),
    Case("an absolute path", TRAIN, ":1: audio '/etc/hosts' is outside", prepare=line(audio="/etc/hosts")),
    Case("no such sound", TRAIN, ":1: .*x.wav: no such audio file", prepare=line(audio="x.wav")),
    Case("text as sound", TRAIN, ":1: .*train0.wav: cannot be read as audio",
         prepare=written("scenes/train0.wav", "a")),
    Case("an empty file as sound", TRAIN, ":1: .*train0.wav: is empty",
         prepare=written("scenes/train0.wav", "")),
    Case("a pipe as sound", TRAIN, ":1: .*train0.wav: no such audio file", prepare=piped("scenes/train0.wav")),
    Case("a sound too short", TRAIN, ":1: .*0.001 s of audio", prepare=sound(np.zeros(16))),
    Case("samples that are no numbers", TRAIN, "train0.wav: .*not finite",
         prepare=sound(np.full(4000, np.nan), subtype="FLOAT")),
    Case("no test split", "evaluate run --data scenes/m.jsonl", "no lines with split test",
         prepare=lambda: pathlib.Path("scenes/m.jsonl").write_text(
             pathlib.Path("scenes/manifest.jsonl").read_text().splitlines()[0])),
    Case("a mark before the manifest", "evaluate run --data scenes", "origin: ", 0,
         prepare=lambda: pathlib.Path("scenes/manifest.jsonl").write_bytes(
             b"\xef\xbb\xbf" + pathlib.Path("scenes/manifest.jsonl").read_bytes())),
    Case("captions that several clips share", "evaluate run --data scenes", "Several clips share a caption", 0,
         prepare=shared_captions),
    Case("a header that lies", TRAIN, "train0.wav", prepare=endless_flac),
    Case("samples without a header", TRAIN, "x.raw",
         prepare=lambda: (written("scenes/x.raw", bytes(9999))(), line(audio="x.raw")()) and None),
    Case("a caption of NUL", TRAIN, ":1: .*deu", prepare=caption("deu", "\0")),
    Case("an invisible caption", TRAIN, ":1: .*deu", prepare=caption("deu", "\u200b")),
    Case("a caption that is a mark", TRAIN, ":1: .*deu", prepare=caption("deu", "\ufeff")),
    Case("deafening samples", TRAIN, "train0.wav", prepare=sound(np.full(4000, 1e30), subtype="FLOAT")),
    Case("half a sound", TRAIN, "train0.wav", prepare=lambda: os.truncate("scenes/train0.wav", 4000)),
    Case("a link out of the folder", TRAIN, "train0.wav", prepare=linked_outside),
    Case("a test sound in training", TRAIN, "train0.wav|test0.wav",
         prepare=lambda: shutil.copy("scenes/test0.wav", "scenes/train0.wav") and None),
    # runs
    Case("no run", "evaluate nowhere", "nowhere: not a complete run .*; give the folder of a"),
    Case("an empty folder as run", "evaluate sounds", "sounds: not a complete run"),
    Case("a file as run", "evaluate captions.txt", "captions.txt: not a complete run"),
    Case("metrics that are null", "evaluate run", "metrics.json: a JSON object is expected, not NoneType",
         prepare=written("run/metrics.json", "null")),
    Case("metrics that are a list", "evaluate run", "a JSON object is expected, not list",
         prepare=written("run/metrics.json", "[]")),
    Case("metrics that lack keys", "evaluate run", "metrics.json has no name, origin, note, train_seconds, .*",
         prepare=sealed(written("run/metrics.json", "{}"))),
    Case("metrics without an origin", "evaluate run", "metrics.json has no origin",
         prepare=sealed(entries("run/metrics.json", origin=None))),
    Case("metrics without a note", "evaluate run", "metrics.json has no note",
         prepare=sealed(entries("run/metrics.json", note=None))),
    Case("metrics without a checksum", "evaluate run", "metrics.json: not what was written: its checksum differs",
         prepare=entries("run/metrics.json", checksum=None)),
    Case("a bit of the metrics", "evaluate run", "metrics.json: not what was written: its checksum differs",
         prepare=flipped("run/metrics.json")),
    Case("a key twice in the metrics", "evaluate run", "metrics.json: not JSON .the key 'a' comes twice",
         prepare=written("run/metrics.json", '{"a": 1, "a": 2}')),
    Case("a score beyond numbers", "evaluate run", "metrics.json: not JSON .1e999 is not a finite number",
         prepare=written("run/metrics.json", '{"a": 1e999}')),
    Case("a bit of the config", "evaluate run", "config.json is not what was written",
         prepare=flipped("run/config.json")),
    Case("a loss that is none", "evaluate run", "history.csv: values that are not finite numbers",
         prepare=sealed(written("run/history.csv", "epoch,loss,seconds\n1,nan,1\n"))),
    Case("ranks of zero", "evaluate run", "ranks.safetensors: t2a holds no ranks",
         prepare=tensors("ranks.safetensors", lambda state: {name: 0 * ranks for name, ranks in state.items()})),
    Case("a bit of an index", f"{SEARCH} --index index", "index: not an index .its content does not match its check",
         prepare=flipped("index")),
    Case("a pipe that describes features", f"features {ENCODED}", "origin", 0,
         prepare=everywhere("cache/features/*/about.json", piped)),
    Case("features described ten thousand deep", f"features {ENCODED}", "origin", 0,
         prepare=everywhere("cache/features/*/about.json", lambda name: written(name, '{"a":' * 10**5))),
    Case("features that are a pipe", f"features {ENCODED}", "origin", 0,
         prepare=everywhere("cache/features/*/values.npy", piped)),
    Case("a temperature next to none", f"{TRAIN} --seed 5 --temperature 1e-45", "temperature=1e-45: it should"),
    Case("a step beyond numbers", f"{TRAIN} --seed 5 --learning-rate 1e300", "learning_rate=1e.300: it should"),
    Case("metrics without scores", "evaluate run", "metrics.json has no test",
         prepare=sealed(entries("run/metrics.json", test="good"))),
    Case("metrics without checksums", "evaluate run", "metrics.json has no sha256",
         prepare=sealed(entries("run/metrics.json", sha256=None))),
    Case("metrics cut short", "evaluate run", "metrics.json: not JSON", prepare=written("run/metrics.json", '{"a":')),
    Case("metrics that are NaN", "evaluate run", "metrics.json: not JSON",
         prepare=entries("run/metrics.json", train_seconds=float("nan"))),
    Case("metrics ten thousand deep", "evaluate run", "metrics.json: not JSON",
         prepare=written("run/metrics.json", '{"a":' * 10**5)),
    Case("metrics that are a pipe", "evaluate run", "metrics.json: not a regular file",
         prepare=piped("run/metrics.json")),
    Case("a config with a list", "evaluate run", r"unfreeze=\[1\]: it should be a valid dictionary",
         prepare=sealed(entries("run/config.json", unfreeze=[1]))),
    Case("a config of another version", "evaluate run", r"config has unknown fields \['depth'\]",
         prepare=sealed(entries("run/config.json", depth=3))),
    Case("a config that is null", "evaluate run", "config.json: a JSON object",
         prepare=sealed(written("run/config.json", "null"))),
    Case("a config that is a pipe", "evaluate run", "config.json: not a regular file",
         prepare=piped("run/config.json")),
    Case("a bit of the weights", "evaluate run", "weights.safetensors is not what was written: its SHA-256 differs",
         prepare=flipped("run/weights.safetensors")),
    Case("a bit of the ranks", "evaluate run", "ranks.safetensors is not what was written",
         prepare=flipped("run/ranks.safetensors")),
    Case("a bit of the history", "evaluate run", "history.csv is not what was written",
         prepare=flipped("run/history.csv")),
    Case("a run that was interrupted", "evaluate begun", "finish it with `python -m atri_lib train --resume begun`"),
    Case("scores that paint the terminal", "evaluate run", r"\\x1b\[31m\\nend: 3", 0,
         prepare=sealed(entries("run/metrics.json", test={"\x1b[31m\nend": 3}))),
    Case("a note that paints it", "evaluate run", r"note: \\x07bell\\u202e", 0,
         prepare=sealed(entries("run/metrics.json", note="\abell\u202e"))),
    Case("a table that paints it", "evaluate run", r"\\x1b\]0;title\\x07 +1.00", 0,
         prepare=sealed(written("run/retrieval.csv", "language,R@1\n\x1b]0;title\a,1.0\n"))),
    Case("no data to evaluate on", "evaluate run --data ''", "argument --data: it is empty", 2),
    Case("a file as a run", "evaluate captions.txt", "captions.txt: not a complete run .*Not a directory.*; give the"),
    # comparing
    Case("one run alone", "compare run", "two runs are compared, not 1; for several seeds: compare RUN", 2),
    Case("three runs", "compare run other run", "two runs are compared, not 3", 2),
    Case("a run with itself", "compare run run", "run is given twice: name different runs"),
    Case("a run with a link to itself", "compare run runs/../run", "is given twice"),
    Case("a run with nothing", "compare run --with nowhere", "nowhere: not a complete run"),
    Case("a run with one that was interrupted", "compare run begun", "train --resume begun"),
    Case("a run with a pipe", "compare run pipe", "pipe: not a complete run"),
    Case("a run of other languages", "compare run other", "other was tested in eng fra, run in eng .*have to be",
         prepare=sealed(entries("other/config.json", languages=["eng", "fra"]), "other")),
    Case("a run of other data", "compare run other", "other: its data have changed since it was trained",
         prepare=sealed(entries("other/metrics.json", data="0" * 16), "other")),
    Case("a run whose data are gone", "compare run other", ": its test clips cannot be looked at .*put the data back",
         prepare=lambda: [sealed(entries("other/metrics.json", data="0" * 16), "other")(),
                          sealed(entries("run/config.json", data="x"))()] and None),
    Case("seeds that do not pair up", "compare run other --with third", "seeds 0, 2 do not pair up with 1: give runs",
         prepare=a_third_run(1)),
    Case("a seed twice", "compare run third --with other", "two runs of one side have the same seed: 0, 0",
         prepare=a_third_run(0)),
    Case("two runs", "compare run other", r"rank_std +\S+ +\S+ +\S+ +\S+ to \S+ +\S+ +(first|second|cannot tell)", 0),
    Case("weights missing", "evaluate run", "weights.safetensors", prepare=removed("run/weights.safetensors")),
    Case("weights cut short", "evaluate run", "weights.safetensors is not what",
         prepare=lambda: os.truncate("run/weights.safetensors", 100)),
    Case("weights that are a pipe", "evaluate run", "not a regular file", prepare=piped("run/weights.safetensors")),
    Case("weights that are not finite", f"{SEARCH} --folder sounds", "weights.safetensors: values that are not finite",
         prepare=tensors("weights.safetensors", lambda state: {k: np.full_like(v, np.nan) for k, v in state.items()})),
    Case("weights of another model", f"{SEARCH} --folder sounds", "do not fit run/weights.safetensors: .*missing",
         prepare=tensors("weights.safetensors", lambda state: {"x": ONES})),
    Case("ranks of one side", "evaluate run", "not a complete run .'a2t'",
         prepare=tensors("ranks.safetensors", lambda state: {"t2a": state["t2a"]})),
    Case("nothing to resume", "train --resume nowhere", "nowhere: not a run folder, config.json cannot be read"),
    Case("resuming another config", "train --resume begun", "RECIPE or data changed since it was started",
         prepare=entries("begun/config.json", epochs=3)),
    Case("a bit of a checkpoint", "train --resume begun", "damaged checkpoint .its content .*; delete it to begin",
         prepare=flipped("begun/checkpoint.safetensors")),
    Case("a checkpoint that is a pipe", "train --resume begun", "checkpoint.safetensors: damaged checkpoint .*regular",
         prepare=piped("begun/checkpoint.safetensors")),
    Case("a checkpoint that is text", "train --resume begun", "damaged checkpoint .*; delete it",
         prepare=written("begun/checkpoint.safetensors", "text")),
    # searching
    Case("no query", "search --run run --folder sounds", "ask one thing: a text, --audio FILE, or --queries FILE", 2),
    Case("an empty query", "search '' --run run --folder sounds", "the text '' is empty; describe a sound"),
    Case("a blank query", "search ' \t' --run run --folder sounds", "is empty; describe a sound"),
    Case("an invisible query", "search '\u200b\u200b' --run run --folder sounds", "is empty; describe a sound"),
    Case("half a character", "search 'dog \ud83d' --run run --folder sounds", "holds half of a character"),
    Case("text and sound", f"{SEARCH} --audio sounds/a.wav", "ask one thing: a text, --audio", 2),
    Case("text and texts", f"{SEARCH} --queries captions.txt --folder sounds", "ask one thing: a text", 2),
    Case("captions for a text", f"{SEARCH} --captions captions.txt", "give --audio FILE and no text", 2),
    Case("captions and a folder", f"{SOUND} --captions captions.txt --folder sounds", "--captions or in sounds", 2),
    Case("captions and an index", f"{SOUND} --captions captions.txt --index index", "--captions or in sounds", 2),
    Case("the language of a sound", f"{SOUND} --index index --language fra", "--language is that of texts", 2),
    Case("strict about nothing", f"{SEARCH} --index index --strict", "--strict is about the files of --folder", 2),
    Case("nowhere to search", SEARCH, "say where to search", 2),
    Case("no results wanted", f"{SEARCH} --folder sounds -k 0", "'0' is not a whole number from 1", 2),
    Case("a query in Klingon", f"{SEARCH} --folder sounds --language tlh", "argument --language: invalid choice", 2),
    Case("a file as folder", f"{SEARCH} --folder captions.txt", "captions.txt: this is a file; give the folder"),
    Case("an empty name of a folder", f"{SEARCH} --folder ''", "argument --folder: it is empty", 2),
    Case("queries that are nowhere", f"{MANY} nowhere", "No such file or directory: 'nowhere'"),
    Case("queries in Latin-1", f"{MANY} latin1.txt", "latin1.txt:1: not UTF-8 text .*at byte 2.; save the file as"),
    Case("queries that are blank", f"{MANY} empty.txt", "empty.txt: no queries; write one on each line"),
    Case("queries from a pipe", f"{MANY} pipe", "pipe: not a regular file"),
    Case("a query of 3,000 letters", f"{MANY} captions.txt", "captions.txt:3: the text 'b+' has 3000 characters",
         prepare=written("captions.txt", "a\n\n" + "b" * 3000)),
    Case("two queries", f"{MANY} captions.txt", "(?s)^A dog barks.:\n  .*\nRain.:\n  .*wav  [01-]", 0),
    Case("two queries as JSON", f"{MANY} captions.txt --json -k 1",
         r'^\{"query": "A dog barks\.", "language": "eng", "results": \[\{.*\n\{"query": "Rain\."', 0),
    Case("queries as they are typed", f"{MANY} - --json", r'^\{"query": "dog", .*\n\{"query": "雨", .*\n$', 0,
         inside=typed("dog\r\n\n雨".encode())),
    Case("a typed query that is none", f"{MANY} -", "^query 2: not UTF-8 text", 3, inside=typed(b"dog\n\xff\n")),
    Case("an invisible typed query", f"{MANY} -", "^query 1: the text .* is empty", 3,
         inside=typed("\u200b\ndog".encode())),
    Case("a typed query without end", f"{MANY} -", "query 1 has more than 65536 bytes", inside=typed(b"a" * 10**6)),
    Case("nothing typed", f"{MANY} -", "^$", 0, inside=typed(b"")),
    Case("no such folder", f"{SEARCH} --folder nowhere", "nowhere: no such folder"),
    Case("a folder without sounds", f"{SEARCH} --folder run", "run: no audio files"),
    Case("only what macOS leaves", f"{SEARCH} --folder mac", "mac: no audio files",
         prepare=written("mac/._a.wav", "macOS")),
    Case("a broken sound in the folder", f"{SEARCH} --folder sounds", "sounds/b.wav: cannot be read as audio", 3,
         prepare=written("sounds/b.wav", "text")),
    Case("a broken sound in an index", f"{SEARCH} --folder sounds --index new", "b.wav: cannot be read", 3,
         prepare=written("sounds/b.wav", "text"), new=("new",)),
    Case("a broken sound when strict", f"{SEARCH} --folder sounds --strict", "1 of 4 files cannot be read: sounds/b",
         prepare=written("sounds/b.wav", "text")),
    Case("a broken sound alone", f"{SEARCH} --folder mac", "1 of 1 files cannot be read: mac/b.wav",
         prepare=written("mac/b.wav", "text")),
    Case("an index over a sound", f"{SEARCH} --folder sounds --index sounds/a.wav", "sounds/a.wav: not an index"),
    Case("an index over captions", f"{SEARCH} --folder sounds --index captions.txt", "captions.txt: not an index"),
    Case("an index over a folder", f"{SEARCH} --folder sounds --index scenes", "scenes: not an index .*regular file"),
    Case("an index over a pipe", f"{SEARCH} --folder sounds --index pipe", "pipe: not an index .*regular file"),
    Case("no such index", f"{SEARCH} --index nowhere", "nowhere: not an index .*--folder FOLDER --index FILE"),
    Case("an index of other weights", f"{SEARCH} --index index", "built with other weights than those of run: build it",
         prepare=index_of(ONES)),
    Case("fewer names than vectors", f"{SEARCH} --index index", "1 names for vectors of shape",
         prepare=index_of(ONES, ["a"])),
    Case("names that are no list", f"{SEARCH} --index index", "names that are no list", prepare=index_of(ONES, 3)),
    Case("names that are numbers", f"{SEARCH} --index index", "no list of texts", prepare=index_of(ONES, [1, 2])),
    Case("vectors of one dimension", f"{SEARCH} --index index", "vectors of shape", prepare=index_of(ONES[0])),
    Case("vectors that are not finite", f"{SEARCH} --index index", "not finite",
         prepare=index_of(ONES * np.float32("inf"))),
    Case("vectors of integers", f"{SEARCH} --index index", "not finite float32",
         prepare=index_of(np.ones((2, 4), int))),
    Case("an index without names", f"{SEARCH} --index index", "index: not an index",
         prepare=index_of(ONES, meta=False)),
    Case("a sound that is nowhere", "search --run run --index index --audio x.wav", "x.wav: no such audio file"),
    Case("a sound that is text", "search --run run --index index --audio captions.txt", "cannot be read as audio"),
    Case("captions that are no UTF-8", f"{SOUND} --captions latin1.txt", "latin1.txt:1: not UTF-8 text .*save the"),
    Case("captions in UTF-16", f"{SOUND} --captions captions.txt", "captions.txt:1: not UTF-8 text",
         prepare=written("captions.txt", "a dog\n".encode("utf-16"))),
    Case("captions with one of Latin-1", f"{SOUND} --captions captions.txt", "captions.txt:3: not UTF-8 text",
         prepare=written("captions.txt", b"a\r\n\r\nK\xfcche")),
    Case("a caption of 3,000 letters", f"{SOUND} --captions captions.txt", "captions.txt:2: .* has 3000 characters",
         prepare=written("captions.txt", "a\n" + "b" * 3000)),
    Case("an invisible caption to find", f"{SOUND} --captions captions.txt", "captions.txt:1: the text .* is empty",
         prepare=written("captions.txt", "\u200b\na\n")),
    Case("captions with other ends of lines", f"{SOUND} --captions captions.txt",
         r"(?s)^(?=.*a\\x0cb\\u2028c\\x85d\\re  [01-])(?=.*Rain  [01-]).*$", 0,
         prepare=written("captions.txt", "\ufeffa\x0cb\u2028c\x85d\re\r\n\nRain\n")),
    Case("no captions", f"{SOUND} --captions empty.txt", "empty.txt: no captions; write one caption on each line"),
    Case("captions from a pipe", "search --run run --audio sounds/a.wav --captions pipe", "pipe: not a regular file"),
    # translating, composing
    Case("nothing to translate", "translate nowhere.txt --out x.csv", "nowhere.txt"),
    Case("Latin-1 to translate", "translate latin1.txt --out x.csv", "latin1.txt:1: not UTF-8 text"),
    Case("a long caption to translate", "translate captions.txt --out x.csv", "captions.txt:2: .* has 3000 characters",
         prepare=written("captions.txt", "a\n" + "b" * 3000)),
    Case("blanks to translate", "translate empty.txt --out x.csv", "empty.txt: no captions; write one"),
    Case("translation over its source", "translate captions.txt --out captions.txt", "would replace the captions"),
    Case("translation over a link to it", "translate captions.txt --out x", "would replace the captions",
         prepare=lambda: os.symlink("captions.txt", "x")),
    Case("English into English", "translate captions.txt --to eng --out x.csv", "invalid choice: 'eng'", 2),
    Case("a model that is nowhere", "translate captions.txt --out x.csv --model ./nowhere", "no such file or folder"),
    Case("a hub that was not asked for", "translate captions.txt --out x.csv", "only when asked: set ATRI_HUB=1"),
    Case("a hub without network", "translate captions.txt --out x.csv", "ATRI_OFFLINE is set, which forbids the",
         inside=setting("ATRI_OFFLINE", "1")),
    Case("no training scenes", "scenes --out x --train 0", "'0' is not a whole number from 1", 2),
    Case("scenes of a seed of 2^45", f"scenes --out x --seed {2**45}", "is not a whole number from 0 to 4294967295", 2),
    Case("scenes without a place", "scenes", "the following arguments are required: --out", 2),
    Case("scenes in an empty name", "scenes --out ''", "argument --out: it is empty", 2),
    Case("a squared number of scenes", "scenes --out x --train ²", "'²' is not a whole number", 2),
    Case("half a scene", "scenes --out x --val 0.5", "'0.5' is not a whole number", 2),
    Case("an empty seed", "scenes --out x --seed ''", "'' is not a whole number from 0", 2),
    Case("an empty name to translate", "translate '' --out x.csv", "argument captions: it is empty", 2),
    Case("translation into an empty name", "translate captions.txt --out ''", "argument --out: it is empty", 2),
    Case("an empty model", "translate captions.txt --out x.csv --model ''", "argument --model: it is empty", 2),
    Case("no language to translate to", "translate captions.txt --out x.csv --to", "expected at least one", 2),
    Case("a folder to translate", "translate sounds --out x.csv", "sounds: not a regular file"),
    Case("features of an empty name", "features --data ''", "data='': it is empty"),
    Case("features of nothing", "features --data nowhere", "nowhere: no such manifest|nowhere.*no such"),
    Case("features of text", "features --data captions.txt", "captions.txt:1: .*JSON"),
    Case("features of an unknown encoder", "features --audio-encoder bert", "unknown encoder 'bert': use one of"),
    Case("features without English", "features --languages fra", "English .eng. comes first"),
    Case("features of no parts", "features --parts 0", "parts=0: it should be greater"),
    Case("a doctor with a patient", "doctor run", "unrecognized arguments: run", 2),
    Case("an empty name of a run", "evaluate ''", "argument RUN: it is empty", 2),
    Case("an empty run to compare", "compare run ''", "argument RUN: it is empty", 2),
    Case("nothing after --with", "compare run --with", "expected at least one argument", 2),
    Case("an empty run to search with", "search dog --index index --run ''", "argument --run: it is empty", 2),
    Case("an empty index", f"{SEARCH} --index ''", "argument --index: it is empty", 2),
    Case("an empty sound", "search --run run --index index --audio ''", "argument --audio: it is empty", 2),
    Case("a number of results in words", f"{SEARCH} --index index -k five", "'five' is not a whole number", 2),
    Case("no command", "", "the following arguments are required: COMMAND", 2),
    Case("an unknown command", "fly", "invalid choice: 'fly'", 2),
    # the machine
    Case("a cache that cannot be made", "train --audio-encoder toy --text-encoder toy --data scenes",
         "captions.txt/cache.*: the cache cannot be made there .* set ATRI_CACHE",
         inside=setting("ATRI_CACHE", "captions.txt/cache")),
    Case("no home folder", "train --data scenes", "the user has no home folder.; set ATRI_CACHE",
         inside=homeless),
    Case("a doctor without a home", "doctor", "missing cache: .*no home folder.*\n +fix: .*set ATRI_CACHE", 0,
         inside=homeless),
    Case("a doctor without cache", "doctor", "missing cache: .*the cache cannot be made there", 0,
         inside=setting("ATRI_CACHE", "captions.txt/cache")),
    Case("a doctor with a read-only cache", "doctor", "cache: .*read-only: finished runs can be loaded", 0,
         prepare=read_only("cache"), inside=nobody),
    Case("a finished run, all read-only", TRAIN, "what: loaded kcl seed 0", 0,
         prepare=read_only("cache", "runs"), inside=nobody),
    Case("a new run, read-only", f"{TRAIN} --seed 5", "cannot be written|Permission denied",
         prepare=read_only("cache", "runs"), inside=nobody),
    Case("a full disk while training", f"{TRAIN} --seed 5", "the disk is full, what was there is untouched; .*ATRI",
         inside=full_disk),
    Case("a full disk for an index", f"{SEARCH} --folder sounds --index new", "new: the disk is full",
         prepare=lambda: [shutil.copy("sounds/a.wav", f"sounds/{'a' * 200}{i}.wav") for i in range(6)] and None,
         inside=full_disk),
    Case("a reader that has gone", "evaluate run", "^$", 141, inside=reader_gone),
    Case("an interruption", "evaluate run", "interrupted; run it again to go on", 130,
         inside=lambda: setattr(__main__, "COMMANDS", __main__.COMMANDS | {
             "evaluate": dataclasses.replace(__main__.COMMANDS["evaluate"], run=interrupted)})),
    Case("a terminal of ASCII", f"{SEARCH} --index index", r"\\u96e8.wav", 0, encoding="ascii"),
    Case("JSON for ASCII", f"{SEARCH} --index index --json", r'"\\u96e8.wav"', 0, encoding="ascii"),
    Case("names that paint the terminal", f"{SEARCH} --index index", r"esc\\x1b\[31m.wav", 0),
    Case("a message that paints it", "evaluate '\x1b[31m'", r"\\x1b\[31m: not a complete run"),
    Case("a new index", f"{SEARCH} --folder sounds --index new", "a.wav", 0, new=("new",)),
    Case("an index again", f"{SEARCH} --folder sounds --index index", "a.wav", 0, new=("index",),
         prepare=index_of(ONES)),
]  # fmt: skip


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """The files in a folder, by name, the cache apart; and nothing may be half-written, there
    neither.
    """
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("cache/") and not name.endswith(".atri-lock"):
            found[name] = path.read_bytes()
        elif path.is_dir():
            assert not re.search(r"/\.[^/]*\.\w{8}(\.atri-partial)?$", f"/{name}"), (
                f"{name} is half-written"
            )
    return found


def in_child(case: Case, out: pathlib.Path, err: pathlib.Path) -> int:
    """The exit code of a command in a child with limits; its output in two files."""
    child = os.fork()
    if not child:
        code = 99  # a traceback
        try:
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
            case.inside()
            sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding=case.encoding)
            sys.stderr = io.TextIOWrapper(
                open(2, "wb", closefd=False), encoding="utf-8", write_through=True
            )
            torch.set_num_threads(1)
            used = (
                int(re.search(r"VmSize:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])
                * 1024
            )
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            code = __main__.main(shlex.split(case.command))
        except SystemExit as stop:
            code = stop.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f"no end after {SECONDS} s")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_ends_with_a_code_and_a_line_and_spoils_nothing(case, world, monkeypatch):
    with tempfile.TemporaryDirectory() as place:
        copy = pathlib.Path(place) / "world"
        shutil.copytree(
            world, copy, symlinks=True, copy_function=shutil.copy2, ignore=lambda *_: ["pipe"]
        )
        os.mkfifo(copy / "pipe")
        for link in ("run", "other", "begun"):
            name = (copy / link).readlink().name
            (copy / link).unlink()
            os.symlink(pathlib.Path("runs") / name, copy / link)
        monkeypatch.chdir(copy)
        monkeypatch.setenv("ATRI_CACHE", str(copy / "cache"))
        case.prepare()
        before = contents(copy)
        out, err = (pathlib.Path(place) / name for name in ("out", "err"))
        code = in_child(case, out, err)
        said, complaint = (path.read_text(case.encoding, "replace") for path in (out, err))
        assert code == case.code, said + complaint
        assert re.search(
            case.message, said if code == 0 else (complaint.splitlines() or [""])[-1]
        ), said + complaint
        lines = [text for text in complaint.splitlines() if "Notice" not in text]
        assert code != 1 or case.name.startswith("a broken") or len(lines) == 1, complaint
        after = contents(copy)
        changed = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        assert bool(changed) == bool(case.new)
        assert all(any(fnmatch(name, pattern) for pattern in case.new) for name in changed), changed


def test_there_are_many_cases_with_different_names():
    assert len({case.name for case in CASES}) == len(CASES) >= 80


def test_a_real_program_whose_reader_has_gone_says_nothing(world):
    command = [sys.executable, "-m", "atri_lib", "evaluate", str(world / "run"), "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        program.stdout.close()
        assert (program.stderr.read(), program.wait()) == ("", 141)


def test_a_real_terminal_of_ascii_is_spoken_to_in_ascii(world):
    command = [sys.executable, "-m", "atri_lib", "evaluate", str(world / "雨")]
    done = subprocess.run(
        command, capture_output=True, env=os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    )
    assert (
        done.returncode == 1
        and done.stderr.isascii()
        and b"\\u96e8: not a complete run" in done.stderr
    )
