"""Sounds with captions in eight languages as a folder: manifest.jsonl and audio files."""

import codecs
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pydantic

from atri_lib import storage
from atri_lib.audio import UnreadableSound, check_header, read_audio, write_audio
from atri_lib.data.dataset import SPLITS, Dataset, captions_fault
from atri_lib.languages import CODES
from atri_lib.progress import progress

FORMAT = 1  # raise it when the same files are decoded to other samples: features of the old ones are not used again
_SHOWN = 10  # faults listed in one error


class ManifestError(ValueError):
    """Captions or audio that do not make a dataset; the message names file and line, and what to change."""


@dataclass(frozen=True, eq=False)
class AudioCaptions(Dataset):
    """A dataset of clips with ids and captions in memory.

    read: clip index -> float32 [samples], 16 kHz mono, raising UnreadableSound for a broken file. Raises ManifestError
    when ids repeat or a clip's captions are not complete.
    """

    origin: str
    ids: tuple[str, ...]
    captions: tuple[dict[str, tuple[str, ...]], ...]
    checksum: str
    read: Callable[[int], np.ndarray] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.captions) or len(set(self.ids)) != len(self.ids):
            raise ManifestError(f"{self.origin}: {len(self.captions)} clips need as many ids, each different")
        for name, captions in zip(self.ids, self.captions, strict=True):
            if fault := captions_fault(captions):
                raise ManifestError(f"{self.origin}, clip {name}: {fault}")

    def waveform(self, index: int) -> np.ndarray:
        return self.read(range(len(self))[index])


def _complete(captions: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    if fault := captions_fault(captions):
        raise ValueError(fault)
    return {code: captions[code] for code in CODES}


_Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True)]
_one_or_more = pydantic.BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else (given,))
_Captions = Annotated[dict[str, Annotated[tuple[_Text, ...], _one_or_more]], pydantic.AfterValidator(_complete)]
_Name = Annotated[str, pydantic.StringConstraints(min_length=1)]


class _Line(pydantic.BaseModel):
    """A line of a manifest; `name` is its id, by default the path of the audio."""

    model_config = pydantic.ConfigDict(strict=True)
    audio: _Name
    split: Literal[SPLITS]
    captions: _Captions
    id: _Name | None = None

    @property
    def name(self) -> str:
        return self.id or os.path.normpath(self.audio)


def load_manifest(path: str | os.PathLike) -> dict[str, AudioCaptions]:
    """The datasets of a manifest by split, those of train, val and test that it has.

    path: a .jsonl file, or a folder with manifest.jsonl. One clip a line, audio relative to the manifest:
    {"audio": "dog.wav", "split": "train", "captions": {"eng": "A dog." or ["A dog.", ...], ... all eight}}; an "id",
    different for each clip of a split, may be given (else the audio path). Every audio file is read once for the
    checksum. Raises ManifestError listing file:line of what is wrong: at most ten faults at once. Audio outside the
    manifest's folder is wrong, also behind a link, and so is the same audio in two splits.
    """
    path = pathlib.Path(path)
    path = path / "manifest.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest; give a .jsonl file or a folder that holds manifest.jsonl")
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    rows = [(number, raw) for number, raw in enumerate(content, start=1) if raw.strip()]
    lines, sums, faults, seen = {}, {}, [], {}
    for number, raw in progress(rows, "reading audio files", unit="file"):
        try:
            line = lines[number] = _parsed(raw)
            audio = (path.parent / line.audio).resolve()  # the file itself, links followed
            if not audio.is_relative_to(path.parent.resolve()):
                raise ManifestError(f"audio {line.audio!r} is outside the manifest's folder; move the file into it")
            once = {f"audio {line.audio}": audio, f"id {line.name!r} of {line.split}": (line.split, line.name)}
            for what, key in once.items():
                if (before := seen.setdefault(key, number)) != number:
                    raise ManifestError(f"{what} is on line {before} already; keep a clip's captions together")
            check_header(audio)
            sums[number] = storage.sha256_file(audio)
            twin = seen.setdefault(sums[number], number)
            if lines[twin].split != line.split:
                same = f"{line.audio} ({line.split}) is the same audio as {lines[twin].audio} ({lines[twin].split})"
                raise ManifestError(f"{same} on line {twin}: a clip belongs to one split, remove one")
        except (ManifestError, UnreadableSound, OSError) as error:
            faults.append(f"{path}:{number}: {error}")
    if faults:
        raise ManifestError("\n".join(faults[:_SHOWN] + [f"and {len(faults) - _SHOWN} more"] * (len(faults) > _SHOWN)))
    if not lines:
        raise ManifestError(f"{path}: empty; write one JSON object per clip and line")
    datasets = {split: [n for n, line in lines.items() if line.split == split] for split in SPLITS}
    return {split: _dataset(path, [(lines[n], sums[n]) for n in rows]) for split, rows in datasets.items() if rows}


def _parsed(raw: bytes) -> _Line:
    try:
        return _Line.model_validate_json(raw)
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        said = fault["msg"].removeprefix("Value error, ")
        given = "" if fault["type"] in ("json_invalid", "missing", "value_error") else f", not {fault['input']!r:.60}"
        raise ManifestError(f"{place}{place and ': '}{said}{given}") from error


def _dataset(path: pathlib.Path, rows: list[tuple[_Line, str]]) -> AudioCaptions:
    return AudioCaptions(
        origin=path.resolve().parent.name,
        ids=tuple(line.name for line, _ in rows),
        captions=tuple(line.captions for line, _ in rows),
        checksum=storage.checksum(FORMAT, *([line.name, line.captions, audio] for line, audio in rows)),
        read=lambda index: read_audio(path.parent / rows[index][0].audio),
    )


def manifest_line(id: str, audio: str, split: str, captions: Mapping[str, Sequence[str]]) -> str:
    """A clip's line; audio: its path relative to the manifest."""
    clip = {"id": id, "audio": audio, "split": split, "captions": captions}
    return json.dumps(clip, ensure_ascii=False) + "\n"


def write_manifest(splits: Mapping[str, Dataset], folder: str | os.PathLike) -> pathlib.Path:
    """Write datasets as a folder with manifest.jsonl and 16-bit FLAC files, and return the path of the manifest.

    The folder appears when it is complete, where a link points if it is one, with the permissions of an empty folder
    that was there. Raises ManifestError, before a sound is rendered, when something is there or it cannot be put in
    place, and for an unknown split; afterwards, when another process has put something there meanwhile.
    """
    given, folder = folder, pathlib.Path(folder).resolve()
    storage.settle(folder)  # what a killed call left
    if folder == pathlib.Path.cwd():
        raise ManifestError(f"{given} is the current directory, which cannot be replaced; name a folder in it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ManifestError(f"{given} exists and is not an empty folder; remove it or choose another")
    if unknown := [split for split in splits if split not in SPLITS]:
        raise ManifestError(f"unknown split {unknown[0]!r}: use {', '.join(SPLITS)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with storage.temporary_folder(folder) as holder:
        if folder.exists():
            _put(holder / "rehearsal", folder)
        partial, lines = holder / folder.name, []
        for split, dataset in splits.items():
            (partial / "audio" / split).mkdir(parents=True)
            for i in progress(range(len(dataset)), f"writing {split}", unit="clip"):
                audio = f"audio/{split}/{i:05d}.flac"
                write_audio(partial / audio, dataset.waveform(i))
                lines.append(manifest_line(dataset.ids[i], audio, split, dataset.captions[i]))
        storage.write_text(partial / "manifest.jsonl", "".join(lines))
        _put(partial, folder)
    return folder / "manifest.jsonl"


def _put(partial: pathlib.Path, folder: pathlib.Path) -> None:
    """Move a folder to its place, where there may be an empty one."""
    partial.mkdir(exist_ok=True)
    try:
        if folder.exists():
            shutil.copymode(folder, partial)
        os.rename(partial, folder)
    except OSError as error:  # a mount point, or a folder that another process has filled meanwhile
        raise ManifestError(f"{folder} cannot be replaced ({error.strerror}); name another folder") from error
