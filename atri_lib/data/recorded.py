"""Recordings of the Tux Paint stamps (Debian package tuxpaint-stamps-default, GPL-2.0-or-later) as a sound bank."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np

from atri_lib.data.sounds import (
    SAMPLE_RATE,
    Sound,
    SoundsUnavailable,
    UnreadableSound,
    bank_checksum,
    levelled,
    trimmed,
)
from atri_lib.languages import CODES, LANGUAGES
from atri_lib.progress import progress
from atri_lib.storage import atomic_path, cache_dir, checksum, code_hash

PACKAGE = "tuxpaint-stamps-default"
MEGABYTES = 161
LICENCE = "GPL-2.0-or-later"
INSTALLED = pathlib.Path("/usr/share/tuxpaint/stamps")
CORRECTIONS = pathlib.Path(__file__).with_name("tuxpaint_names.json")


class RecordedBank:
    """The stamps' sound effects under their native captions in eight languages.

    folder: a `stamps` folder; None looks for the installed package, then the cache, then fetches the package.
    corrections: per sound id {"why": ..., code: name, ...} or {"why": ..., "drop": true}; None: tuxpaint_names.json.
    left_out: why each sound that is not in `sounds` was left out. Raises SoundsUnavailable, UnreadableSound.
    """

    name = "tuxpaint"

    def __init__(self, folder: str | os.PathLike | None = None, corrections: Mapping[str, Mapping] | None = None):
        self.folder = find_stamps() if folder is None else pathlib.Path(folder)
        if corrections is None:
            corrections = json.loads(CORRECTIONS.read_text(encoding="utf-8"))
        self.left_out: dict[str, str] = {}
        chosen: dict[pathlib.Path, dict[str, str]] = {}
        for path in sorted(p for p in self.folder.rglob("*.ogg") if is_effect(p.relative_to(self.folder))):
            correction = corrections.get(path.stem, {})
            names = sound_names(path.with_suffix(".txt"), correction)
            if correction.get("drop"):
                self.left_out[path.stem] = correction["why"]
            elif missing := [code for code in CODES if not names.get(code)]:
                self.left_out[path.stem] = f"no caption in {', '.join(missing)}"
            elif taken := [names[code] for code in CODES if any(names[code] == n[code] for n in chosen.values())]:
                self.left_out[path.stem] = f"another sound has the name {taken[0]!r}"
            else:
                chosen[path] = names
        waveforms = decoded(list(chosen))
        self.left_out |= {path.stem: "silent" for path in chosen if not waveforms[path].size}
        self.sounds = tuple(
            Sound(path.stem, waveforms[path], names, path.relative_to(self.folder).as_posix(), LICENCE)
            for path, names in chosen.items()
            if waveforms[path].size
        )
        if not self.sounds:
            raise SoundsUnavailable(
                f"no sound effects with captions in eight languages under {self.folder}: "
                "give RecordedBank the folder `stamps` of Tux Paint, or remove this one to have it fetched again"
            )
        self.checksum = bank_checksum(self.sounds)


def is_effect(path: pathlib.PurePath) -> bool:
    """Whether a path below `stamps` is a sound effect: not a spoken description, a symbol's name or a game's rule."""
    return (
        path.suffix == ".ogg"
        and "_desc" not in path.stem
        and not path.stem.startswith("dreydl")
        and path.parts[0] != "symbols"
    )


def sound_names(caption_file: pathlib.Path, correction: Mapping) -> dict[str, str]:
    """Noun phrases per language code from NAME.txt (line 1 English, then `<locale>.utf8=<caption>`), corrected.

    Languages without a caption are absent; a caption file that does not exist counts as empty.
    """
    lines = caption_file.read_text(encoding="utf-8", errors="replace").splitlines() if caption_file.exists() else []
    captions = {"en.utf8": lines[0] if lines else ""}
    captions |= dict(line.split("=", 1) for line in lines[1:] if "=" in line)
    found = {lang.code: noun_phrase(captions.get(f"{lang.locale}.utf8", ""), lang.code) for lang in LANGUAGES}
    found |= {code: correction[code] for code in CODES if code in correction}
    return {code: name for code, name in found.items() if name}


def noun_phrase(caption: str, code: str) -> str:
    """A native caption as it reads inside a sentence: "Ein bunter Hahn." -> "ein bunter Hahn", "一只企鹅。" -> "企鹅".

    Drops what is in parentheses and final punctuation; Japanese and Chinese lose spaces, Chinese its classifier;
    the first letter is lowered, in German only that of an article.
    """
    text = re.sub(r"[(（].*?[)）]", "", caption)
    text = " ".join(text.split()).strip(" .,;!。．！")
    if code in ("jpn", "zho"):
        return re.sub("^一[只个道]", "", text.replace(" ", "")) if code == "zho" else text.replace(" ", "")
    if code == "deu" and not re.match(r"(Ein|Eine|Der|Die|Das)\b", text):
        return text
    return text[:1].lower() + text[1:]


def decoded(paths: list[pathlib.Path]) -> dict[pathlib.Path, np.ndarray]:
    """The waveforms of audio files as in Sound (silence: empty), from the cache if these bytes were decoded before."""
    code = code_hash(__name__, "atri_lib.data.manifest", "atri_lib.data.sounds")
    key = checksum(*(path.read_bytes() for path in paths), code)
    cached = cache_dir("tuxpaint") / f"decoded-{key}.npz"
    with contextlib.suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):  # absent or damaged
        with np.load(cached, allow_pickle=False) as arrays:
            flat, ends = arrays["samples"].astype(np.float32) / 2**15, arrays["ends"]
        return dict(zip(paths, np.split(flat, ends[:-1]), strict=True))
    waveforms = {path: decode(path) for path in progress(paths, "decoding the recordings")}
    flat = np.concatenate([*waveforms.values(), np.zeros(0)])
    with atomic_path(cached) as partial:
        ends = np.cumsum([w.size for w in waveforms.values()], dtype=np.int64)
        np.savez(partial, samples=np.round(flat * 2**15).astype(np.int16), ends=ends)
    return waveforms


def decode(path: pathlib.Path) -> np.ndarray:
    """One audio file as mono 16 kHz, without rumble below 60 Hz, trimmed and levelled. Raises UnreadableSound."""
    import soundfile  # these four here: a decoded bank loads in a fraction of their import time
    import torch
    from torchaudio import functional

    from atri_lib.data.manifest import mono_16k

    try:
        samples, rate = soundfile.read(path, always_2d=True)  # [frames, channels], float64: equal bytes on every CPU
    except soundfile.LibsndfileError as reason:
        advice = "remove the stamps folder it is in to have it fetched again"
        raise UnreadableSound(f"{path} cannot be decoded ({reason}): {advice}") from None
    mono = torch.from_numpy(mono_16k(samples, rate))
    if not mono.numel():
        return np.zeros(0, np.float32)
    mono /= mono.abs().max().clamp(1.0)  # the filter clips what exceeds 1
    waveform = trimmed(functional.highpass_biquad(mono, SAMPLE_RATE, 60.0).numpy())
    return levelled(waveform) if waveform.size else np.zeros(0, np.float32)


def find_stamps() -> pathlib.Path:
    """The `stamps` folder: of the installed package, else from the cache, else fetched. Raises SoundsUnavailable."""
    cached = cache_dir("tuxpaint") / "stamps"
    if INSTALLED.is_dir() and any(is_effect(path.relative_to(INSTALLED)) for path in INSTALLED.rglob("*.ogg")):
        return INSTALLED
    if not cached.is_dir():
        fetch_stamps(cached)
    return cached


def fetch_stamps(target: pathlib.Path) -> None:
    """Put the package's sound effects, captions and copyright file into `target`; needs no root and leaves no .deb.

    A second process waits for the first; a killed one leaves a temporary folder that the next removes.
    """
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise _unavailable(f"this machine has no {' or '.join(missing)}")
    with _alone(target.with_suffix(".lock")):
        if target.is_dir():
            return
        for leftover in target.parent.glob(f".{target.name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with atomic_path(target, folder=True) as partial:
            package = download(partial / "download")
            with _tar_of(package) as archive:
                unpack(archive, partial)
            shutil.rmtree(partial / "download")


def download(folder: pathlib.Path) -> pathlib.Path:
    """The package as a .deb in `folder`, fetched and verified by apt-get, which keeps its state there too."""
    print(f"Fetching the recordings: Debian's {PACKAGE}, {MEGABYTES} MB, once.", file=sys.stderr)
    folder = folder.absolute()
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    settings = {"Dir::State": folder, "Dir::State::lists": folder / "lists", "Dir::Cache": folder / "cache"}
    settings |= {"Dir::State::status": "/var/lib/dpkg/status", "APT::Sandbox::User": "root"}
    settings |= {"Acquire::Languages": "none", "Acquire::http::Timeout": 20, "Acquire::https::Timeout": 20}
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    log = folder / "log.txt"
    for label, action in (("reading the package list", ["update"]), ("fetching the recordings", ["download", PACKAGE])):
        with open(log, "w") as output:
            process = subprocess.Popen(
                [*apt, *action], cwd=folder, stdout=output, stderr=output, env={**os.environ, "LC_ALL": "C"}
            )
        try:
            total = MEGABYTES if action[0] == "download" else None
            for _ in progress(_megabytes(process, folder), label, total=total, unit="MB"):
                pass
        finally:
            process.kill()
            process.wait()
    packages = list(folder.glob("*.deb"))
    if process.returncode or not packages:  # a failed update alone does not matter: sources that are down are common
        said = " ".join(log.read_text(errors="replace").split())[-300:]
        raise _unavailable(f"apt-get could not fetch it (is this machine offline?): {said}")
    return packages[0]


def unpack(archive: tarfile.TarFile, folder: pathlib.Path) -> None:
    """Write the sound effects, their captions and the copyright file of the package; nothing else, nothing outside."""
    stamps = pathlib.PurePosixPath("usr/share/tuxpaint/stamps")
    files: dict[pathlib.PurePath, bytes] = {}
    for member in archive:
        path = pathlib.PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise _unavailable(f"the package holds the unsafe path {member.name!r}, so it was not unpacked")
        if member.isfile() and path.is_relative_to(stamps):
            inner = path.relative_to(stamps)
            if inner.suffix == ".txt" or is_effect(inner):
                files[inner] = archive.extractfile(member).read()
        elif member.isfile() and path.parts[-2:] == (PACKAGE, "copyright"):
            files[pathlib.PurePath("copyright")] = archive.extractfile(member).read()
    for inner, content in files.items():
        if inner.suffix != ".txt" or inner.with_suffix(".ogg") in files:
            (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (folder / inner).write_bytes(content)


def _unavailable(reason: str) -> SoundsUnavailable:
    return SoundsUnavailable(
        f"the Tux Paint recordings are not available: {reason}. On Debian or Ubuntu, go online "
        f"or run `sudo apt-get install {PACKAGE}`; elsewhere copy Tux Paint's stamps to {cache_dir('tuxpaint')}/stamps."
    )


@contextlib.contextmanager
def _tar_of(package: pathlib.Path) -> Iterator[tarfile.TarFile]:
    command = ["dpkg-deb", "--fsys-tarfile", package]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        with process.stdout, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            yield archive
            process.stdout.read()
            if process.wait():
                raise tarfile.ReadError(f"dpkg-deb exits with {process.returncode}")
    except tarfile.TarError as reason:
        raise _unavailable(f"the downloaded package is damaged ({reason})") from None
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _alone(lock: pathlib.Path) -> Iterator[None]:
    import fcntl  # absent on Windows, where there is no apt-get either

    with open(lock, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting: another process is fetching the recordings.", file=sys.stderr)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _megabytes(process: subprocess.Popen, folder: pathlib.Path) -> Iterator[None]:
    """One item per megabyte that arrives in `folder` while the process runs."""
    seen = _size(folder)
    while process.poll() is None:
        time.sleep(0.2)
        arrived = _size(folder)
        yield from [None] * (arrived - seen)
        seen = max(seen, arrived)


def _size(folder: pathlib.Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError):  # apt renames files when they are complete
        for path in folder.rglob("*"):
            total += path.stat().st_size
    return total // 10**6
