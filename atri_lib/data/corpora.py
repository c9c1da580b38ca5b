"""AudioCaps and Clotho: read in their published layouts, completed in eight languages, converted
once to a manifest.

Sources: Kim et al., "AudioCaps", 2019; Drossos et al., "Clotho", 2020 (v2.1); Japanese AudioCaps
captions by people: the ML-AudioCaps corpus. The order of work: read_*, translate,
with_translations, with_human_japanese, write_corpus.
"""

import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from atri_lib import storage
from atri_lib.audio import SAMPLE_RATE, UnreadableSound, read_audio, sound_files, write_audio
from atri_lib.data.dataset import SPLITS
from atri_lib.data.manifest import Intake, ManifestError, manifest_line
from atri_lib.data.names import safe_name
from atri_lib.data.translation import Translation, csv_rows
from atri_lib.languages import CODES
from atri_lib.progress import progress
from atri_lib.terminal import notice

CAPTIONS = (
    5  # of each validation and test clip in both corpora, and of each training clip of Clotho
)
# name -> subsets and options of aac-datasets
DOWNLOADS = {
    "audiocaps": (("train", "val", "test"), {"sr": SAMPLE_RATE}),
    "clotho": (("dev", "val", "eval"), {}),
}
SUBSETS = {"train": "development", "val": "validation", "test": "evaluation"}
AUDIOCAPS_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")


class CorpusError(ValueError):
    """A local copy that is not laid out as published, or a corpus that is not complete."""


@dataclass(frozen=True)
class Clip:
    """captions: by language code, the same number in each; numbers: the corpus' own id of each
    caption, or "".
    """

    id: str
    split: str
    audio: pathlib.Path | None
    captions: Mapping[str, tuple[str, ...]]
    numbers: tuple[str, ...]

    def saying(self, captions: Mapping[str, Iterable[str]]) -> "Clip":
        """The clip with captions in more languages, or with others."""
        return replace(
            self,
            captions={**self.captions, **{code: tuple(said) for code, said in captions.items()}},
        )


@dataclass(frozen=True)
class Corpus:
    """missing: "split/id" of clips that have captions and no audio file; they are not among
    `clips`.

    skipped: files that have the name of a missing clip, but no format that is read, such as .m4a.
    """

    name: str
    clips: tuple[Clip, ...]
    missing: tuple[str, ...]
    skipped: tuple[pathlib.Path, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """The distinct English captions, in order."""
        return list(
            dict.fromkeys(caption for clip in self.clips for caption in clip.captions["eng"])
        )


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
            f"downloading {name}: ATRI_OFFLINE forbids all network; give a local copy to read_{name}"
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
    subsets, options = DOWNLOADS[name]
    for subset in subsets:
        getattr(functional, f"download_{name}_dataset")(
            root=str(folder), subset=subset, verbose=1, **options
        )
    return folder


def read_clotho(folder: str | os.PathLike) -> Corpus:
    """Clotho from a folder, at any depth: clotho_captions_SPLIT.csv, and the audio in folders named
    SPLIT.

    SPLIT: development (train), validation (val), evaluation (test); those present are read. Raises
    CorpusError when there is none, CsvError naming file and line for a faulty table.
    """
    clips, names = [], [f"caption_{number}" for number in range(1, CAPTIONS + 1)]
    audio, skipped = {(path.parent.name, path.name): path for path in sound_files(folder)}, []
    other = {(path.parent.name, path.stem): path for path in _other_files(folder)}
    for split, subset in SUBSETS.items():
        for row in _table(folder, f"clotho_captions_{subset}.csv", ["file_name", *names]):
            captions = {"eng": tuple(row[name] for name in names)}
            name = pathlib.PurePath(row["file_name"])
            path = audio.get((subset, name.name))
            skipped += (
                [other[subset, name.stem]] if path is None and (subset, name.stem) in other else []
            )
            clips.append(Clip(name.stem, split, path, captions, ("",) * CAPTIONS))
    return _corpus("clotho", folder, clips, skipped)


def read_audiocaps(folder: str | os.PathLike) -> Corpus:
    """AudioCaps from a folder, at any depth: train.csv, val.csv, test.csv as published, and audio
    files.

    An audio file is known by its name, as the usual downloaders choose it: YOUTUBE_START
    (aac-datasets), YYOUTUBE, YOUTUBE, or the audiocap_id. Raises CorpusError when there is none,
    when a table is there twice, or when a validation or test clip has not five captions; CsvError
    naming file and line for a faulty table.
    """
    clips, skipped, audio = [], [], {path.stem: path for path in sound_files(folder)}
    other = {path.stem: path for path in _other_files(folder)}
    for split in SUBSETS:
        rows: dict[tuple[str, str], list[dict[str, str]]] = {}
        for row in _table(folder, f"{split}.csv", AUDIOCAPS_COLUMNS):
            rows.setdefault((row["youtube_id"], row["start_time"]), []).append(row)
        for (video, start), group in rows.items():
            name = f"{video}_{start}"
            if split != "train" and len(group) != CAPTIONS:
                raise CorpusError(
                    f"{folder}: {split}.csv has {len(group)} captions of {name}, expected {CAPTIONS}"
                )
            numbers = tuple(row["audiocap_id"] for row in group)
            names = (name, f"Y{video}", video, numbers[0])
            path = next((audio[n] for n in names if n in audio), None)
            skipped += [other[n] for n in names if path is None and n in other][:1]
            clips.append(
                Clip(name, split, path, {"eng": tuple(row["caption"] for row in group)}, numbers)
            )
    return _corpus("audiocaps", folder, clips, skipped)


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
    rows = [row for _, row in csv_rows(found[0], columns, filled=columns)] if found else []
    if rows and (unused := [column[:40] for column in rows[0] if column not in columns]):
        notice(
            f"{found[0]}: columns that are not used, besides {', '.join(columns)}: {', '.join(unused[:10])}"
        )
    return rows


def _other_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """Files that are read neither as audio nor as a table, hidden ones aside."""
    known = {*sound_files(folder), *pathlib.Path(folder).rglob("*.csv")}
    found = [path for path in sorted(pathlib.Path(folder).rglob("*")) if path not in known]
    return [path for path in found if not path.name.startswith(".") and path.is_file()]


def _corpus(
    name: str, folder: str | os.PathLike, clips: list[Clip], skipped: list[pathlib.Path]
) -> Corpus:
    missing = tuple(f"{clip.split}/{clip.id}" for clip in clips if clip.audio is None)
    unread = ""
    if skipped:
        counts = Counter(path.suffix for path in skipped).most_common()
        kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in counts)
        unread = f"{kinds} not read as audio, such as {skipped[0]}; convert them to FLAC or WAV"
    if len(missing) == len(clips):
        what = "its captions, but none of the audio" if clips else "none of its caption tables"
        said = f"{folder} is no local copy of {name}: it holds {what}"
        raise CorpusError(f"{said} ({unread})" if unread else said)
    if unread:
        notice(f"{name}: {unread}")
    present = tuple(clip for clip in clips if clip.audio is not None)
    return Corpus(name, present, missing, tuple(skipped))


def with_translations(corpus: Corpus, translations: Mapping[str, Sequence[Translation]]) -> Corpus:
    """Add languages: `translations` is what `translate` or `read_translations` return for
    `corpus.sentences`.

    Raises CorpusError for a caption without a translation, or with an empty one.
    """
    tables = {
        code: {entry.sentence: entry.text for entry in entries}
        for code, entries in translations.items()
    }
    for clip in corpus.clips:
        for code, texts in tables.items():
            if lacking := [
                english for english in clip.captions["eng"] if not texts.get(english, "").strip()
            ]:
                raise CorpusError(
                    f"{corpus.name}: no {code} translation of {lacking[0]!r} ({clip.split}/{clip.id})"
                )
    said = (
        {code: map(texts.get, clip.captions["eng"]) for code, texts in tables.items()}
        for clip in corpus.clips
    )
    return replace(corpus, clips=tuple(map(Clip.saying, corpus.clips, said)))


def with_human_japanese(corpus: Corpus, folder: str | os.PathLike) -> tuple[Corpus, int]:
    """Put people's Japanese captions in place of translated ones: (corpus, captions that remain
    translated).

    folder: the captions/ja folder of ML-AudioCaps: train.csv (people; else train_auto.csv, by
    ChatGPT), val.csv and test.csv with the columns of AudioCaps, matched by audiocap_id. Some
    captions are missing there; they keep their translation. Raises CorpusError when there is no
    table, or a caption would have no Japanese at all.
    """
    texts: dict[str, str] = {}
    for split in SUBSETS:
        tables = [pathlib.Path(folder, name) for name in (f"{split}.csv", f"{split}_auto.csv")]
        for table in [path for path in tables if path.is_file()][:1]:
            texts |= {
                row["audiocap_id"]: row["caption"] for _, row in csv_rows(table, AUDIOCAPS_COLUMNS)
            }
    if not texts:
        raise CorpusError(f"{folder}: no train.csv, val.csv or test.csv of ML-AudioCaps here")
    clips, rest = [], 0
    for clip in corpus.clips:
        translated = clip.captions.get("jpn", ("",) * len(clip.numbers))
        japanese = tuple(
            texts.get(n) or before for n, before in zip(clip.numbers, translated, strict=True)
        )
        if not all(japanese):
            number = clip.numbers[japanese.index("")]
            raise CorpusError(
                f"{folder}: no Japanese for audiocap_id {number}; add translations to jpn first"
            )
        rest += sum(not texts.get(number) for number in clip.numbers)
        clips.append(clip.saying({"jpn": japanese}))
    return replace(corpus, clips=tuple(clips)), rest


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
                said = f"{corpus.name}: {clip.split}/{clip.id} lacks {code} captions"
                raise CorpusError(
                    f"{said}: translate them first, or name the languages that you have"
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
        left_out.append(f"{corpus.clips[number].split}/{corpus.clips[number].id}: {why}")
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
        clip = corpus.clips[number]
        try:
            intake.take(lines[number].encode(), f"of {clip.split}/{clip.id}")
        except (ManifestError, UnreadableSound) as error:
            reasons[number] = error
    return reasons
