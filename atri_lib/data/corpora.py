"""AudioCaps and Clotho: read in their published layouts, completed in eight languages, converted once to a manifest.

Sources: Kim et al., "AudioCaps", 2019; Drossos et al., "Clotho", 2020 (v2.1); Japanese AudioCaps captions by people:
the ML-AudioCaps corpus. The order of work: read_*, translate, with_translations, with_human_japanese, write_corpus.
"""

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from atri_lib import storage
from atri_lib.audio import SAMPLE_RATE, UnreadableSound, check_header, read_audio, sound_files, write_audio
from atri_lib.data.manifest import manifest_line
from atri_lib.data.translation import Translation, csv_rows
from atri_lib.languages import CODES
from atri_lib.progress import progress

CAPTIONS = 5  # of each validation and test clip in both corpora, and of each training clip of Clotho
# name -> subsets and options of aac-datasets
DOWNLOADS = {"audiocaps": (("train", "val", "test"), {"sr": SAMPLE_RATE}), "clotho": (("dev", "val", "eval"), {})}
SUBSETS = {"train": "development", "val": "validation", "test": "evaluation"}
AUDIOCAPS_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")


class CorpusError(ValueError):
    """A local copy that is not laid out as published, or a corpus that is not complete."""


@dataclass(frozen=True)
class Clip:
    """captions: by language code, the same number in each; numbers: the corpus' own id of each caption, or ""."""

    id: str
    split: str
    audio: pathlib.Path | None
    captions: Mapping[str, tuple[str, ...]]
    numbers: tuple[str, ...]

    def saying(self, captions: Mapping[str, Iterable[str]]) -> "Clip":
        """The clip with captions in more languages, or with others."""
        return replace(self, captions={**self.captions, **{code: tuple(said) for code, said in captions.items()}})


@dataclass(frozen=True)
class Corpus:
    """missing: "split/id" of clips that have captions and no audio file; they are not among `clips`."""

    name: str
    clips: tuple[Clip, ...]
    missing: tuple[str, ...]

    @property
    def sentences(self) -> list[str]:
        """The distinct English captions, in order."""
        return list(dict.fromkeys(caption for clip in self.clips for caption in clip.captions["eng"]))


def download(name: str, folder: str | os.PathLike) -> pathlib.Path:
    """Fetch "audiocaps" or "clotho", captions and audio, with aac-datasets, and return `folder` for read_*.

    AudioCaps comes from YouTube and needs yt-dlp and ffmpeg; videos that are gone become `Corpus.missing`.
    Raises CorpusError with the command to run when aac-datasets is not installed.
    """
    if name not in DOWNLOADS:
        raise CorpusError(f"no corpus {name!r}: use audiocaps or clotho")
    if storage.offline():
        raise CorpusError(f"downloading {name}: ATRI_OFFLINE forbids all network; give a local copy to read_{name}")
    try:
        from aac_datasets.datasets import functional
    except ImportError as error:
        raise CorpusError(
            f"downloading {name} needs aac-datasets ({error}): pip install 'atri_lib[corpora]'; "
            f"a local copy needs nothing, give its folder to read_{name}"
        ) from error
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    subsets, options = DOWNLOADS[name]
    for subset in subsets:
        getattr(functional, f"download_{name}_dataset")(root=str(folder), subset=subset, verbose=1, **options)
    return folder


def read_clotho(folder: str | os.PathLike) -> Corpus:
    """Clotho from a folder, at any depth: clotho_captions_SPLIT.csv, and the audio in folders named SPLIT.

    SPLIT: development (train), validation (val), evaluation (test); those present are read. Raises CorpusError when
    there is none, CsvError naming file and line for a faulty table.
    """
    clips, names = [], [f"caption_{number}" for number in range(1, CAPTIONS + 1)]
    audio = {(path.parent.name, path.name): path for path in sound_files(folder)}
    for split, subset in SUBSETS.items():
        for row in _table(folder, f"clotho_captions_{subset}.csv", ["file_name", *names]):
            captions = {"eng": tuple(row[name] for name in names)}
            name = pathlib.PurePath(row["file_name"])
            clips.append(Clip(name.stem, split, audio.get((subset, name.name)), captions, ("",) * CAPTIONS))
    return _corpus("clotho", folder, clips)


def read_audiocaps(folder: str | os.PathLike) -> Corpus:
    """AudioCaps from a folder, at any depth: train.csv, val.csv, test.csv as published, and audio files.

    An audio file is known by its name, as the usual downloaders choose it: YOUTUBE_START (aac-datasets), YYOUTUBE,
    YOUTUBE, or the audiocap_id. Raises CorpusError when there is none, when a table is there twice, or when a
    validation or test clip has not five captions; CsvError naming file and line for a faulty table.
    """
    clips, audio = [], {path.stem: path for path in sound_files(folder)}
    for split in SUBSETS:
        rows: dict[tuple[str, str], list[dict[str, str]]] = {}
        for row in _table(folder, f"{split}.csv", AUDIOCAPS_COLUMNS):
            rows.setdefault((row["youtube_id"], row["start_time"]), []).append(row)
        for (video, start), group in rows.items():
            name = f"{video}_{start}"
            if split != "train" and len(group) != CAPTIONS:
                raise CorpusError(f"{folder}: {split}.csv has {len(group)} captions of {name}, expected {CAPTIONS}")
            numbers = tuple(row["audiocap_id"] for row in group)
            path = next((audio[n] for n in (name, f"Y{video}", video, numbers[0]) if n in audio), None)
            clips.append(Clip(name, split, path, {"eng": tuple(row["caption"] for row in group)}, numbers))
    return _corpus("audiocaps", folder, clips)


def _table(folder: str | os.PathLike, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of the one file of that name below a folder, none of `columns` empty; [] without the file."""
    found = sorted(pathlib.Path(folder).rglob(name))
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise CorpusError(f"{folder} holds {name} {len(found)} times ({listed}): give the folder of one version")
    return [row for _, row in csv_rows(found[0], columns, filled=columns)] if found else []


def _corpus(name: str, folder: str | os.PathLike, clips: list[Clip]) -> Corpus:
    missing = tuple(f"{clip.split}/{clip.id}" for clip in clips if clip.audio is None)
    if len(missing) == len(clips):
        what = "its captions, but none of the audio" if clips else "none of its caption tables"
        raise CorpusError(f"{folder} is no local copy of {name}: it holds {what}")
    return Corpus(name, tuple(clip for clip in clips if clip.audio is not None), missing)


def with_translations(corpus: Corpus, translations: Mapping[str, Sequence[Translation]]) -> Corpus:
    """Add languages: `translations` is what `translate` or `read_translations` return for `corpus.sentences`.

    Raises CorpusError for a caption without a translation, or with an empty one.
    """
    tables = {code: {entry.sentence: entry.text for entry in entries} for code, entries in translations.items()}
    for clip in corpus.clips:
        for code, texts in tables.items():
            if lacking := [english for english in clip.captions["eng"] if not texts.get(english, "").strip()]:
                raise CorpusError(f"{corpus.name}: no {code} translation of {lacking[0]!r} ({clip.split}/{clip.id})")
    said = ({code: map(texts.get, clip.captions["eng"]) for code, texts in tables.items()} for clip in corpus.clips)
    return replace(corpus, clips=tuple(map(Clip.saying, corpus.clips, said)))


def with_human_japanese(corpus: Corpus, folder: str | os.PathLike) -> tuple[Corpus, int]:
    """Put people's Japanese captions in place of translated ones: (corpus, captions that remain translated).

    folder: the captions/ja folder of ML-AudioCaps: train.csv (people; else train_auto.csv, by ChatGPT), val.csv and
    test.csv with the columns of AudioCaps, matched by audiocap_id. Some captions are missing there; they keep their
    translation. Raises CorpusError when there is no table, or a caption would have no Japanese at all.
    """
    texts: dict[str, str] = {}
    for split in SUBSETS:
        tables = [pathlib.Path(folder, name) for name in (f"{split}.csv", f"{split}_auto.csv")]
        for table in [path for path in tables if path.is_file()][:1]:
            texts |= {row["audiocap_id"]: row["caption"] for _, row in csv_rows(table, AUDIOCAPS_COLUMNS)}
    if not texts:
        raise CorpusError(f"{folder}: no train.csv, val.csv or test.csv of ML-AudioCaps here")
    clips, rest = [], 0
    for clip in corpus.clips:
        translated = clip.captions.get("jpn", ("",) * len(clip.numbers))
        japanese = tuple(texts.get(n) or before for n, before in zip(clip.numbers, translated, strict=True))
        if not all(japanese):
            number = clip.numbers[japanese.index("")]
            raise CorpusError(f"{folder}: no Japanese for audiocap_id {number}; add translations to jpn first")
        rest += sum(not texts.get(number) for number in clip.numbers)
        clips.append(clip.saying({"jpn": japanese}))
    return replace(corpus, clips=tuple(clips)), rest


def write_corpus(corpus: Corpus, folder: str | os.PathLike) -> tuple[pathlib.Path, list[str]]:
    """Convert to a folder with manifest.jsonl and audio/SPLIT/ID.flac (mono, 16 kHz): (manifest, clips left out).

    What is converted already is kept, so a killed conversion resumes. Left out, as "split/id: reason", are clips
    without audio and files that load_manifest would refuse. Raises CorpusError when a language is not complete, and
    OSError when a file cannot be written: run it again when there is space.
    """
    for clip in corpus.clips:
        for code in CODES:
            if len(clip.captions.get(code, ())) != len(clip.captions["eng"]):
                raise CorpusError(f"{corpus.name}: {clip.split}/{clip.id} lacks {code} captions: translate them first")
    folder, lines = pathlib.Path(folder), []
    left_out = [f"{name}: no audio file" for name in corpus.missing]
    for clip in progress(corpus.clips, f"converting {corpus.name}", unit="clip"):
        target = pathlib.PurePosixPath("audio", clip.split, f"{clip.id}.flac")
        try:
            if not (folder / target).exists():
                mono = read_audio(clip.audio)
                with storage.atomic_path(folder / target) as partial:
                    write_audio(partial, mono)
            check_header(folder / target)  # an earlier version converted clips that load_manifest refuses
        except UnreadableSound as error:  # of reading; what fails in writing ends the conversion
            left_out.append(f"{clip.split}/{clip.id}: {error}")
            continue
        lines.append(manifest_line(clip.id, str(target), clip.split, {code: clip.captions[code] for code in CODES}))
    storage.write_text(folder / "manifest.jsonl", "".join(lines))
    return folder / "manifest.jsonl", left_out
