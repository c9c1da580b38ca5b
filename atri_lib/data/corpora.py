"""AudioCaps and Clotho: read in their published layouts, completed in eight languages, converted
once to a manifest.

Sources: Kim et al., "AudioCaps", 2019; Drossos et al., "Clotho", 2020 (v2.1); Japanese AudioCaps
captions by people: the ML-AudioCaps corpus. The order of work: read_*, translate,
with_translations, with_human_japanese, write_corpus.
"""

import hashlib
import json
import os
import pathlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from atri_lib import storage
from atri_lib.audio import UnreadableSound, files_below, read_audio, skipped, write_audio
from atri_lib.data.dataset import SPLITS
from atri_lib.data.intake import ManifestError, intake
from atri_lib.data.manifest import manifest_line
from atri_lib.data.translation import Translation
from atri_lib.data.translation_table import read_table
from atri_lib.languages import CODES
from atri_lib.progress import progress
from atri_lib.terminal import notice

# name -> subsets of aac-datasets
DOWNLOADS = {"audiocaps": ("train", "val", "test"), "clotho": ("dev", "val", "eval")}
LONGEST = 180  # bytes of a name; a file system allows 255, and a suffix comes on top
# separators, what Windows does not take, and what hides a file
FORBIDDEN = re.compile(r'[/\\:*?"<>|]|^\.')
SUBSETS = {"train": "development", "val": "validation", "test": "evaluation"}
CLOTHO_COLUMNS = ("file_name", *(f"caption_{number}" for number in range(1, 6)))
AUDIOCAPS_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")


class CorpusError(ValueError):
    """A local copy that is not laid out as published."""


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


def download(name: str, folder: str | os.PathLike) -> pathlib.Path:
    """Fetch "audiocaps" or "clotho", captions and audio, with aac-datasets (pip install
    'atri_lib[corpora]'), and return `folder` for read_*.

    AudioCaps comes from YouTube and needs yt-dlp and ffmpeg; videos that are gone become
    `Corpus.missing`. Raises CorpusError where ATRI_OFFLINE forbids it, ImportError when
    aac-datasets is not installed, KeyError for another name.
    """
    if storage.offline():
        raise CorpusError(
            f"downloading {name}: ATRI_OFFLINE forbids all network; "
            f"a local copy needs nothing, give its folder to read_{name}"
        )
    from aac_datasets.datasets import functional

    os.makedirs(folder, exist_ok=True)
    fetch = getattr(functional, f"download_{name}_dataset")
    for subset in DOWNLOADS[name]:
        fetch(root=str(folder), subset=subset, verbose=1)
    return pathlib.Path(folder)


def read_clotho(folder: str | os.PathLike) -> Corpus:
    """Clotho from a folder, at any depth: clotho_captions_SPLIT.csv, and the audio in folders named
    SPLIT, known by its name without suffix.

    SPLIT: development (train), validation (val), evaluation (test); those present are read. Raises
    CorpusError when there is none, CsvError naming file and row for a faulty table.
    """
    captions = []
    audio = {(path.parent.name, path.stem): path for path in files_below(folder)}
    for split, subset in SUBSETS.items():
        for file, *said in _rows(folder, f"clotho_captions_{subset}.csv", CLOTHO_COLUMNS):
            name = pathlib.PurePath(file).stem
            path = audio.get((subset, name))
            captions += [(split, name, path, "", text) for text in said]
    return _corpus_of("clotho", folder, captions)


def read_audiocaps(folder: str | os.PathLike) -> Corpus:
    """AudioCaps from a folder, at any depth: train.csv, val.csv, test.csv as published, and audio
    files.

    An audio file is known by its name, as the usual downloaders choose it: YOUTUBE_START
    (aac-datasets), YYOUTUBE or YOUTUBE. Raises CorpusError when there is none, when a table is
    there twice, or when a validation or test clip has not five captions; CsvError naming file and
    row for a faulty table.
    """
    captions = []
    audio = {path.stem: path for path in files_below(folder)}
    for split in SUBSETS:
        for number, video, start, text in _rows(folder, f"{split}.csv", AUDIOCAPS_COLUMNS):
            name = f"{video}_{start}"
            found = [audio[each] for each in (name, f"Y{video}", video) if each in audio]
            captions.append((split, name, found[0] if found else None, number, text))
    for (split, name), count in Counter(row[:2] for row in captions).items():
        if split != "train" and count != 5:
            raise CorpusError(f"{folder}: {split}.csv has {count} captions of {name}, not 5")
    return _corpus_of("audiocaps", folder, captions)


def _rows(
    folder: str | os.PathLike, name: str, columns: Sequence[str], filled: bool = True
) -> list[list[str]]:
    """The `columns` of each row of the one file of that name below a folder; [] without the
    file.
    """
    found = sorted(pathlib.Path(folder).rglob(name))
    if len(found) > 1:
        raise CorpusError(
            f"{folder} holds {name} {len(found)} times, such as {found[0]}: "
            "give the folder of one version"
        )
    tables = [read_table(path, columns, filled)[[*columns]] for path in found]
    return sum((table.values.tolist() for table in tables), [])


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
    `corpus.sentences`. Raises CorpusError for a caption without one, or with an empty one.
    """
    captions = corpus.captions.copy()
    for code, entries in translations.items():
        texts = {entry.sentence: entry.text for entry in entries if entry.text.strip()}
        for text in corpus.sentences:
            if text not in texts:
                said = f"no {code} translation of {text!r}; add one first"
                raise CorpusError(f"{corpus.name}: {said}")
        captions[code] = captions["eng"].map(texts)
    return replace(corpus, captions=captions)


def with_human_japanese(corpus: Corpus, folder: str | os.PathLike) -> tuple[Corpus, int]:
    """Put people's Japanese captions in place of translated ones: (corpus, captions that remain
    translated).

    folder: the captions/ja folder of ML-AudioCaps: train.csv (people; else train_auto.csv, by
    ChatGPT), val.csv and test.csv with the columns of AudioCaps, matched by audiocap_id. Some
    captions are missing there; they keep their translation. Raises CorpusError when there is no
    table, KeyError when there are no translations.
    """
    texts = {}
    for split in SUBSETS:
        by_people, by_a_model = (
            _rows(folder, f"{split}{ending}.csv", AUDIOCAPS_COLUMNS, filled=False)
            for ending in ("", "_auto")
        )
        texts |= {number: text for number, *_, text in by_people or by_a_model if text}
    if not texts:
        raise CorpusError(f"{folder}: no train.csv, val.csv or test.csv of ML-AudioCaps here")
    said = corpus.captions["number"].map(texts)
    captions = corpus.captions.assign(jpn=said.fillna(corpus.captions["jpn"]))
    return replace(corpus, captions=captions), int(said.isna().sum())


def safe_name(text: str) -> str:
    """A file name, without suffix, that stays in its folder: the one place where a name from data
    becomes a part of a path.

    What is FORBIDDEN or cannot be printed becomes "_", a long text is cut; what was changed so ends
    in eight digits of its checksum, and different texts get different names.
    """
    allowed = [c if c.isprintable() else "_" for c in FORBIDDEN.sub("_", text)]
    safe = "".join(allowed).encode()[:LONGEST].decode(errors="ignore")
    if safe and safe == text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{safe}-{digest[:8]}"


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
    lines = []
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
            take(json.loads(line), f"of {split}/{name}")
            lines.append(line)
        except (ManifestError, UnreadableSound) as error:
            left_out.append(f"{split}/{name}: {error}")
    storage.write_text(folder / "manifest.jsonl", "".join(lines))
    return folder / "manifest.jsonl", left_out
