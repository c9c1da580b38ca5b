"""Sounds or pictures with captions in eight languages as a folder: manifest.jsonl and files; and
captions without clips.
"""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pydantic

from atri_lib import storage
from atri_lib.ambiguity import find_ambiguity
from atri_lib.audio import read_audio, write_audio
from atri_lib.data.dataset import SPLITS, Dataset, Texts, by_turns
from atri_lib.data.images import read_image
from atri_lib.data.intake import Captions, Line, ManifestError, checked, intake, read_lines
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
    """

    origin: str
    ids: tuple[str, ...]
    captions: tuple[Texts, ...]
    checksum: str
    read: Callable[[int], np.ndarray]
    languages: tuple[str, ...] = CODES
    recordings: tuple[str, ...] = ()
    pictures: bool = False

    def clip(self, index: int) -> np.ndarray:
        return self.read(index)


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
    splits. Raises UnknownLanguage, and OSError for what is no regular file.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path /= "manifest.jsonl"
    if not path.exists():
        raise ManifestError(
            f"{path}: no such manifest; give a .jsonl file or a folder that holds manifest.jsonl"
        )
    clips = read_lines(path, intake(path.parent, languages))
    common = [code for code in CODES if all(code in line.captions for line, _ in clips)]
    unused = {name for line, _ in clips for name in (*line.model_extra, *line.captions)}
    if unused := unused.difference(common):
        notice(
            f"{path}: fields, and languages that not every clip has, that are not used: "
            f"{', '.join(sorted(unused)):.500}"
        )
    uneven = [line for line, _ in clips if len({len(line.captions[code]) for code in common}) > 1]
    if uneven:
        notice(
            f"{path}: {len(uneven)} of {len(clips)} clips have fewer captions in one language than "
            "in another; these are repeated by turns"
        )
    datasets = {}
    for split in SPLITS:
        taken = [clip for clip in clips if clip[0].split == split]
        if taken:
            datasets[split] = _dataset(path.parent, taken, common)
    report_ambiguous(datasets)
    return datasets


def _dataset(
    folder: pathlib.Path, clips: Sequence[tuple[Line, str]], languages: Sequence[str]
) -> CaptionedClips:
    lines, sums = zip(*clips, strict=True)
    names = tuple(line.id for line in lines)
    captions = tuple(by_turns(line.captions, languages) for line in lines)
    pictures = bool(lines[0].image)
    read = read_image if pictures else read_audio
    return CaptionedClips(
        origin=one_line(folder.resolve().name),
        ids=names,
        captions=captions,
        checksum=storage.checksum(FORMAT, *zip(names, captions, sums, strict=True)),
        read=lambda index: read(folder / lines[index].file),
        languages=tuple(languages),
        recordings=sums,
        pictures=pictures,
    )


class ParallelText(Dataset):
    """Captions without clips, which an alignment can be fitted on besides those of the training
    clips; `ids` number them.
    """

    def __init__(self, captions: Sequence[Texts], origin: str, languages: Sequence[str]) -> None:
        self.captions = tuple(captions)
        self.ids = tuple(map(str, range(len(captions))))
        self.origin = origin
        self.languages = tuple(languages)
        self.checksum = storage.checksum("parallel text", captions)

    def clip(self, index: int) -> np.ndarray:
        raise IndexError(f"{self.origin} has captions only")


class Translations(pydantic.BaseModel):
    """A line: what is said, in every language."""

    captions: Captions


def load_parallel_text(path: str | os.PathLike, languages: Sequence[str] = CODES) -> ParallelText:
    """The captions of a .jsonl file, one object per line: {"captions": {"eng": "A dog.", ...}}, as
    in a manifest, of which other fields are not used.

    languages: those that every line must have. Where a line has fewer captions in one language than
    in another, they are repeated by turns. Raises ManifestError listing file:line of what is wrong,
    OSError for what is no file.
    """

    def take(values: dict, place: str) -> Texts:
        return by_turns(checked(values, languages, Translations).captions, languages)

    path = pathlib.Path(path)
    return ParallelText(read_lines(path, take), path.name, languages)


def report_ambiguous(splits: Mapping[str, Dataset]) -> None:
    """Say on stderr, one line per split with some, which languages have queries without one answer.

    Of each: how many captions stand, letter by letter, at several clips, or belong to a clip whose
    sound or picture another clip has; how many are there before at the same clip; and the highest
    R@1 that a model can reach, ties shared evenly (`find_ambiguity`).
    """
    for split, dataset in splits.items():
        contents = dataset.recordings or range(len(dataset))  # without checksums: all different
        said = []
        for code in dataset.languages:
            found = find_ambiguity(dataset.sentences(code), dataset.owner, contents)
            if found.repeated or found.captions.any():
                said.append(
                    f"{code}: {found.captions.sum()} captions have more than one right clip, "
                    f"{found.repeated} repeat another of their clip, R@1 can reach "
                    f"{found.text_to_audio:.1%} from text and {found.audio_to_text:.1%} from clip"
                )
        if said:
            notice(f"{split}: captions or clips are there several times. {'; '.join(said)}")


def manifest_line(id: str, audio: str, split: str, captions: Mapping[str, Sequence[str]]) -> str:
    """A clip's line; audio: its path relative to the manifest."""
    clip = {"id": id, "audio": audio, "split": split, "captions": captions}
    return json.dumps(clip, ensure_ascii=False) + "\n"


def free_folder(given: str | os.PathLike) -> pathlib.Path:
    """The folder that `write_manifest` may fill, where a link points if it is one.

    Raises ManifestError when something is there, or it is where a disk is mounted or you are.
    """
    folder = pathlib.Path(given).resolve()
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken or folder.is_mount() or folder == pathlib.Path.cwd():
        raise ManifestError(
            f"{given} is not an empty folder, or one that can be replaced; "
            "remove it or choose another"
        )
    return folder


def write_manifest(splits: Mapping[str, Dataset], folder: str | os.PathLike) -> pathlib.Path:
    """Write datasets of sounds as a folder with manifest.jsonl and 16-bit FLAC files, and return
    the path of the manifest.

    The folder appears when it is complete, where a link points if it is one, with the permissions
    of an empty folder that was there; what killed writers of it left is removed. Raises
    ManifestError, before a sound is rendered, when something is there, for pictures and for an
    unknown split; OSError when nothing can be written, or another process has put something there
    meanwhile.
    """
    folder = free_folder(folder)
    if unknown := splits.keys() - set(SPLITS):
        raise ManifestError(f"unknown split {unknown.pop()!r}: use {', '.join(SPLITS)}")
    if any(dataset.pictures for dataset in splits.values()):
        raise ManifestError(f"{folder}: only sounds are written; save pictures as PNG yourself")
    with storage.atomic_path(folder, folder=True, replace=False) as partial:
        lines = []
        for split, dataset in splits.items():
            (partial / "audio" / split).mkdir(parents=True)
            for i in progress(range(len(dataset)), f"writing {split}", unit="clip"):
                audio = f"audio/{split}/{i:05d}.flac"
                write_audio(partial / audio, dataset.clip(i))
                lines.append(manifest_line(dataset.ids[i], audio, split, dataset.captions[i]))
        storage.write_text(partial / "manifest.jsonl", "".join(lines))
        if folder.exists():
            shutil.copymode(folder, partial)
    return folder / "manifest.jsonl"
