"""What must not get in, get lost or take the machine down: each case ends at once, with a line that
says what to do.
"""

import csv
import json
import os
import pathlib
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import safetensors.torch
import soundfile
from PIL import Image
from tiny_nllb import write_translator

from atri_lib import audio
from atri_lib.audio import SAMPLE_RATE, UnreadableSound, read_audio
from atri_lib.data import debian
from atri_lib.data.corpora import CorpusError, download, read_clotho
from atri_lib.data.debian import Package, package
from atri_lib.data.items import BankUnavailable
from atri_lib.data.manifest import CaptionedClips, ManifestError, load_manifest, write_manifest
from atri_lib.data.recorded import decode
from atri_lib.data.scenes import make_scenes
from atri_lib.data.synthetic import synthetic_sounds
from atri_lib.data.translation import CsvError, read_translations, translate, translate_to_csv
from atri_lib.hub import CheckpointError
from atri_lib.languages import CODES
from atri_lib.quiet import without_lines

NOISE = np.random.default_rng(0).normal(size=4 * SAMPLE_RATE).clip(-4, 4) / 8
RANDOM = np.random.default_rng(0).bytes(50_000)
OPUS = {"format": "OGG", "subtype": "OPUS"}
LFS = b"version https://git-lfs.github.com/spec/v1\n"
HTML = b"\n<!DOCTYPE html>\n<html><body>404 not found</body></html>" * 99
COLOURS = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8))
TONE = 0.5 * np.sin(np.arange(SAMPLE_RATE) / 7)
SECONDS = 120  # for a case


@pytest.fixture(autouse=True)
def in_time():
    """Python's own watch: a case that does not end is a failure, not a hanging suite."""

    def late(*_):
        raise AssertionError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def line(sound="tone.wav", split="train", **captions):
    return {
        "audio": sound,
        "split": split,
        "captions": {code: f"a tone, {code}" for code in CODES} | captions,
    }


def shown(image, split="train"):
    return {"image": image, "split": split, "captions": line()["captions"]}


def manifest(folder, *lines):
    (folder / "manifest.jsonl").write_text(
        "".join(json.dumps(entry) + "\n" for entry in lines), encoding="utf-8"
    )
    return folder


def tone(folder, name="tone.wav", samples=TONE, **options):
    soundfile.write(folder / name, samples, SAMPLE_RATE, **options)
    return folder / name


def halved(name, read):
    def load(folder):
        path = tone(folder, name)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        read(path)

    return load


def samples(value):
    def load(folder):
        tone(folder, samples=np.where(np.arange(SAMPLE_RATE) == 9, value, TONE), subtype="FLOAT")
        load_manifest(manifest(folder, line()))["train"].clip(0)

    return load


def spoilt(name, change, read=read_audio, **options):
    """A file of noise of which the bytes are changed."""

    def load(folder):
        path = tone(folder, name, NOISE, **options)
        path.write_bytes(change(path.read_bytes()))
        read(path)

    return load


def cut(part):
    return lambda content: content[: int(part * len(content))]


def one_byte(part):
    def change(content):
        place = int(part * len(content))
        return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]

    return change


def pages(content):
    """An Ogg file's pages."""
    return [b"OggS" + page for page in content.split(b"OggS")[1:]]


def without_page(content):
    first = pages(content)
    return b"".join(first[:4] + first[5:])


def without_length(content):
    """An MP3 without the frame that says how long it is."""
    info = max(content.find(b"Info"), content.find(b"Xing"))
    return content[content.index(content[:2], info) :]


def without_last_page(content):
    return b"".join(pages(content)[:-1])


def three_minutes_cut(folder):
    path = tone(folder, "a.mp3", np.tile(NOISE, 45))
    content = path.read_bytes()
    end, rates = 0, (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    while end < 0.99 * len(content):  # frame by frame, as their headers say
        end += 72_000 * rates[content[end + 2] >> 4] // SAMPLE_RATE + (content[end + 2] >> 1 & 1)
    path.write_bytes(content[:end])
    read_audio(path)


def beginning(content):
    """A file in place of the sound."""
    return lambda _: content


def unreadable(error):
    def load(folder):
        path = tone(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "builtins.open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, error))
            )
            read_audio(path)

    return load


def loop(folder):
    (folder / "loop.wav").symlink_to("loop.wav")
    read_audio(folder / "loop.wav")


def infinities(folder):
    read_audio(
        tone(folder, samples=np.stack([TONE + np.inf, TONE - np.inf], axis=1), subtype="FLOAT")
    )


def huge_opposites(folder):
    read_audio(
        tone(folder, samples=np.stack([TONE * 1e300, -TONE * 1e300], axis=1), subtype="DOUBLE")
    )


def endless(content):
    """A FLAC whose length was not known when it was begun."""
    return content[:21] + bytes([content[21] & 0xF0]) + bytes(4) + content[26:]


def in_manifest(path):
    load_manifest(manifest(path.parent, line(path.name)))


def an_hour(folder):
    in_manifest(tone(folder, "hour.flac", np.zeros(3600 * SAMPLE_RATE, np.int16)))


def lying_header(read):
    def load(folder):
        path = tone(folder, "lying.flac")
        content = bytearray(path.read_bytes())
        content[21] |= 0x0F  # 36 bits of STREAMINFO: 68,719,476,735 samples
        content[22:26] = b"\xff" * 4
        path.write_bytes(content)
        read(path)

    return load


def picture(name, content, **options):
    """A picture in a manifest: bytes, or an image and how to save it."""

    def load(folder):
        if isinstance(content, Image.Image):
            content.save(folder / name, **options)
        else:
            (folder / name).write_bytes(content)
        load_manifest(manifest(folder, shown(name)))

    return load


def cut_picture(name, part, **options):
    def load(folder):
        COLOURS.save(folder / name, **options)
        content = (folder / name).read_bytes()
        picture(name, content[: int(part * len(content))])(folder)

    return load


def claimed(width, height):
    """A PNG whose header claims so many pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = zlib.compress(bytes(99))
    body = struct.pack(">I", len(data)) + b"IDAT" + data + bytes(4)
    return b"\x89PNG\r\n\x1a\n" + chunk + body


def pipe_as_picture(folder):
    os.mkfifo(folder / "pipe.png")
    load_manifest(manifest(folder, shown("pipe.png")))


def folder_as_picture(folder):
    (folder / "dir.png").mkdir()
    load_manifest(manifest(folder, shown("dir.png")))


def picture_link_to_the_outside(folder):
    (folder / "set").mkdir()
    COLOURS.save(folder / "a.png")
    (folder / "set" / "a.png").symlink_to(folder / "a.png")
    load_manifest(manifest(folder / "set", shown("a.png")))


def raw(folder):
    (folder / "tone.raw").write_bytes(bytes(9000))
    in_manifest(folder / "tone.raw")


def pipe(folder):
    os.mkfifo(folder / "pipe.wav")
    in_manifest(folder / "pipe.wav")


def link_to_the_outside(folder):
    (folder / "set").mkdir()
    tone(folder)
    (folder / "set" / "tone.wav").symlink_to(folder / "tone.wav")
    load_manifest(manifest(folder / "set", line()))


def same_audio_in_two_splits(folder):
    tone(folder)
    shutil.copy(folder / "tone.wav", folder / "other.wav")
    load_manifest(manifest(folder, line(), line("other.wav", "test")))


def corpus_caption(text):
    def load(folder):
        header = ["file_name", *(f"caption_{n}" for n in range(1, 6))]
        with open(
            folder / "clotho_captions_development.csv", "w", encoding="utf-8", newline=""
        ) as stream:
            csv.writer(stream).writerows([header, ["a.wav", "b", text, "d", "e", "f"]])
        read_clotho(folder)

    return load


def own_table(text):
    def load(folder):
        (folder / "own.csv").write_text(f"sentence,fra\na dog,{text}\n", encoding="utf-8")
        read_translations(folder / "own.csv", ["a dog"], ["fra"])

    return load


def long_sentence(folder):
    translate(["a dog", "a" * 10**6], ["fra"], model=folder)


def translate_over_its_input(folder):
    (folder / "in.txt").write_text("a dog\nrain\n")
    try:
        translate_to_csv(["a dog", "rain"], ["fra"], folder / "in.txt", model=folder)
    finally:
        assert (folder / "in.txt").read_text() == "a dog\nrain\n"


def translator(damage):
    def load(folder):
        write_translator(folder / "model")
        damage(folder / "model" / "model.safetensors")
        translate(
            ["a dog"], ["fra"], model=folder / "model", cache=folder / "cache.jsonl", max_tokens=3
        )

    return load


def without_decoder(weights):
    state = safetensors.torch.load_file(weights)
    state = {name: value for name, value in state.items() if "decoder.layers" not in name}
    safetensors.torch.save_file(state, weights, {"format": "pt"})


def truncate(weights):
    weights.write_bytes(weights.read_bytes()[:5000])


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def pickled(weights):
    weights.unlink()
    weights.with_name("pytorch_model.bin").write_bytes(pickle.dumps({"model": Evil()}, 2))


def made(read=lambda index: TONE.astype(np.float32)):
    return {"train": CaptionedClips("made", ("a",), ({code: ("b",) for code in CODES},), "x", read)}


def never(index):
    raise AssertionError("rendered before it was known that the folder can be written")


def on_a_mount_point(folder):
    (folder / "mount").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pathlib.Path,
            "is_mount",
            lambda path: path == folder / "mount",
        )
        write_manifest(made(never), folder / "mount")


def link_to_a_full_folder(folder):
    (folder / "full").mkdir()
    (folder / "full" / "precious.txt").write_text("keep")
    (folder / "link").symlink_to("full")
    write_manifest(made(never), folder / "link")


def second_of_two(folder):
    """Another process puts its result in place while this one renders."""

    def meanwhile(index):
        write_manifest(made(), folder / "out")
        return TONE

    try:
        write_manifest(made(meanwhile), folder / "out")
    finally:
        assert (
            sorted(path.name for path in folder.iterdir()) == ["out"]
            and len(load_manifest(folder / "out")) == 1
        )


def fetch(monkeypatched):
    def load(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "which", lambda tool: tool)
            patch.setattr(Package, "run", no_room)
            patch.setattr(debian, "ROOT", folder)
            patch.setenv("ATRI_CACHE", str(folder / "cache"))
            monkeypatched(patch)
            package("stamps").find("*.ogg")

    return load


def no_room(*command):
    raise BankUnavailable("apt-get fails (E: Write error (28: No space left on device))")


def with_network(patch):
    patch.delenv("ATRI_OFFLINE", raising=False)


def no_network(patch):
    patch.setenv("ATRI_OFFLINE", "1")


def download_without_network(folder):
    with pytest.MonkeyPatch.context() as patch:
        no_network(patch)
        download("clotho", folder)


CASES = {
    "an hour of audio": (
        an_hour,
        ManifestError,
        r"hour\.flac: 57600000 samples .*10 minutes are the most; cut it",
    ),
    "68 billion samples": (
        lying_header(in_manifest),
        ManifestError,
        "68719476735 samples .*10 minutes are the most",
    ),
    "68 billion samples read": (lying_header(read_audio), UnreadableSound, "68719476735 samples"),
    "68 billion samples in a recording": (
        lying_header(decode),
        UnreadableSound,
        "68719476735 samples",
    ),
    "a raw file": (
        raw,
        ManifestError,
        r"tone\.raw: cannot be read as audio .*convert it to WAV or FLAC",
    ),
    "a pipe": (pipe, ManifestError, r"pipe\.wav: cannot be read as audio .*not a regular file"),
    "half a WAV": (
        halved("tone.wav", in_manifest),
        ManifestError,
        r"tone\.wav: .*\(cut short or broken\); fetch it again",
    ),
    "half a WAV among the recordings": (
        halved("tone.wav", decode),
        UnreadableSound,
        r"tone\.wav: .*cut short",
    ),
    "half a FLAC": (
        halved("tone.flac", read_audio),
        UnreadableSound,
        r"tone\.flac: cannot be read as audio .*fetch it again",
    ),
    "half an MP3": (
        halved("tone.mp3", read_audio),
        UnreadableSound,
        r"tone\.mp3: cannot be read as audio to its end",
    ),
    "half an AIFF": (halved("tone.aiff", in_manifest), ManifestError, r"tone\.aiff: .*cut short"),
    **{
        f"{100 * part:.0f} % of {name}": (
            spoilt(name, cut(part), **options),
            UnreadableSound,
            rf"{name}: cannot be read as audio to its end",
        )
        for name, options in {"noise.ogg": {}, "noise.opus": OPUS}.items()
        for part in (0.25, 0.5, 0.75, 0.95, 0.999)
    },
    **{
        f"a flipped bit at {100 * part:.0f} % of {name}": (
            spoilt(name, one_byte(part), **options),
            UnreadableSound,
            rf"{name}: cannot be read as audio to its end",
        )
        for name, options in {"noise.ogg": {}, "noise.opus": OPUS}.items()
        for part in (0.25, 0.5, 0.7, 0.9)
    },
    "a page that is missing, Opus": (
        spoilt("a.opus", without_page, **OPUS),
        UnreadableSound,
        "cut short",
    ),
    "a page that is missing, Vorbis": (
        spoilt("a.ogg", without_page),
        UnreadableSound,
        "cut short",
    ),
    "no last page": (
        spoilt("a.ogg", without_last_page),
        UnreadableSound,
        "cut short",
    ),
    "no last page, in a manifest": (
        spoilt("a.ogg", without_last_page, in_manifest),
        ManifestError,
        r"a\.ogg: .*cut short",
    ),
    "no last page, a recording": (
        spoilt("a.ogg", without_last_page, decode),
        UnreadableSound,
        "fetch it again",
    ),
    **{
        f"{what} named {name}": (
            spoilt(name, beginning(content)),
            UnreadableSound,
            rf"{name}: cannot be read as audio to its end \(it begins b['\"]{begins}.*"
            "fetch it again, or convert it to WAV or FLAC, e.g. ffmpeg -i INPUT OUTPUT.wav",
        )
        for what, name, content, begins in (
            ("HTML", "a.mp3", HTML, r"\\n<!DOCTYPE html>"),
            ("HTML", "a.wav", HTML, r"\\n<!DOCTYPE html>"),
            ("HTML with a byte order mark", "a.wav", b"\xef\xbb\xbf" + HTML, r"\\xef.*<!DOCTYPE"),
            ("nothing", "a.ogg", b"", ""),
            ("zeros", "a.mp3", bytes(9000), r"\\x00\\x00"),
            ("text", "a.mp3", b"a dog barks\n" * 999, "a dog barks"),
            ("JSON", "a.ogg", b'{"error": "quota"}', '{"error": "quota"}'),
            ("random bytes", "a.mp3", RANDOM, ""),
            ("a pointer of Git LFS", "a.wav", LFS, "version https://git-"),
            ("a ZIP archive", "a.wav", b"PK\3\4" + RANDOM, "PK"),
            ("M4A", "a.wav", b"\0\0\0 ftypM4A ", ".*ftypM4A"),
        )
    },
    "zeros before an MP3": (
        spoilt("a.mp3", lambda content: bytes(700) + content),
        UnreadableSound,
        "cannot be read as audio",
    ),
    "two MP3 files in one": (
        spoilt("a.mp3", lambda content: 2 * content),
        UnreadableSound,
        "several sounds in one file",
    ),
    "two FLAC files in one": (
        spoilt("a.flac", lambda content: 2 * content, in_manifest),
        ManifestError,
        "several sounds in one file",
    ),
    "an Ogg that is broken in its middle, in a manifest": (
        spoilt("a.ogg", one_byte(0.5), in_manifest),
        ManifestError,
        r"a\.ogg: .*\(cut short or broken\)",
    ),
    "an MP3 of three minutes that is cut where a frame ends": (
        three_minutes_cut,
        UnreadableSound,
        r"a\.mp3: .*cut short, 28\d{5} of 2880000 samples are there",
    ),
    "a billion scenes": (
        lambda _: make_scenes(synthetic_sounds(), {"train": 10**9}),
        ValueError,
        "train: 1000000000 scenes wanted, but .* give only",
    ),
    "infinite samples of two signs": (infinities, UnreadableSound, "not finite"),
    "channels of 1e300 that cancel": (huge_opposites, UnreadableSound, "not finite or above 100"),
    "a damaged MP3": (
        spoilt("a.mp3", lambda c: c[:9000] + RANDOM[:4000] + c[13000:]),
        UnreadableSound,
        "cannot be read as audio to its end",
    ),
    "a FLAC of unknown length": (
        spoilt("a.flac", endless),
        UnreadableSound,
        r"a\.flac: \d+ samples at 16000 Hz, 10 minutes are the most; cut it into clips",
    ),
    "a file that may not be read": (
        unreadable("Permission denied"),
        UnreadableSound,
        r"tone\.wav: cannot be read as audio to its end \(.*Perm",
    ),
    "a link to itself": (
        loop,
        UnreadableSound,
        r"loop\.wav: cannot be read as audio .*Too many levels",
    ),
    "a name with NUL": (
        lambda folder: read_audio(folder / "a\0.wav"),
        UnreadableSound,
        r"a\\x00\.wav: cannot be read as audio",
    ),
    "a name of two lines": (
        lambda folder: read_audio(folder / "a\nb\x1b.wav"),
        UnreadableSound,
        r"a\\nb\\x1b\.wav: .*No such file",
    ),
    "a name of half a character": (
        lambda folder: read_audio(folder / "\ud800.wav"),
        UnreadableSound,
        "cannot be read as audio",
    ),
    "a folder named .wav": (
        lambda folder: read_audio(folder),
        UnreadableSound,
        "cannot be read as audio .*not a regular file",
    ),
    "samples of 1e30": (
        samples(1e30),
        UnreadableSound,
        r"tone\.wav: values that are not finite or above 100",
    ),
    "samples that are not numbers": (samples(np.nan), UnreadableSound, "not finite"),
    "infinite samples": (samples(-np.inf), UnreadableSound, "not finite"),
    "a link to the outside": (
        link_to_the_outside,
        ManifestError,
        ":1: 'tone.wav' is outside the manifest's folder; move it in",
    ),
    "one clip in two splits": (
        same_audio_in_two_splits,
        ManifestError,
        ":2: 'other.wav' of test and what is on line 1: it is the same clip in two splits",
    ),
    **{
        f"{100 * part:.0f} % of a picture, {name}": (
            cut_picture(name, part),
            ManifestError,
            rf":1: .*{name}: cannot be read as an image .*PNG of 8 to 9000 pixels a side$",
        )
        for name in ("a.png", "a.jpg", "a.gif", "a.webp", "a.bmp")
        for part in (0.05, 0.5, 0.9)
    },
    **{
        f"{what} named {name}": (
            picture(name, content),
            ManifestError,
            rf":1: .*{name}: cannot be read as an image .*fetch it again, or save it as PNG",
        )
        for what, name, content in (
            ("no bytes", "a.png", b""),
            ("an HTML page", "a.png", HTML),
            ("SVG", "a.png", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
            ("PostScript", "a.eps", COLOURS),
            ("random bytes", "a.png", RANDOM),
        )
    },
    "a picture of 1 pixel": (
        picture("a.png", Image.new("L", (1, 1))),
        ManifestError,
        ":1: .*1 x 1 pixels.*8 to 9000 pixels a side",
    ),
    "a picture 40,000 pixels wide": (
        picture("a.png", Image.new("L", (40_000, 20))),
        ManifestError,
        ":1: .*40000 x 20 pixels.*8 to 9000 pixels a side",
    ),
    **{
        f"a picture of {width} x {width} by its header": (
            picture("a.png", claimed(width, width)),
            ManifestError,
            rf":1: .*({width**2} pixels|{width} x {width}).* 8 to 9000 pixels a side",
        )
        for width in (9001, 30_000, 2**31 - 1)
    },
    "a TIFF": (
        picture("a.tif", Image.new("F", (20, 20))),
        ManifestError,
        r":1: .*a\.tif: cannot be read as an image .* save it as PNG",
    ),
    "a pipe named .png": (pipe_as_picture, ManifestError, r":1: .*pipe\.png: .*not a regular file"),
    "a folder named .png": (
        folder_as_picture,
        ManifestError,
        r":1: .*dir\.png: .*not a regular file",
    ),
    "a picture behind a link to the outside": (
        picture_link_to_the_outside,
        ManifestError,
        ":1: 'a.png' is outside the manifest's",
    ),
    "a corpus caption of 1 MB": (
        corpus_caption("a" * 10**6),
        CsvError,
        r"development\.csv: .*field limit",
    ),
    "a corpus caption of 3,000": (
        corpus_caption("a" * 3000),
        CsvError,
        r"development\.csv: row 2: caption_2 has 3000 char",
    ),
    "a corpus caption of NUL": (
        corpus_caption("\0"),
        CsvError,
        r"development\.csv: row 2: caption_2 holds a NUL",
    ),
    "a translation of 3,000": (
        own_table("a" * 3000),
        CsvError,
        r"own\.csv: row 2: fra has 3000 characters",
    ),
    "a translation of zero-width spaces": (
        own_table("\u200b"),
        CsvError,
        r"own\.csv: row 2: fra is empty",
    ),
    "a sentence of 1 MB": (
        long_sentence,
        ValueError,
        "the sentence .* has 1000000 characters",
    ),
    "translate over its input": (
        translate_over_its_input,
        CsvError,
        r"in\.txt exists and is not replaced\. Name another file",
    ),
    "a translator without decoder": (
        translator(without_decoder),
        CheckpointError,
        "weights are missing.*get it again",
    ),
    "a translator cut short": (
        translator(truncate),
        CheckpointError,
        "no sequence-to-sequence checkpoint",
    ),
    "a translator as a pickle": (
        translator(pickled),
        CheckpointError,
        "no sequence-to-sequence checkpoint",
    ),
    "scenes on a mount point": (
        on_a_mount_point,
        ManifestError,
        "mount is not an empty folder, or one that can be replaced; remove it or choose",
    ),
    "scenes over a link's folder": (
        link_to_a_full_folder,
        ManifestError,
        "link is not an empty folder",
    ),
    "two scenes at once": (second_of_two, OSError, "Directory not empty: .*out"),
    "a full disk": (
        fetch(with_network),
        OSError,
        "stamps: cannot be written .No space left.*free some space",
    ),
    "no network allowed": (
        fetch(no_network),
        BankUnavailable,
        "ATRI_OFFLINE forbids all network",
    ),
    "no network for a corpus": (
        download_without_network,
        CorpusError,
        "ATRI_OFFLINE .*local copy .*give its folder to read_clotho",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_one_line(tmp_path, case):
    action, kind, message = CASES[case]
    with pytest.raises(kind, match=message) as caught:
        action(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given", ["\ufefftone", "=tone", "a\u200btone", "🐕", "\u3164tone", "⠞⠕⠝", "न"]
)
def test_a_caption_with_something_to_see_is_taken(tmp_path, given):
    tone(tmp_path)
    assert load_manifest(manifest(tmp_path, line(fra=given)))["train"].sentences("fra") == [given]


def test_ten_minutes_of_stereo_are_read_in_less_than_half_a_gigabyte(tmp_path):
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 44_100, 2) as stream:
        for _ in range(60):
            stream.write(np.zeros((441_000, 2), np.int16))
    script = f"""
import resource
from atri_lib.audio import mono_16k, read_audio
import numpy as np
mono_16k(np.zeros(44_100, np.float32), 44_100)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(read_audio({str(tmp_path / "long.wav")!r})) == 600 * 16_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 0.5  # GiB


def test_scenes_go_where_a_link_points_and_keep_the_folders_permissions(tmp_path):
    (tmp_path / "real").mkdir(mode=0o750)
    (tmp_path / "link").symlink_to("real")
    write_manifest(made(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real/manifest.jsonl").is_file()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o750


def test_a_repaired_translator_does_not_give_what_the_damaged_one_gave(tmp_path):
    options = {
        "cache": tmp_path / "cache.jsonl",
        "max_tokens": 4,
        "beams": 1,
        "model": tmp_path / "model",
    }
    write_translator(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    state = safetensors.torch.load_file(weights)
    safetensors.torch.save_file(
        {name: value.flip(0) for name, value in state.items()}, weights, {"format": "pt"}
    )
    translate(["a dog"], ["fra"], **options)
    write_translator(tmp_path / "model")
    fresh = translate(["a dog"], ["fra"], **options | {"cache": tmp_path / "other.jsonl"})
    assert translate(["a dog"], ["fra"], **options) == fresh
    assert (
        len([entry for entry in (tmp_path / "cache.jsonl").read_text().splitlines() if entry]) == 2
    )


def test_a_wave_file_whose_length_was_not_known_when_it_was_begun_is_read(tmp_path):
    path = tone(tmp_path)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert len(audio.read_audio(path)) == SAMPLE_RATE


def mp3_without_length(path, gain=1.0, seconds=16, rate=SAMPLE_RATE):
    """An MP3 that begins loud and goes on with little to code, its first frame with the length
    taken away.
    """
    noise = np.random.default_rng(1).normal(size=seconds * rate).clip(-4, 4) / 8
    noise[rate:] *= 0.01
    soundfile.write(path, gain * noise, rate)
    whole = audio.read_audio(path)
    path.write_bytes(without_length(path.read_bytes()))
    return whole


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("gain", [1.0, 1e-3])
def test_an_mp3_without_a_length_is_decoded_to_its_end(tmp_path, gain, rate):
    whole = mp3_without_length(tmp_path / "a.mp3", gain, rate=rate)
    read = audio.read_audio(tmp_path / "a.mp3")
    assert (
        len(whole) <= len(read) < len(whole) + 0.2 * SAMPLE_RATE
    )  # the encoder's padding is not cut off
    delay = round(len(read) - len(whole))
    at_best = min(np.abs(read[d : d + 9000] - whole[:9000]).max() for d in range(delay + 1))
    assert at_best < (1e-5 if rate == SAMPLE_RATE else 0.3) * gain


def test_an_mp3_without_a_length_of_more_than_ten_minutes_is_refused(tmp_path):
    path = tone(tmp_path, "a.mp3", np.zeros(601 * SAMPLE_RATE))
    path.write_bytes(without_length(path.read_bytes()))
    with pytest.raises(UnreadableSound, match="10 minutes are the most; cut it into clips"):
        read_audio(path)


def id3(content):
    return b"ID3\4\0\0\0\0\x10\0" + b"Info\0\0\0\1".ljust(2048, b"\0") + content


def tagged(content):
    return content + b"TAG" + b"a title".ljust(125, b"\0")


@pytest.mark.parametrize("change", [id3, tagged, lambda content: content])
def test_an_mp3_is_read_to_its_end_whatever_stands_around_or_behind_it(tmp_path, change):
    path = tone(tmp_path, "a.mp3", NOISE)
    content = path.read_bytes()
    plain = len(read_audio(path))
    path.write_bytes(change(content))
    assert len(read_audio(path)) == plain
    path.write_bytes(change(without_length(content)))
    assert plain <= len(read_audio(path)) < plain + 0.3 * SAMPLE_RATE


def test_opposite_channels_are_not_averaged_to_silence_and_one_notice_says_so(tmp_path, capsys):
    opposite = np.stack([TONE, -TONE], axis=1)
    heard = read_audio(tone(tmp_path, "mono.wav", TONE))
    path = tone(tmp_path, "opposite.wav", opposite)
    assert np.array_equal(read_audio(path), heard) and np.array_equal(read_audio(path), heard)
    err = capsys.readouterr().err
    assert err.count("opposite.wav: its channels cancel each other out; channel 1 is taken") == 1
    for name, samples in {
        "lossy.ogg": opposite,
        "with silence.wav": np.stack([0 * TONE, TONE, -TONE], axis=1),
        "with an offset.wav": opposite / 2 + 0.3,
    }.items():
        assert np.std(read_audio(tone(tmp_path, name, samples))) > 0.1, name
        assert capsys.readouterr().err.count("cancel each other") == 1, name


@pytest.mark.parametrize(
    "channels",
    [
        np.stack([TONE, TONE], axis=1),
        np.stack([TONE, -0.9 * TONE], axis=1),
        np.stack([0 * TONE, 0 * TONE], axis=1),
        np.stack([1e-7 * TONE, -1e-7 * TONE], axis=1),
        np.stack([TONE + 0.3, TONE - 0.3], axis=1) / 2,
        np.stack([0.3 + 1e-3 * TONE, -0.3 + 1e-3 * TONE], axis=1),
        NOISE.reshape(-1, 2),
    ],
)
def test_any_other_stereo_is_the_mean_of_its_channels(tmp_path, capsys, channels):
    path = tone(tmp_path, samples=channels, subtype="FLOAT")
    stored, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(read_audio(path), stored.mean(axis=1)) and not capsys.readouterr().err


@pytest.mark.parametrize("options", [{}, OPUS])
def test_two_ogg_files_in_one_are_not_read_as_their_first(tmp_path, options):
    path = tone(tmp_path, "a.ogg", NOISE, **options)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UnreadableSound, match="several sounds in one file"):
        read_audio(path)


def test_a_file_whose_name_is_not_utf_8_is_read(tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")
    shutil.copy(tone(tmp_path), odd)
    assert len(read_audio(odd)) == SAMPLE_RATE
    pathlib.Path(odd).write_bytes(b"")
    with pytest.raises(UnreadableSound, match=r"\\udcff\.wav: cannot be read as audio"):
        read_audio(odd)


@pytest.mark.parametrize(
    "case",
    ["random bytes named a.mp3", "text named a.mp3", "a damaged MP3", "HTML named a.mp3"],
)
def test_the_decoder_writes_no_lines_of_its_own(tmp_path, capfd, case):
    with pytest.raises(UnreadableSound):
        CASES[case][0](tmp_path)
    assert capfd.readouterr() == ("", "")


def test_what_others_write_to_stderr_meanwhile_is_kept(capfd):
    with without_lines(*audio._MPG123):
        os.write(2, b"Note: resync\n[rank1] progress\n")
    assert capfd.readouterr().err == "[rank1] progress\n"


@pytest.mark.parametrize("channels, seconds", [(1000, 2), (8, 1100 / 60)])
def test_a_file_of_many_channels_is_read_part_by_part(tmp_path, monkeypatch, channels, seconds):
    monkeypatch.setattr(audio, "MAX_SAMPLES", 20 * SAMPLE_RATE)  # of one channel
    path, count = tmp_path / "many.wav", int(seconds * SAMPLE_RATE)
    noise = np.resize(NOISE, (count, 1)) / 2
    soundfile.write(path, np.tile(noise, channels), SAMPLE_RATE, subtype="PCM_U8")
    stored, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(read_audio(path), stored.mean(axis=1))
