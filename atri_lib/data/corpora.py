"""AudioCaps and Clotho: read in their published layouts, completed in eight languages, converted
once to a manifest.

Sources: Kim et al., "AudioCaps", 2019; Drossos et al., "Clotho", 2020 (v2.1); Japanese AudioCaps
captions by people: the ML-AudioCaps corpus. The order of work: read_*, translate,
with_translations, with_human_japanese, write_corpus.
"""

import os
import pathlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from atri_lib import storage
from atri_lib.audio import (
    SAMPLE_RATE,
    UNREAD_SUFFIXES,
    UnreadableSound,
    files_below,
    read_audio,
    write_audio,
)
from atri_lib.data.corpus import Clip, Corpus, CorpusError, corpus_of
from atri_lib.data.dataset import SPLITS
from atri_lib.data.intake import Intake, ManifestError
from atri_lib.data.manifest import manifest_line
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
        said = f"downloading {name}: ATRI_OFFLINE forbids all network"
        raise CorpusError(f"{said}; give a local copy to read_{name}")
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
    fetch = getattr(functional, f"download_{name}_dataset")
    for subset in subsets:
        fetch(root=str(folder), subset=subset, verbose=1, **options)
    return folder


def read_clotho(folder: str | os.PathLike) -> Corpus:
    """Clotho from a folder, at any depth: clotho_captions_SPLIT.csv, and the audio in folders named
    SPLIT, known by its name without suffix.

    SPLIT: development (train), validation (val), evaluation (test); those present are read. Raises
    CorpusError when there is none, CsvError naming file and line for a faulty table.
    """
    clips = []
    columns = [f"caption_{number}" for number in range(1, CAPTIONS + 1)]
    files = [*files_below(folder, UNREAD_SUFFIXES), *files_below(folder)]  # what is read goes last
    audio = {(path.parent.name, path.stem): path for path in files}
    for split, subset in SUBSETS.items():
        for row in _table(folder, f"clotho_captions_{subset}.csv", ["file_name", *columns]):
            captions = {"eng": tuple(row[column] for column in columns)}
            name = pathlib.PurePath(row["file_name"]).stem
            path = audio.get((subset, name))
            clips.append(Clip(name, split, path, captions, numbers=("",) * CAPTIONS))
    return corpus_of("clotho", folder, clips)


def read_audiocaps(folder: str | os.PathLike) -> Corpus:
    """AudioCaps from a folder, at any depth: train.csv, val.csv, test.csv as published, and audio
    files.

    An audio file is known by its name, as the usual downloaders choose it: YOUTUBE_START
    (aac-datasets), YYOUTUBE, YOUTUBE, or the audiocap_id. Raises CorpusError when there is none,
    when a table is there twice, or when a validation or test clip has not five captions; CsvError
    naming file and line for a faulty table.
    """
    clips = []
    readable = {path.stem: path for path in files_below(folder)}
    other = {path.stem: path for path in files_below(folder, UNREAD_SUFFIXES)}
    for split in SUBSETS:
        rows = defaultdict(list)
        for row in _table(folder, f"{split}.csv", AUDIOCAPS_COLUMNS):
            rows[row["youtube_id"], row["start_time"]].append(row)
        for (video, start), group in rows.items():
            name = f"{video}_{start}"
            if split != "train" and len(group) != CAPTIONS:
                said = f"{folder}: {split}.csv has {len(group)} captions of {name}"
                raise CorpusError(f"{said}, expected {CAPTIONS}")
            captions = {"eng": tuple(row["caption"] for row in group)}
            numbers = tuple(row["audiocap_id"] for row in group)
            names = (name, f"Y{video}", video, numbers[0])
            found = [files[each] for files in (readable, other) for each in names if each in files]
            path = found[0] if found else None
            clips.append(Clip(name, split, path, captions, numbers))
    return corpus_of("audiocaps", folder, clips)


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
    unused = [column[:40] for column in next(iter(rows), ()) if column not in columns]
    if unused:
        said = f"{found[0]}: columns that are not used, besides {', '.join(columns)}"
        notice(f"{said}: {', '.join(unused[:10])}")
    return rows


def with_translations(corpus: Corpus, translations: Mapping[str, Sequence[Translation]]) -> Corpus:
    """Add languages: `translations` is what `translate` or `read_translations` return for
    `corpus.sentences`.

    Raises CorpusError for a caption without a translation, or with an empty one.
    """
    for code, entries in translations.items():
        texts = {entry.sentence: entry.text for entry in entries if entry.text.strip()}
        for english in corpus.sentences:
            if english not in texts:
                raise CorpusError(f"{corpus.name}: no {code} translation of {english!r}")
        said = []
        for clip in corpus.clips:
            said.append(tuple(texts[english] for english in clip.captions["eng"]))
        corpus = corpus.saying(code, said)
    return corpus


def with_human_japanese(corpus: Corpus, folder: str | os.PathLike) -> tuple[Corpus, int]:
    """Put people's Japanese captions in place of translated ones: (corpus, captions that remain
    translated).

    folder: the captions/ja folder of ML-AudioCaps: train.csv (people; else train_auto.csv, by
    ChatGPT), val.csv and test.csv with the columns of AudioCaps, matched by audiocap_id. Some
    captions are missing there; they keep their translation. Raises CorpusError when there is no
    table, or a caption would have no Japanese at all.
    """
    texts = _japanese(pathlib.Path(folder))
    said = []
    rest = 0
    for clip in corpus.clips:
        japanese = []
        translated = clip.captions.get("jpn", ("",) * len(clip.numbers))
        for number, before in zip(clip.numbers, translated, strict=True):
            text = texts.get(number, before)
            if not text:
                advice = "add translations to jpn first"
                raise CorpusError(f"{folder}: no Japanese for audiocap_id {number}; {advice}")
            japanese.append(text)
            rest += number not in texts
        said.append(tuple(japanese))
    return corpus.saying("jpn", said), rest


def _japanese(folder: pathlib.Path) -> dict[str, str]:
    """audiocap_id -> caption, of all tables of ML-AudioCaps in a folder."""
    texts = {}
    for split in SUBSETS:
        tables = (folder / f"{split}.csv", folder / f"{split}_auto.csv")
        for table in list(filter(pathlib.Path.is_file, tables))[:1]:
            for _, row in csv_rows(table, AUDIOCAPS_COLUMNS):
                texts[row["audiocap_id"]] = row["caption"]
    if not texts:
        raise CorpusError(f"{folder}: no train.csv, val.csv or test.csv of ML-AudioCaps here")
    return {number: text for number, text in texts.items() if text}


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
        if lacking := [code for code in languages if code not in clip.captions]:
            said = f"{corpus.name}: {clip.name} lacks {lacking[0]} captions"
            raise CorpusError(f"{said}: translate them first, or name the languages that you have")
    folder = pathlib.Path(folder)
    intake = Intake(folder, languages)
    taken: dict[int, str] = {}  # by the number of their clip, as the reasons against others
    reasons: dict[int, str] = {}
    # test first, so that it stays
    order = sorted(enumerate(corpus.clips), key=lambda clip: -SPLITS.index(clip[1].split))
    for number, clip in progress(order, f"converting {corpus.name}", unit="clip"):
        target = f"audio/{clip.split}/{safe_name(clip.id)}.flac"
        captions = {code: clip.captions[code] for code in languages}
        line = manifest_line(clip.id, target, clip.split, captions)
        try:
            if not (folder / target).exists():
                mono = read_audio(clip.audio)
                with storage.atomic_path(folder / target) as partial:
                    write_audio(partial, mono)
            intake.take(line.encode(), f"of {clip.name}")
            taken[number] = line
        except (ManifestError, UnreadableSound) as error:
            reasons[number] = f"{clip.name}: {error}"
    left_out = [f"{name}: no audio file" for name in corpus.missing]
    left_out += [reasons[number] for number in sorted(reasons)]
    lines = [taken[number] for number in sorted(taken)]
    storage.write_text(folder / "manifest.jsonl", "".join(lines))
    return folder / "manifest.jsonl", left_out
