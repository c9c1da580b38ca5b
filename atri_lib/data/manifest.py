"""Sounds or pictures with captions in eight languages as a folder: manifest.jsonl and files."""

import json
import os
import pathlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from atri_lib import storage
from atri_lib.audio import read_audio, write_audio
from atri_lib.data.ambiguous import report_ambiguous
from atri_lib.data.dataset import SPLITS, Dataset, Texts, by_turns, captions_fault
from atri_lib.data.images import read_image
from atri_lib.data.intake import SHOWN, Clip, Intake, Line, ManifestError, take_lines
from atri_lib.languages import CODES
from atri_lib.progress import progress
from atri_lib.terminal import notice, one_line

# raise it when the same files are decoded to other samples or pixels: features of the old ones are
# then not used again
FORMAT = 1


@dataclass(frozen=True, eq=False)
class CaptionedClips(Dataset):
    """A dataset of clips with ids and captions in memory.

    read: clip index -> what `clip` gives, raising UnreadableSound or UnreadableImage for a
    broken file.
    Raises ManifestError when ids repeat or a clip's captions are not complete in `languages`.
    """

    origin: str
    ids: tuple[str, ...]
    captions: tuple[Texts, ...]
    checksum: str
    read: Callable[[int], np.ndarray] = field(repr=False)
    languages: tuple[str, ...] = CODES
    recordings: tuple[str, ...] = field(default=(), repr=False)
    pictures: bool = False

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.captions) == len(set(self.ids)):
            said = f"{len(self.captions)} clips need as many ids, each different"
            raise ManifestError(f"{self.origin}: {said}")
        for name, captions in zip(self.ids, self.captions, strict=True):
            fault = captions_fault(captions, self.languages)
            if not fault and len(set(map(len, captions.values()))) > 1:
                fault = "every language needs as many captions as the others"
            if fault:
                raise ManifestError(f"{self.origin}, clip {name}: {fault}")

    def clip(self, index: int) -> np.ndarray:
        return self.read(range(len(self))[index])


def load_manifest(
    path: str | os.PathLike, languages: Sequence[str] = CODES
) -> dict[str, CaptionedClips]:
    """The datasets of a manifest by split, those of train, val and test that it has.

    path: a .jsonl file, or a folder with manifest.jsonl. One clip per line, audio relative to the
    manifest: {"audio": "dog.wav", "split": "train", "captions": {"eng": "A dog." or ["A dog.",
    ...], ...}}; an "id", different for each clip of a split, may be given (else the path). A
    manifest of pictures has "image": "dog.png" in place of "audio" on every line (`read_image`).
    languages: those that every clip must have captions in, by default all eight; others that every
    clip has are there, too. Where a clip has fewer captions in one language than in another, they
    are repeated by turns. Every file is read once for the checksum, and every picture decoded. Says
    on stderr what is repeated, not used, or ambiguous (`report_ambiguous`).

    Raises ManifestError listing file:line of what is wrong: at most ten faults at once. A file
    outside the manifest's folder is wrong, also behind a link, and so is the same file in two
    splits.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path /= "manifest.jsonl"
    if not path.is_file():
        advice = "give a .jsonl file or a folder that holds manifest.jsonl"
        raise ManifestError(f"{path}: no such manifest; {advice}")
    intake = Intake(path.parent, languages)
    take_lines(path, intake.take)
    if intake.several:
        said = f"{intake.several} of {len(intake.clips)} images hold several frames or pages"
        notice(f"{path}: {said}; the first of each is taken")
    datasets = _datasets(path, intake.clips)
    report_ambiguous(datasets)
    return datasets


def _datasets(path: pathlib.Path, clips: Sequence[Clip]) -> dict[str, CaptionedClips]:
    """The datasets by split, in the languages that all clips have; says what is left out."""
    languages = [code for code in CODES if all(code in clip.line.captions for clip in clips)]
    if not languages:
        said = "no language that every clip has captions in; write English ones"
        raise ManifestError(f"{path}: {said}")
    for said in _notices([clip.line for clip in clips], languages):
        notice(f"{path}: {said}")
    datasets = {}
    for split in SPLITS:
        taken = [clip for clip in clips if clip.line.split == split]
        if taken:
            datasets[split] = _dataset(path.parent, taken, languages)
    return datasets


def _dataset(
    folder: pathlib.Path, clips: Sequence[Clip], languages: Sequence[str]
) -> CaptionedClips:
    lines = [clip.line for clip in clips]
    names = [line.name for line in lines]
    captions = [by_turns(line.captions, languages) for line in lines]
    sums = [clip.content for clip in clips]
    pictures = lines[0].kind == "image"
    read = read_image if pictures else read_audio
    return CaptionedClips(
        origin=one_line(folder.resolve().name),
        ids=tuple(names),
        captions=tuple(captions),
        checksum=storage.checksum(FORMAT, *zip(names, captions, sums, strict=True)),
        read=lambda index: read(folder / lines[index].file),
        languages=tuple(languages),
        recordings=tuple(sums),
        pictures=pictures,
    )


def _notices(lines: Sequence[Line], languages: Sequence[str]) -> Iterator[str]:
    """What of a manifest is not used, and what is repeated."""
    fields, rare, repeated = Counter(), Counter(), Counter()
    uneven = 0
    for line in lines:
        fields.update(line.model_extra.keys())
        rare.update(code for code in line.captions if code not in languages)
        counts = {code: len(line.captions[code]) for code in languages}
        most = dict.fromkeys(languages, max(counts.values()))
        lacking = Counter(most) - Counter(counts)
        repeated += lacking
        uneven += bool(lacking)
    if fields:
        known = ", ".join(Line.model_fields)
        yield f"fields that are not used, besides {known}: {_counted(fields)}"
    if rare:
        said = "languages that not every clip has are not used"
        yield f"{said}: {_counted(rare)} of {len(lines)} clips"
    if uneven:
        said = f"{uneven} of {len(lines)} clips have fewer captions in one language than in another"
        yield f"{said}; these are repeated by turns: {_counted(repeated)}"


def _counted(counts: Counter) -> str:
    """Names and how often each is there, the most frequent first."""
    shown = [f"{name:.40} {count}" for name, count in counts.most_common(SHOWN)]
    if len(counts) > SHOWN:
        shown.append(f"{len(counts) - SHOWN} more")
    return ", ".join(shown)


def manifest_line(id: str, audio: str, split: str, captions: Mapping[str, Sequence[str]]) -> str:
    """A clip's line; audio: its path relative to the manifest."""
    clip = {"id": id, "audio": audio, "split": split, "captions": captions}
    return json.dumps(clip, ensure_ascii=False) + "\n"


def free_folder(given: str | os.PathLike) -> pathlib.Path:
    """The folder that `write_manifest` may fill, where a link points if it is one.

    Raises ManifestError when something is there, or nothing can be written there.
    """
    folder = pathlib.Path(given).resolve()
    if folder == pathlib.Path.cwd():
        said = f"{given} is the current directory, which cannot be replaced"
        raise ManifestError(f"{said}; name a folder in it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        said = f"{given} exists and is not an empty folder"
        raise ManifestError(f"{said}; remove it or choose another")
    holder = next(parent for parent in folder.parents if parent.exists())
    if not holder.is_dir() or not os.access(holder, os.W_OK | os.X_OK):
        raise ManifestError(f"{given}: nothing can be written in {holder}; choose another folder")
    return folder


def write_manifest(splits: Mapping[str, Dataset], folder: str | os.PathLike) -> pathlib.Path:
    """Write datasets as a folder with manifest.jsonl and 16-bit FLAC files, and return the path of
    the manifest.

    The folder appears when it is complete, where a link points if it is one, with the permissions
    of an empty folder that was there; what killed writers left beside it, under whatever name, is
    removed. Raises ManifestError, before a sound is rendered, when something is there or it cannot
    be put in place, and for an unknown split; afterwards, when another process has put something
    there meanwhile.
    """
    folder = free_folder(folder)
    if unknown := [split for split in splits if split not in SPLITS]:
        raise ManifestError(f"unknown split {unknown[0]!r}: use {', '.join(SPLITS)}")
    if any(dataset.pictures for dataset in splits.values()):
        raise ManifestError(f"{folder}: only sounds are written; save pictures as PNG yourself")
    folder.parent.mkdir(parents=True, exist_ok=True)
    storage.settle_folder(folder.parent)
    with storage.temporary_folder(folder) as holder:
        if folder.exists():
            _put(holder / "rehearsal", folder)
        partial = holder / folder.name
        lines = []
        for split, dataset in splits.items():
            (partial / "audio" / split).mkdir(parents=True)
            for i in progress(range(len(dataset)), f"writing {split}", unit="clip"):
                audio = f"audio/{split}/{i:05d}.flac"
                write_audio(partial / audio, dataset.clip(i))
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
        said = f"{folder} cannot be replaced ({error.strerror})"
        raise ManifestError(f"{said}; name another folder") from error
