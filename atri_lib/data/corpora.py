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
from dataclasses import dataclass, replace

import pandas as pd

from atri_lib import storage
from atri_lib.audio import (
    SAMPLE_RATE,
    UnreadableSound,
    files_below,
    read_audio,
    skipped,
    write_audio,
)
from atri_lib.data.dataset import SPLITS
from atri_lib.data.intake import ManifestError, intake
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


class CorpusError(ValueError):
    """A local copy that is not laid out as published, or a corpus that is not complete."""


@dataclass(frozen=True)
class Corpus:
    """captions: a row of each, with the columns split, id and audio (of its clip), number (the
    corpus' own of the caption, or ""), and one by the code of each language.

    missing: "split/id" of clips that have captions and no audio file; they are not in `captions`.
    """

    name: str
    captions: pd.DataFrame
    missing: tuple[str, ...]

    @property
    def clips(self) -> pd.api.typing.DataFrameGroupBy:
        """The captions by split and id, in order."""
        return self.captions.groupby(["split", "id"], sort=False)

    @property
    def sentences(self) -> list[str]:
        """The distinct English captions, in order."""
        return self.captions["eng"].unique().tolist()

    def saying(self, code: str, column: str, texts: Mapping[str, str]) -> "Corpus":
        """The corpus with captions in one more language, or with others in it.

        texts: by what stands in a column of `captions`; where there is none, the caption that was
        there stays. Raises CorpusError where none was.
        """
        said = self.captions[column].map(texts)
        if code in self.captions:
            said = said.fillna(self.captions[code])
        if said.isna().any():
            first = self.captions[column][said.isna()].iloc[0]
            raise CorpusError(f"{self.name}: no {code} translation of {first!r}; add one first")
        return replace(self, captions=self.captions.assign(**{code: said}))


def download(name: str, folder: str | os.PathLike) -> pathlib.Path:
    """Fetch "audiocaps" or "clotho", captions and audio, with aac-datasets, and return `folder` for
    read_*.

    AudioCaps comes from YouTube and needs yt-dlp and ffmpeg; videos that are gone become
    `Corpus.missing`. Raises CorpusError with the command to run when aac-datasets is not installed,
    KeyError for another name.
    """
    advice = f"a local copy needs nothing, give its folder to read_{name}"
    if storage.offline():
        raise CorpusError(f"downloading {name}: ATRI_OFFLINE forbids all network; {advice}")
    try:
        from aac_datasets.datasets import functional
    except ImportError as error:
        need = f"downloading {name} needs aac-datasets ({error}): pip install 'atri_lib[corpora]'"
        raise CorpusError(f"{need}; {advice}") from error
    os.makedirs(folder, exist_ok=True)
    subsets, options = DOWNLOADS[name]
    fetch = getattr(functional, f"download_{name}_dataset")
    for subset in subsets:
        fetch(root=str(folder), subset=subset, verbose=1, **options)
    return pathlib.Path(folder)


def read_clotho(folder: str | os.PathLike) -> Corpus:
    """Clotho from a folder, at any depth: clotho_captions_SPLIT.csv, and the audio in folders named
    SPLIT, known by its name without suffix.

    SPLIT: development (train), validation (val), evaluation (test); those present are read. Raises
    CorpusError when there is none, CsvError naming file and line for a faulty table.
    """
    captions = []
    columns = [f"caption_{number}" for number in range(1, CAPTIONS + 1)]
    audio = {(path.parent.name, path.stem): path for path in files_below(folder)}
    for split, subset in SUBSETS.items():
        for row in _table(folder, f"clotho_captions_{subset}.csv", ["file_name", *columns]):
            name = pathlib.PurePath(row["file_name"]).stem
            path = audio.get((subset, name))
            captions += [(split, name, path, "", row[column]) for column in columns]
    return _corpus_of("clotho", folder, captions)


def read_audiocaps(folder: str | os.PathLike) -> Corpus:
    """AudioCaps from a folder, at any depth: train.csv, val.csv, test.csv as published, and audio
    files.

    An audio file is known by its name, as the usual downloaders choose it: YOUTUBE_START
    (aac-datasets), YYOUTUBE, YOUTUBE, or the audiocap_id. Raises CorpusError when there is none,
    when a table is there twice, or when a validation or test clip has not five captions; CsvError
    naming file and line for a faulty table.
    """
    captions = []
    audio = {path.stem: path for path in files_below(folder)}
    for split in SUBSETS:
        numbers = defaultdict(list)  # of the captions of a clip
        for row in _table(folder, f"{split}.csv", AUDIOCAPS_COLUMNS):
            number, video, start, caption = (row[column] for column in AUDIOCAPS_COLUMNS)
            name = f"{video}_{start}"
            numbers[name].append(number)
            names = (name, f"Y{video}", video, numbers[name][0])
            path = next((audio[each] for each in names if each in audio), None)
            captions.append((split, name, path, number, caption))
        for name, its in numbers.items():
            if split != "train" and len(its) != CAPTIONS:
                raise CorpusError(
                    f"{folder}: {split}.csv has {len(its)} captions of {name}, not {CAPTIONS}"
                )
    return _corpus_of("audiocaps", folder, captions)


def _table(
    folder: str | os.PathLike, name: str, columns: Sequence[str], filled: bool = True
) -> list[dict[str, str]]:
    """The rows of the one file of that name below a folder, where filled none of `columns` empty;
    [] without the file.
    """
    found = sorted(pathlib.Path(folder).rglob(name))
    if len(found) > 1:
        raise CorpusError(
            f"{folder} holds {name} {len(found)} times, such as {found[0]}: "
            "give the folder of one version"
        )
    needed = columns if filled else ()
    return [row for table in found for _, row in csv_rows(table, columns, filled=needed)]


def _corpus_of(name: str, folder: str | os.PathLike, captions: Sequence[tuple]) -> Corpus:
    """The corpus of the captions whose clips have audio in a folder; says what there cannot be
    read.
    """
    table = pd.DataFrame(captions, columns=["split", "id", "audio", "number", "eng"])
    absent = table["audio"].isna()
    names = table["split"] + "/" + table["id"]
    unread = skipped(folder)
    if absent.all():
        what = "its captions, but none of the audio" if captions else "none of its caption tables"
        raise CorpusError(f"{folder} is no local copy of {name}: it holds {what}. {unread}")
    if unread and absent.any():
        notice(f"{name}: {unread}")
    return Corpus(name, table[~absent], tuple(names[absent].unique()))


def with_translations(corpus: Corpus, translations: Mapping[str, Sequence[Translation]]) -> Corpus:
    """Add languages: `translations` is what `translate` or `read_translations` return for
    `corpus.sentences`.

    Raises CorpusError for a caption without a translation, or with an empty one.
    """
    for code, entries in translations.items():
        texts = {entry.sentence: entry.text for entry in entries if entry.text.strip()}
        corpus = corpus.saying(code, "eng", texts)
    return corpus


def with_human_japanese(corpus: Corpus, folder: str | os.PathLike) -> tuple[Corpus, int]:
    """Put people's Japanese captions in place of translated ones: (corpus, captions that remain
    translated).

    folder: the captions/ja folder of ML-AudioCaps: train.csv (people; else train_auto.csv, by
    ChatGPT), val.csv and test.csv with the columns of AudioCaps, matched by audiocap_id. Some
    captions are missing there; they keep their translation. Raises CorpusError when there is no
    table, or a caption would have no Japanese at all.
    """
    texts = {}
    for split in SUBSETS:
        by_people, by_a_model = (
            _table(folder, f"{split}{ending}.csv", AUDIOCAPS_COLUMNS, filled=False)
            for ending in ("", "_auto")
        )
        for row in by_people or by_a_model:
            if row["caption"]:
                texts[row["audiocap_id"]] = row["caption"]
    if not texts:
        raise CorpusError(f"{folder}: no train.csv, val.csv or test.csv of ML-AudioCaps here")
    rest = ~corpus.captions["number"].isin(list(texts))
    return corpus.saying("jpn", "number", texts), int(rest.sum())


def write_corpus(
    corpus: Corpus, folder: str | os.PathLike, languages: Sequence[str] = CODES
) -> tuple[pathlib.Path, list[str]]:
    """Convert to a folder with manifest.jsonl and audio/SPLIT/ID.flac (mono, 16 kHz): (manifest,
    clips left out).

    What is converted already is kept, so a killed conversion resumes. Left out, as "split/id:
    reason", are clips without audio and all that load_manifest would refuse; of a recording in two
    splits the one in test stays, then the one in val. An id that is no file name becomes one
    (`safe_name`). Raises KeyError naming languages that are not there: translate first, or name
    those that you have; OSError when a file cannot be written: run it again when there is space.
    """
    folder = pathlib.Path(folder)
    take = intake(folder, languages)
    lines = {split: [] for split in SPLITS}
    left_out = [f"{name}: no audio file" for name in corpus.missing]
    # test first, so that it stays
    order = sorted(corpus.clips, key=lambda clip: -SPLITS.index(clip[0][0]))
    for (split, name), rows in progress(order, f"converting {corpus.name}", unit="clip"):
        target = f"audio/{split}/{safe_name(name)}.flac"
        line = manifest_line(name, target, split, rows[list(languages)].to_dict("list"))
        try:
            if not (folder / target).exists():
                mono = read_audio(rows["audio"].iloc[0])
                with storage.atomic_path(folder / target) as partial:
                    write_audio(partial, mono)
            take(line.encode(), f"of {split}/{name}")
            lines[split].append(line)
        except (ManifestError, UnreadableSound) as error:
            left_out.append(f"{split}/{name}: {error}")
    storage.write_text(folder / "manifest.jsonl", "".join(sum(lines.values(), [])))
    return folder / "manifest.jsonl", left_out
