"""Any audio-caption set on disk: audio files and a JSONL of captions per language, as one dataset type."""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from atri_lib import storage
from atri_lib.languages import CODES, UnknownLanguage, language
from atri_lib.progress import progress

SAMPLE_RATE = 16_000
SPLITS = ("train", "val", "test")


class ManifestError(ValueError):
    """A manifest line or audio file that cannot be used; the message names file, line and value."""


@dataclass(frozen=True)
class AudioCaptions:
    """A dataset of clips with parallel captions.

    ids: one per clip; captions: per clip {code: (caption, ...)}, all eight languages, the same number in each;
    files: the audio file of each clip; checksum: of captions and audio bytes.
    """

    name: str
    ids: tuple[str, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    files: tuple[pathlib.Path, ...]
    checksum: str
    sample_rate: int = SAMPLE_RATE

    def __len__(self) -> int:
        return len(self.ids)

    def waveform(self, index: int) -> np.ndarray:
        """Clip `index` as float32 [samples], mono, 16 kHz. Raises ManifestError naming an unreadable file."""
        return read_audio(self.files[index])

    def sentences(self, code: str) -> list[str]:
        """All captions in one language, clip by clip (M = N for one caption a clip)."""
        language(code)
        return [sentence for clip in self.captions for sentence in clip[code]]

    @property
    def owner(self) -> np.ndarray:
        """int64 [M]: the clip of each caption."""
        return np.repeat(np.arange(len(self)), [len(clip["eng"]) for clip in self.captions])


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """An audio file as float32 [samples], mono, 16 kHz. Raises ManifestError for a missing, unreadable or empty one."""
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise ManifestError(f"{path}: cannot be read as audio ({error})") from error
    if len(samples) == 0:
        raise ManifestError(f"{path}: holds no samples; remove it from the manifest or replace it")
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        import torch
        from torchaudio.functional import resample

        mono = resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
    return np.ascontiguousarray(mono, dtype=np.float32)


def load_manifest(path: str | os.PathLike) -> dict[str, AudioCaptions]:
    """Read a .jsonl manifest, or the manifest.jsonl of a folder; one dataset per split, in file order.

    A line is {"audio": "relative/path.wav", "split": "train", "captions": {"eng": "..." or ["...", ...], ...}} with an
    optional "id" (default: the audio path). Raises ManifestError with file and line for a line that is not JSON, a
    missing or empty audio file, a path outside the folder, an unknown language or split, a caption missing in one of
    the eight languages, unequal numbers of captions, or an id that occurs twice in a split.
    """
    path = pathlib.Path(path)
    path = path / "manifest.jsonl" if path.is_dir() else path
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); give a .jsonl file or its folder") from error
    seen: dict[tuple[str, str], int] = {}
    found: dict[str, list[tuple]] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            clip = _parse(line, f"{path}:{number}", path.parent)
            if clip[:2] in seen:
                raise ManifestError(f"{path}:{number}: id {clip[1]!r} is already that of line {seen[clip[:2]]}")
            seen[clip[:2]] = number
            found.setdefault(clip[0], []).append(clip[1:])
    if not found:
        raise ManifestError(f"{path}: holds no clips; write one JSON object per line")
    return {split: _dataset(f"{path.parent.name}/{split}", found[split]) for split in SPLITS if split in found}


def write_manifest(splits: Mapping[str, AudioCaptions], folder: str | os.PathLike, audio_format: str = "flac") -> None:
    """Write datasets as audio files (16-bit, in a folder per split) and manifest.jsonl; the manifest comes last.

    So a folder without a manifest is one whose writing was interrupted; writing again replaces what is there.
    """
    import soundfile

    folder, lines = pathlib.Path(folder), []
    for split, dataset in splits.items():
        for index in progress(range(len(dataset)), f"writing {split} clips", unit="clip"):
            relative = pathlib.PurePosixPath(split) / f"{index:05d}.{audio_format}"
            with storage.atomic_path(folder / relative) as partial:
                soundfile.write(partial, dataset.waveform(index), dataset.sample_rate, subtype="PCM_16")
            captions = {code: list(dataset.captions[index][code]) for code in CODES}
            entry = {"id": dataset.ids[index], "audio": str(relative), "split": split, "captions": captions}
            lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
    storage.write_text(folder / "manifest.jsonl", "".join(lines))


def _dataset(name: str, clips: list[tuple]) -> AudioCaptions:
    ids, captions, files = zip(*clips, strict=True)
    digest = hashlib.sha256()
    for path in progress(files, f"checking {name}", unit="file"):
        digest.update(storage.sha256_file(path).encode())
    return AudioCaptions(name, ids, captions, files, storage.checksum(digest.hexdigest(), list(captions), list(ids)))


def _parse(line: str, where: str, folder: pathlib.Path) -> tuple:
    """(split, id, captions, file) of one line."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{where}: not JSON ({error}); each line is one object") from error
    if not isinstance(entry, dict) or not {"audio", "split", "captions"} <= entry.keys():
        raise ManifestError(f'{where}: needs the keys "audio", "split" and "captions"')
    if entry["split"] not in SPLITS:
        raise ManifestError(f"{where}: split {entry['split']!r} is unknown; use {', '.join(SPLITS)}")
    file = (folder / str(entry["audio"])).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ManifestError(f"{where}: audio {entry['audio']!r} lies outside {folder}; use a path inside the folder")
    if not file.is_file() or file.stat().st_size == 0:
        raise ManifestError(f"{where}: audio file {entry['audio']!r} is missing or empty")
    return entry["split"], str(entry.get("id", entry["audio"])), dict(_captions(entry["captions"], where)), file


def _captions(given: object, where: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not isinstance(given, dict):
        raise ManifestError(f'{where}: "captions" is an object {{"eng": ..., ...}} with all eight languages')
    for code in given:
        try:
            language(code)
        except UnknownLanguage as error:
            raise ManifestError(f"{where}: {error}") from error
    counts = set()
    for code in CODES:
        value = given.get(code)
        texts = (value,) if isinstance(value, str) else tuple(value or ())
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ManifestError(f"{where}: no caption in {code}; every clip needs all of {', '.join(CODES)}")
        counts.add(len(texts))
        if len(counts) > 1:
            raise ManifestError(f"{where}: {code} has {len(texts)} captions; every language needs the same number")
        yield code, texts
