"""AudioCaps and Clotho: read in their published layouts, completed in eight languages, converted
once to a manifest.

Sources: Kim et al., "AudioCaps", 2019; Drossos et al., "Clotho", 2020 (v2.1); Japanese AudioCaps
captions by people: the ML-AudioCaps corpus. The order of work: read_*, translate,
with_translations, with_human_japanese, write_corpus.
"""

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from atri_lib import storage
from atri_lib.audio import SAMPLE_RATE, UnreadableSound, files_below, read_audio, write_audio
from atri_lib.data.corpus import Clip, Corpus, CorpusError, corpus_of
from atri_lib.data.dataset import SPLITS
from atri_lib.data.manifest import Intake, ManifestError, manifest_line
from atri_lib.data.names import safe_name
from atri_lib.data.translation import Translation
from atri_lib.data.translation_table import csv_rows
from atri_lib.languages import CODES
from atri_lib.progress import progress
from atri_lib.terminal import notice

# of each validation and test clip in both corpora, and of each training clip of Clotho
CAPTIONS = 5
# name -> subsets and options of aac-datasets
DOWNLOADS = {
    "audiocaps": (("train", "val", "test"), {"sr": SAMPLE_RATE}),
    "clotho": (("dev", "val", "eval"), {}),
}
SUBSETS = {"train": "development", "val": "validation", "test": "evaluation"}
AUDIOCAPS_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")


def download(name: str, folder: str | os.PathLike) -> pathlib.Path:
    """Fetch "audiocaps" or "clotho", captions and audio, with aac-datasets, and return `folder` for
    read_*.

    AudioCaps comes from YouTube and needs yt-dlp and ffmpeg; videos that are gone become
    `Corpus.missing`. Raises CorpusError with the command to run when aac-datasets is not installed.
    """
    if name not in DOWNLOADS:
        raise CorpusError(f"no corpus {name!r}: use audiocaps or clotho")
    if storage.offline():
        raise CorpusError(
            f"downloading {name}: ATRI_OFFLINE forbids all network; "
            f"give a local copy to read_{name}"
        )
    try:
        from aac_datasets.datasets import functional
    except ImportError as error:
        raise CorpusError(
            f"downloading {name} needs aac-datasets ({error}): pip install 'atri_lib[corpora]'; "
            f"a local copy needs nothing, give its folder to read_{name}"
        ) from error
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fetch = getattr(functional, f"download_{name}_dataset")
    subsets, options = DOWNLOADS[name]
    for subset in subsets:
        fetch(root=str(folder), subset=subset, verbose=1, **options)
    return folder


def read_clotho(folder: str | os.PathLike) -> Corpus:
    """Clotho from a folder, at any depth: clotho_captions_SPLIT.csv, and the audio in folders named
    SPLIT.

    SPLIT: development (train), validation (val), evaluation (test); those present are read. Raises
    CorpusError when there is none, CsvError naming file and line for a faulty table.
    """
    clips = []
    skipped = []
    columns = [f"caption_{number}" for number in range(1, CAPTIONS + 1)]
    audio = {(path.parent.name, path.name): path for path in files_below(folder)}
    other = {(path.parent.name, path.stem): path for path in _other_files(folder)}
    for split, subset in SUBSETS.items():
        for row in _table(folder, f"clotho_captions_{subset}.csv", ["file_name", *columns]):
            captions = {"eng": tuple(row[column] for column in columns)}
            name = pathlib.PurePath(row["file_name"])
            path = audio.get((subset, name.name))
            unread = other.get((subset, name.stem))
            if path is None and unread is not None:
                skipped.append(unread)
            clips.append(Clip(name.stem, split, path, captions, numbers=("",) * CAPTIONS))
    return corpus_of("clotho", folder, clips, skipped)


def read_audiocaps(folder: str | os.PathLike) -> Corpus:
    """AudioCaps from a folder, at any depth: train.csv, val.csv, test.csv as published, and audio
    files.

    An audio file is known by its name, as the usual downloaders choose it: YOUTUBE_START
    (aac-datasets), YYOUTUBE, YOUTUBE, or the audiocap_id. Raises CorpusError when there is none,
    when a table is there twice, or when a validation or test clip has not five captions; CsvError
    naming file and line for a faulty table.
    """
    clips = []
    skipped = []
    audio = {path.stem: path for path in files_below(folder)}
    other = {path.stem: path for path in _other_files(folder)}
    for split in SUBSETS:
        rows: dict[tuple[str, str], list[dict[str, str]]] = {}
        for row in _table(folder, f"{split}.csv", AUDIOCAPS_COLUMNS):
            rows.setdefault((row["youtube_id"], row["start_time"]), []).append(row)
        for (video, start), group in rows.items():
            name = f"{video}_{start}"
            if split != "train" and len(group) != CAPTIONS:
                said = f"{folder}: {split}.csv has {len(group)} captions of {name}"
                raise CorpusError(f"{said}, expected {CAPTIONS}")
            captions = {"eng": tuple(row["caption"] for row in group)}
            numbers = tuple(row["audiocap_id"] for row in group)
            names = (name, f"Y{video}", video, numbers[0])
            path = _first_of(names, audio)
            unread = _first_of(names, other)
            if path is None and unread is not None:
                skipped.append(unread)
            clips.append(Clip(name, split, path, captions, numbers))
    return corpus_of("audiocaps", folder, clips, skipped)


def _first_of(names: Iterable[str], files: Mapping[str, pathlib.Path]) -> pathlib.Path | None:
    """The file of the first name that has one."""
    return next((files[name] for name in names if name in files), None)


def _table(folder: str | os.PathLike, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of the one file of that name below a folder, none of `columns` empty; [] without the
    file.
    """
    found = sorted(pathlib.Path(folder).rglob(name))
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise CorpusError(
            f"{folder} holds {name} {len(found)} times ({listed}): give the folder of one version"
        )
    if not found:
        return []
    rows = [row for _, row in csv_rows(found[0], columns, filled=columns)]
    unused = [column[:40] for column in rows[0] if column not in columns] if rows else []
    if unused:
        known = ", ".join(columns)
        listed = ", ".join(unused[:10])
        notice(f"{found[0]}: columns that are not used, besides {known}: {listed}")
    return rows


def _other_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """Files that are read neither as audio nor as a table, hidden ones aside."""
    known = {*files_below(folder), *pathlib.Path(folder).rglob("*.csv")}
    others = []
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path not in known and not path.name.startswith(".") and path.is_file():
            others.append(path)
    return others


def with_translations(corpus: Corpus, translations: Mapping[str, Sequence[Translation]]) -> Corpus:
    """Add languages: `translations` is what `translate` or `read_translations` return for
    `corpus.sentences`.

    Raises CorpusError for a caption without a translation, or with an empty one.
    """
    tables = {}
    for code, entries in translations.items():
        tables[code] = {entry.sentence: entry.text for entry in entries}
    clips = []
    for clip in corpus.clips:
        said = {}
        for code, texts in tables.items():
            said[code] = [texts.get(english, "") for english in clip.captions["eng"]]
            for english, text in zip(clip.captions["eng"], said[code], strict=True):
                if not text.strip():
                    what = f"no {code} translation of {english!r} ({clip.name})"
                    raise CorpusError(f"{corpus.name}: {what}")
        clips.append(clip.saying(said))
    return replace(corpus, clips=tuple(clips))


def with_human_japanese(corpus: Corpus, folder: str | os.PathLike) -> tuple[Corpus, int]:
    """Put people's Japanese captions in place of translated ones: (corpus, captions that remain
    translated).

    folder: the captions/ja folder of ML-AudioCaps: train.csv (people; else train_auto.csv, by
    ChatGPT), val.csv and test.csv with the columns of AudioCaps, matched by audiocap_id. Some
    captions are missing there; they keep their translation. Raises CorpusError when there is no
    table, or a caption would have no Japanese at all.
    """
    texts = _japanese(pathlib.Path(folder))
    clips = []
    rest = 0
    for clip in corpus.clips:
        translated = clip.captions.get("jpn", ("",) * len(clip.numbers))
        japanese = []
        for number, before in zip(clip.numbers, translated, strict=True):
            human = texts.get(number)
            if not human and not before:
                said = f"{folder}: no Japanese for audiocap_id {number}"
                raise CorpusError(f"{said}; add translations to jpn first")
            if not human:
                rest += 1
            japanese.append(human or before)
        clips.append(clip.saying({"jpn": japanese}))
    return replace(corpus, clips=tuple(clips)), rest


def _japanese(folder: pathlib.Path) -> dict[str, str]:
    """audiocap_id -> caption, of all tables of ML-AudioCaps in a folder."""
    texts: dict[str, str] = {}
    for split in SUBSETS:
        tables = (folder / f"{split}.csv", folder / f"{split}_auto.csv")
        table = next(filter(pathlib.Path.is_file, tables), None)
        if table is not None:
            for _, row in csv_rows(table, AUDIOCAPS_COLUMNS):
                texts[row["audiocap_id"]] = row["caption"]
    if not texts:
        raise CorpusError(f"{folder}: no train.csv, val.csv or test.csv of ML-AudioCaps here")
    return texts


def write_corpus(
    corpus: Corpus, folder: str | os.PathLike, languages: Sequence[str] = CODES
) -> tuple[pathlib.Path, list[str]]:
    """Convert to a folder with manifest.jsonl and audio/SPLIT/ID.flac (mono, 16 kHz): (manifest,
    clips left out).

    What is converted already is kept, so a killed conversion resumes. Left out, as "split/id:
    reason", are clips without audio and all that load_manifest would refuse; of a recording in two
    splits the one in test stays, then the one in val. An id that is no file name becomes one
    (`safe_name`). Raises CorpusError when a language is not complete, and OSError when a file
    cannot be written: run it again when there is space.
    """
    for clip in corpus.clips:
        for code in languages:
            if len(clip.captions.get(code, ())) != len(clip.captions["eng"]):
                raise CorpusError(
                    f"{corpus.name}: {clip.name} lacks {code} captions: "
                    "translate them first, or name the languages that you have"
                )
    folder = pathlib.Path(folder)
    lines: dict[int, str] = {}  # by the number of their clip, as the reasons against others
    reasons: dict[int, Exception] = {}
    for number, clip in enumerate(progress(corpus.clips, f"converting {corpus.name}", unit="clip")):
        target = pathlib.PurePosixPath("audio", clip.split, f"{safe_name(clip.id)}.flac")
        try:
            if not (folder / target).exists():
                mono = read_audio(clip.audio)
                with storage.atomic_path(folder / target) as partial:
                    write_audio(partial, mono)
        except UnreadableSound as error:  # of reading; what fails in writing ends the conversion
            reasons[number] = error
            continue
        captions = {code: clip.captions[code] for code in languages}
        lines[number] = manifest_line(clip.id, str(target), clip.split, captions)
    reasons |= _refused(corpus, lines, Intake(folder, languages))
    left_out = [f"{name}: no audio file" for name in corpus.missing]
    for number, why in sorted(reasons.items()):
        left_out.append(f"{corpus.clips[number].name}: {why}")
    kept = [line for number, line in lines.items() if number not in reasons]
    storage.write_text(folder / "manifest.jsonl", "".join(kept))
    return folder / "manifest.jsonl", left_out


def _refused(corpus: Corpus, lines: Mapping[int, str], intake: Intake) -> dict[int, Exception]:
    """Why load_manifest would not take a line, by the number of its clip; test goes first, so that
    it stays.
    """
    reasons: dict[int, Exception] = {}
    order = sorted(lines, key=lambda number: -SPLITS.index(corpus.clips[number].split))
    for number in order:
        try:
            intake.take(lines[number].encode(), f"of {corpus.clips[number].name}")
        except (ManifestError, UnreadableSound) as error:
            reasons[number] = error
    return reasons
