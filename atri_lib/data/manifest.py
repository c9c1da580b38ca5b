"""Sounds with captions in eight languages: the dataset every chapter runs on, and how one is kept in a folder."""

import json
import os
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import soundfile
import torch
import torchaudio

from atri_lib import storage
from atri_lib.languages import CODES, language
from atri_lib.progress import progress

SAMPLE_RATE = 16_000
SPLITS = ("train", "val", "test")
AUDIO_FORMATS = ("flac", "wav")
MIN_SECONDS = 0.1
FORMAT = 1  # raise it when the same files are decoded to other samples: features of the old ones are not used again
_SHOWN = 10  # faults listed in one error


class ManifestError(ValueError):
    """Captions or audio that do not make a dataset; the message names file and line, and what to change."""


@dataclass(frozen=True, eq=False)
class AudioCaptions:
    """Clips and their captions; ids and captions in memory, audio read when asked for.

    captions: per clip {language code: sentences}, all eight languages, equally many sentences in each. checksum:
    changes with the captions and with the audio. read: clip index -> float32 [samples], 16 kHz mono. Raises
    ManifestError when ids repeat or a clip's captions are not complete.
    """

    name: str
    ids: tuple[str, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    checksum: str
    read: Callable[[int], np.ndarray] = field(repr=False)

    sample_rate = SAMPLE_RATE

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.captions) or len(set(self.ids)) != len(self.ids):
            raise ManifestError(f"{self.name}: {len(self.captions)} clips need as many ids, each different")
        for name, captions in zip(self.ids, self.captions, strict=True):
            if fault := _caption_fault(captions):
                raise ManifestError(f"{self.name}, clip {name}: {fault}")

    def __len__(self) -> int:
        return len(self.ids)

    def waveform(self, index: int) -> np.ndarray:
        """Clip `index` as float32 [samples], 16 kHz mono. Raises IndexError, and ManifestError for a broken file."""
        return self.read(range(len(self))[index])

    def sentences(self, code: str) -> list[str]:
        """All captions in one language, clip by clip. Raises UnknownLanguage."""
        code = language(code).code
        return [sentence for captions in self.captions for sentence in captions[code]]

    @property
    def owner(self) -> np.ndarray:
        """int64 [captions]: the clip that each of `sentences(code)` belongs to."""
        return np.repeat(np.arange(len(self)), [len(captions[CODES[0]]) for captions in self.captions])


@dataclass(frozen=True)
class AudioFiles:
    """Reads clip `index` from the file of that number."""

    paths: tuple[pathlib.Path, ...]

    def __call__(self, index: int) -> np.ndarray:
        return read_audio(self.paths[index])


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """An audio file as float32 [samples], mixed to mono and resampled to 16 kHz.

    Raises ManifestError when the file is missing, no audio, shorter than 0.1 s, or holds values that are not finite.
    """
    check_header(path)
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)  # [frames, channels]
    except soundfile.SoundFileError as error:
        raise ManifestError(f"{path}: broken audio ({error}); replace the file") from error
    if len(samples) < MIN_SECONDS * rate or not np.isfinite(samples).all():
        raise ManifestError(f"{path}: cut short, or values that are not finite; replace the file")
    return mono_16k(samples, rate)


def mono_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Float [frames, channels] at `rate` Hz, mixed to mono and resampled to 16 kHz: [samples], of the same dtype.

    The rate is taken to the nearest 25 Hz (inaudible: 4 cents at 5.4 kHz, less above), because the resampling kernel
    of an odd one such as 44,101 Hz would need gigabytes.
    """
    mono = torch.from_numpy(samples.mean(axis=1))
    return torchaudio.functional.resample(mono, max(25, round(rate / 25) * 25), SAMPLE_RATE).numpy()


def check_header(path: str | os.PathLike) -> None:
    """Raises ManifestError when an audio file is missing, no audio, or shorter than 0.1 s by its header."""
    if not pathlib.Path(path).is_file():
        raise ManifestError(f"{path}: no such audio file")
    try:
        header = soundfile.info(path)
    except soundfile.SoundFileError as error:
        raise ManifestError(f"{path}: cannot be read as audio ({error}); convert it to WAV or FLAC") from error
    if header.frames < MIN_SECONDS * header.samplerate:
        raise ManifestError(f"{path}: {header.frames / header.samplerate:.3f} s of audio, {MIN_SECONDS} s is the least")


@dataclass(frozen=True)
class _Line:
    split: str
    id: str
    audio: pathlib.PurePosixPath
    captions: dict[str, tuple[str, ...]]


def load_manifest(path: str | os.PathLike, *, check_audio: bool = True) -> dict[str, AudioCaptions]:
    """The datasets of a manifest by split, those of train, val and test that it has.

    path: a .jsonl file, or a folder with manifest.jsonl. One clip a line, audio relative to the manifest:
    {"audio": "dog.wav", "split": "train", "captions": {"eng": "A dog." or ["A dog.", ...], ... all eight}}; an "id",
    different for each clip of a split, may be given (else the audio path). Every audio file is read once for the
    checksum; check_audio=False leaves its header unread until the clip is used. Raises ManifestError listing
    file:line of what is wrong: at most ten faults at once.
    """
    path = pathlib.Path(path)
    path = path / "manifest.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest; give a .jsonl file or a folder that holds manifest.jsonl")
    lines: dict[int, _Line] = {}
    sums: dict[int, str] = {}
    faults, seen = [], {}
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            if raw.strip():
                line = lines[number] = _parse(raw)
                for what in (f"audio {line.audio}", f"id {line.id!r} of {line.split}"):
                    if seen.setdefault(what, number) != number:
                        raise ManifestError(f"{what} is on line {seen[what]} already; keep a clip's captions together")
        except ManifestError as error:
            faults.append(f"{path}:{number}: {error}")
    for number in progress([] if faults else list(lines), "reading audio files", unit="file"):
        audio = path.parent / lines[number].audio
        try:
            if check_audio:
                check_header(audio)
            sums[number] = storage.sha256_file(audio)
        except (ManifestError, OSError) as error:
            faults.append(f"{path}:{number}: {error}")
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise ManifestError("\n".join(faults[:_SHOWN] + more))
    if not lines:
        raise ManifestError(f"{path}: empty; write one JSON object per clip and line")
    datasets = {split: [n for n, line in lines.items() if line.split == split] for split in SPLITS}
    return {split: _dataset(path, [(lines[n], sums[n]) for n in rows]) for split, rows in datasets.items() if rows}


def _dataset(path: pathlib.Path, rows: list[tuple[_Line, str]]) -> AudioCaptions:
    return AudioCaptions(
        name=f"{path.resolve().parent.name}-{rows[0][0].split}",
        ids=tuple(line.id for line, _ in rows),
        captions=tuple(line.captions for line, _ in rows),
        checksum=storage.checksum(FORMAT, *([line.id, line.captions, audio] for line, audio in rows)),
        read=AudioFiles(tuple(path.parent / line.audio for line, _ in rows)),
    )


def _parse(raw: bytes) -> _Line:
    """One line of a manifest. Raises ManifestError without file and line."""
    try:
        entry = json.loads(raw.decode("utf-8"))
    except ValueError as error:  # also UnicodeDecodeError
        raise ManifestError(f"not JSON in UTF-8 ({error})") from error
    if not isinstance(entry, dict):
        raise ManifestError('expected an object {"audio": ..., "split": ..., "captions": {...}}')
    if not isinstance(entry.get("audio"), str) or not entry["audio"]:
        raise ManifestError('"audio" must be the path of an audio file, relative to the manifest')
    audio = pathlib.PurePosixPath(os.path.normpath(entry["audio"]))
    if audio.is_absolute() or ".." in audio.parts or pathlib.PureWindowsPath(entry["audio"]).drive:
        raise ManifestError(f"audio {entry['audio']!r} is outside the manifest's folder; move the file into it")
    if entry.get("split") not in SPLITS:
        raise ManifestError(f"unknown split {entry.get('split')!r}: use {', '.join(SPLITS)}")
    name = entry.get("id", str(audio))
    if not isinstance(name, str) or not name:
        raise ManifestError(f'"id" must be a text that is not empty, not {name!r}')
    if not isinstance(entry.get("captions"), dict):
        raise ManifestError('"captions" must be an object: a caption, or a list of them, per language code')
    captions = {}
    for code, sentences in entry["captions"].items():
        sentences = [sentences] if isinstance(sentences, str) else sentences
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise ManifestError(f"captions in {code!r} must be a text or a list of texts")
        captions[code] = tuple(sentence.strip() for sentence in sentences)
    if fault := _caption_fault(captions):
        raise ManifestError(fault)
    return _Line(entry["split"], name, audio, {code: captions[code] for code in CODES})


def _caption_fault(captions: Mapping[str, tuple[str, ...]]) -> str | None:
    """What is wrong with a clip's captions, or None."""
    if unknown := [code for code in captions if code not in CODES]:
        return f"unknown language code {unknown[0]!r}: use {', '.join(CODES)} (ISO 639-3)"
    if lacking := [code for code in CODES if not captions.get(code) or not all(captions[code])]:
        return f"caption missing or empty in {', '.join(lacking)}"
    counts = {code: len(captions[code]) for code in CODES}
    if len(set(counts.values())) > 1:
        return f"every language needs as many captions as the others, not {counts}"
    return None


def write_manifest(
    splits: Mapping[str, AudioCaptions], folder: str | os.PathLike, audio_format: str = "flac"
) -> pathlib.Path:
    """Write datasets as a folder with manifest.jsonl and 16-bit audio files, and return the path of the manifest.

    audio_format: "flac" or "wav". The folder appears when it is complete. Raises ManifestError when something is there
    already, when the folder is the current directory, and for a split or a format that load_manifest would not read.
    """
    folder = pathlib.Path(folder)
    if os.path.abspath(folder) == os.getcwd():
        raise ManifestError(f"{folder} is the current directory, which cannot be replaced; name a folder in it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ManifestError(f"{folder} exists and is not an empty folder; remove it or choose another")
    if unknown := [split for split in splits if split not in SPLITS]:
        raise ManifestError(f"unknown split {unknown[0]!r}: use {', '.join(SPLITS)}")
    if audio_format not in AUDIO_FORMATS:
        raise ManifestError(f"unknown audio format {audio_format!r}: use {' or '.join(AUDIO_FORMATS)}")
    lines = []
    with storage.atomic_path(folder, folder=True, replace=True) as partial:
        for split, dataset in splits.items():
            (partial / "audio" / split).mkdir(parents=True)
            for i in progress(range(len(dataset)), f"writing {split}", unit="clip"):
                audio = f"audio/{split}/{i:05d}.{audio_format}"
                soundfile.write(partial / audio, dataset.waveform(i), SAMPLE_RATE, subtype="PCM_16")
                entry = {"id": dataset.ids[i], "audio": audio, "split": split, "captions": dataset.captions[i]}
                lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
        storage.write_text(partial / "manifest.jsonl", "".join(lines))
    return folder / "manifest.jsonl"
