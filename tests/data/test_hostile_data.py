"""What must not get in, get lost or take the machine down: each case ends at once, with a line that says what to do."""

import csv
import errno
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import namedtuple

import numpy as np
import pytest
import safetensors.torch
import soundfile
from tiny_nllb import write_translator

from atri_lib import audio
from atri_lib.audio import SAMPLE_RATE, UnreadableSound, read_audio
from atri_lib.data import stamps
from atri_lib.data.corpora import CorpusError, download, read_clotho
from atri_lib.data.manifest import AudioCaptions, ManifestError, load_manifest, write_manifest
from atri_lib.data.recorded import decode
from atri_lib.data.sounds import SoundsUnavailable
from atri_lib.data.translation import CsvError, read_translations, translate, translate_to_csv
from atri_lib.hub import CheckpointError
from atri_lib.languages import CODES

TONE = 0.5 * np.sin(np.arange(SAMPLE_RATE) / 7)
SECONDS = 30  # for a case


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
    return {"audio": sound, "split": split, "captions": {code: f"a tone, {code}" for code in CODES} | captions}


def manifest(folder, *lines):
    (folder / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines), encoding="utf-8")
    return folder


def tone(folder, name="tone.wav", samples=TONE, **options):
    soundfile.write(folder / name, samples, SAMPLE_RATE, **options)
    return folder / name


def caption(text):
    def load(folder):
        tone(folder)
        load_manifest(manifest(folder, line(), line(fra=text)))

    return load


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
        load_manifest(manifest(folder, line()))["train"].waveform(0)

    return load


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
        with open(folder / "clotho_captions_development.csv", "w", encoding="utf-8", newline="") as stream:
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
        translate(["a dog"], ["fra"], model=folder / "model", cache=folder / "cache.jsonl", max_tokens=3)

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
    return {"train": AudioCaptions("made", ("a",), ({code: ("b",) for code in CODES},), "x", read)}


def never(index):
    raise AssertionError("rendered before it was known that the folder can be written")


def on_a_mount_point(folder):
    (folder / "mount").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EBUSY, "Device or resource busy")))
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
        assert sorted(path.name for path in folder.iterdir()) == ["out"] and len(load_manifest(folder / "out")) == 1


class Zeros(io.RawIOBase):
    """A tar file whose first member says that it is large; its content is never there in one piece."""

    def __init__(self, name, size):
        entry = tarfile.TarInfo(name)
        entry.size = size
        self.header, self.taken = entry.tobuf(tarfile.GNU_FORMAT), 0

    def read(self, count=-1):
        self.taken += count
        assert self.taken < 10**8, "read into memory"
        part, self.header = self.header[:count], self.header[count:]
        return part + bytes(count - len(part))


def archive(name, size):
    return lambda folder: stamps.unpack(tarfile.open(fileobj=Zeros(name, size), mode="r|"), folder)


def fetch(monkeypatched):
    def load(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "which", lambda tool: tool)
            patch.setattr(stamps, "download", lambda *_: pytest.fail("fetched"))
            monkeypatched(patch)
            stamps.fetch_stamps(folder / "stamps")

    return load


def full_disk(patch):
    patch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(2 * 10**6))


def no_network(patch):
    patch.setenv("ATRI_OFFLINE", "1")


def download_without_network(folder):
    with pytest.MonkeyPatch.context() as patch:
        no_network(patch)
        download("clotho", folder)


STAMPS = "usr/share/tuxpaint/stamps/"
MANIFEST_2 = r"manifest\.jsonl:2: captions: caption in fra "
CASES = {
    "a caption of 1 MB": (caption("a" * 10**6), ManifestError, MANIFEST_2 + "has 1000000 characters, 2000 are"),
    "a caption of 100,000 words": (caption("dog " * 10**5), ManifestError, MANIFEST_2 + "has 399999 characters"),
    "a caption of NUL": (caption("\0\0"), ManifestError, MANIFEST_2 + "is empty"),
    "a caption of zero-width spaces": (caption("\u200b \u200b"), ManifestError, MANIFEST_2 + "is empty"),
    "a caption of a byte order mark": (caption("\ufeff"), ManifestError, MANIFEST_2 + "is empty"),
    "a caption of Hangul fillers": (caption("\u3164\u115f"), ManifestError, MANIFEST_2 + "is empty"),
    "a caption of blank braille": (caption("\u2800 \u2800"), ManifestError, MANIFEST_2 + "is empty"),
    "a caption of marks without letters": (caption("\ufe0f\u034f\u0301"), ManifestError, MANIFEST_2 + "is empty"),
    "half a surrogate pair": (caption("\ud800"), ManifestError, r"manifest\.jsonl:2: Invalid JSON"),
    "an hour of audio": (an_hour, ManifestError, r"hour\.flac: 57600000 samples .*10 minutes are the most, cut it"),
    "68 billion samples": (lying_header(in_manifest), ManifestError, "68719476735 samples .*10 minutes are the most"),
    "68 billion samples read": (lying_header(read_audio), UnreadableSound, "68719476735 samples"),
    "68 billion samples in a recording": (lying_header(decode), UnreadableSound, "68719476735 .*remove the stamps"),
    "a raw file": (raw, ManifestError, r"tone\.raw: cannot be read as audio .*convert it to WAV or FLAC"),
    "a pipe": (pipe, ManifestError, r"pipe\.wav: no such audio file"),
    "half a WAV": (halved("tone.wav", in_manifest), ManifestError, r"tone\.wav: cut short, .*replace the file"),
    "half a WAV among the recordings": (halved("tone.wav", decode), UnreadableSound, r"tone\.wav: cut short"),
    "half a FLAC": (halved("tone.flac", read_audio), UnreadableSound, r"tone\.flac: broken audio .*replace the file"),
    "half an MP3": (halved("tone.mp3", read_audio), UnreadableSound, r"tone\.mp3: cut short, .*replace the file"),
    "half an AIFF": (halved("tone.aiff", in_manifest), ManifestError, r"tone\.aiff: cut short"),
    "samples of 1e30": (samples(1e30), UnreadableSound, r"tone\.wav: values that are not finite or above 100"),
    "samples that are not numbers": (samples(np.nan), UnreadableSound, "not finite"),
    "infinite samples": (samples(-np.inf), UnreadableSound, "not finite"),
    "a link to the outside": (link_to_the_outside, ManifestError, ":1: audio 'tone.wav' is outside the manifest's"),
    "one clip in two splits": (same_audio_in_two_splits, ManifestError, r":2: other.wav \(test\) .*tone.wav \(train\)"),
    "a corpus caption of 1 MB": (corpus_caption("a" * 10**6), CsvError, r"development\.csv:2: .*field limit"),
    "a corpus caption of 3,000": (corpus_caption("a" * 3000), CsvError, r"development\.csv:2: caption_2 has 3000 char"),
    "a corpus caption of NUL": (corpus_caption("\0"), CsvError, r"development\.csv:2: .*(NUL|caption_2 is empty)"),
    "a translation of 3,000": (own_table("a" * 3000), CsvError, r"own\.csv:2: fra has 3000 characters"),
    "a translation of zero-width spaces": (own_table("\u200b"), CsvError, r"own\.csv:2: fra is empty"),
    "a sentence of 1 MB": (long_sentence, ValueError, "sentence 2 of those to translate has 1000000 characters"),
    "translate over its input": (translate_over_its_input, CsvError, r"in\.txt exists .*name another file"),
    "a translator without decoder": (translator(without_decoder), CheckpointError, "weights are missing.*get it again"),
    "a translator cut short": (translator(truncate), CheckpointError, "no sequence-to-sequence checkpoint"),
    "a translator as a pickle": (translator(pickled), CheckpointError, "no sequence-to-sequence checkpoint"),
    "scenes on a mount point": (on_a_mount_point, ManifestError, r"mount cannot be replaced \(Device or resource busy"),
    "scenes over a link's folder": (link_to_a_full_folder, ManifestError, "link exists and is not an empty folder"),
    "two scenes at once": (second_of_two, ManifestError, "out cannot be replaced .*name another folder"),
    "a package of 3 GB": (archive("./usr/other", 3 * 10**9), SoundsUnavailable, "unpacks to more than it should"),
    "a recording of 1 GB": (archive(f"./{STAMPS}a.ogg", 10**9), SoundsUnavailable, r"a\.ogg: 1000000000 bytes"),
    "a full disk": (fetch(full_disk), OSError, "disk full: the recordings need 322 MB, 2 MB are free; set ATRI_CACHE"),
    "no network allowed": (fetch(no_network), SoundsUnavailable, "ATRI_OFFLINE forbids all network"),
    "no network for a corpus": (download_without_network, CorpusError, "ATRI_OFFLINE .*local copy to read_clotho"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_one_line(tmp_path, case):
    action, kind, message = CASES[case]
    with pytest.raises(kind, match=message) as caught:
        action(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["\ufefftone", "=tone", "a\u200btone", "🐕", "\u3164tone", "⠞⠕⠝", "न"])
def test_a_caption_with_something_to_see_is_taken(tmp_path, given):
    tone(tmp_path)
    assert load_manifest(manifest(tmp_path, line(fra=given)))["train"].sentences("fra") == [given]


def test_ten_minutes_of_stereo_are_read_in_less_than_a_gigabyte(tmp_path):
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
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.0  # GiB


def test_scenes_go_where_a_link_points_and_keep_the_folders_permissions(tmp_path):
    (tmp_path / "real").mkdir(mode=0o750)
    (tmp_path / "link").symlink_to("real")
    write_manifest(made(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real/manifest.jsonl").is_file()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o750


def test_a_repaired_translator_does_not_give_what_the_damaged_one_gave(tmp_path):
    options = {"cache": tmp_path / "cache.jsonl", "max_tokens": 4, "beams": 1, "model": tmp_path / "model"}
    write_translator(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    state = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({name: value.flip(0) for name, value in state.items()}, weights, {"format": "pt"})
    translate(["a dog"], ["fra"], **options)
    write_translator(tmp_path / "model")
    fresh = translate(["a dog"], ["fra"], **options | {"cache": tmp_path / "other.jsonl"})
    assert translate(["a dog"], ["fra"], **options) == fresh
    assert len([entry for entry in (tmp_path / "cache.jsonl").read_text().splitlines() if entry]) == 2


def test_a_wave_file_whose_length_was_not_known_when_it_was_begun_is_read(tmp_path):
    path = tone(tmp_path)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert len(audio.read_audio(path)) == SAMPLE_RATE
