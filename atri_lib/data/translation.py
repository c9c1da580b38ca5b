"""Captions in other languages: machine translation that can be killed and resumed, or a table of
your own.
"""

import csv
import os
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from atri_lib import storage
from atri_lib.data.dataset import text_fault
from atri_lib.data.translation_cache import TranslationCache
from atri_lib.data.translation_model import load_model
from atri_lib.data.translation_report import report
from atri_lib.data.translation_table import CsvError, csv_rows, harmless
from atri_lib.hub import model_path
from atri_lib.languages import CODES, language
from atri_lib.progress import progress

MODEL = "facebook/nllb-200-distilled-600M"


@dataclass(frozen=True)
class Translation:
    """sentence: as given; text: in `language` (ISO 639-3); truncated: the model stopped at its
    token limit.
    """

    sentence: str
    language: str
    text: str
    truncated: bool = False


def translate(
    sentences: Sequence[str],
    targets: Sequence[str] = CODES[1:],
    *,
    source: str = "eng",
    model: str | os.PathLike = MODEL,
    batch_size: int = 32,
    beams: int = 4,
    max_tokens: int = 200,
    cache: str | os.PathLike | None = None,
    device: str = "cpu",
) -> dict[str, list[Translation]]:
    """Translate sentences into each target language, in the order given.

    model: hub id or folder of a sequence-to-sequence checkpoint of transformers: one with language
    tags (NLLB-200, M2M-100, mBART-50, MADLAD-400, Marian groups) or of a single pair (Marian; one
    target). cache: JSONL file of what is done; by default one for all in the library's cache. A
    sentence is known by its text, the bytes of the model's files, the languages, `beams` and
    `max_tokens`; each is translated once, longest first, and saved batch by batch, so a killed call
    resumes where it was. Several calls at once share the work, one language each. The model is
    loaded only when something is left to do. Raises UnknownLanguage, ValueError for a sentence that
    is empty or too long, ModelUnavailable, CheckpointError when the checkpoint is damaged, lacks
    weights, computes what is no number, or does not know a language.
    """
    if isinstance(sentences, str):
        raise TypeError(f"expected a list of sentences, not one string: [{sentences[:40]!r}]")
    for number, sentence in enumerate(sentences, start=1):
        if fault := text_fault(sentence):
            raise ValueError(f"sentence {number} of those to translate {fault}: {sentence[:40]!r}")
    source = language(source).code
    targets = [language(code).code for code in targets]
    known = TranslationCache(cache or default_cache())
    folder = model_path(model)
    weights = _content(folder)
    settings = {"model": weights, "beams": beams, "max_tokens": max_tokens, "source": source}
    key = tuple(settings.values())

    def missing(code: str) -> list[str]:
        rest = {sentence for sentence in sentences if (*key, code, sentence) not in known}
        return sorted(rest, key=lambda sentence: (-len(sentence), sentence))

    generate = None
    lacking = [code for code in targets if missing(code)]
    known.path.parent.mkdir(parents=True, exist_ok=True)
    for code in lacking:
        waiting = f"another process translates to {code}; waiting for it"
        with storage.locked(f"{known.path}.{weights}-{code}", waiting):
            known.read()  # what another process has done meanwhile
            rest = missing(code)
            if rest and generate is None:
                generate = load_model(folder, source, lacking, beams, max_tokens, device)
            starts = range(0, len(rest), batch_size)
            for start in progress(starts, f"translating to {code}", unit="batch"):
                batch = rest[start : start + batch_size]
                records = []
                for sentence, (text, truncated) in zip(batch, generate(batch, code), strict=True):
                    made = {"sentence": sentence, "text": text, "truncated": truncated}
                    records.append(settings | {"language": code} | made)
                known.add(records)
    return {
        code: [Translation(s, code, *known[*key, code, s]) for s in sentences] for code in targets
    }


def _content(folder: pathlib.Path) -> str:
    """Checksum of a model's files, hidden ones aside."""
    files = [path for path in sorted(folder.rglob("[!.]*")) if path.is_file()]
    return storage.checksum(*[(path.name, storage.sha256_file(path)) for path in files])


def default_cache() -> pathlib.Path:
    """The file in the library's cache where translations are kept."""
    return storage.cache_dir("translations") / "translations.jsonl"


def translate_to_csv(
    sentences: Sequence[str],
    targets: Sequence[str],
    path: str | os.PathLike,
    model: str | None = None,
    **options,
) -> dict:
    """Translate into a CSV file that `read_translations` accepts, and say what looks wrong in it.

    options: of `translate`. A cell that a spreadsheet would execute begins with an apostrophe,
    which csv_rows removes. Returns {"out", "sentences", "languages", "problems": {problem: count}}
    (see `report`). Raises CsvError when something is at `path` that was not written here, or was
    corrected or added to since.
    """
    path = pathlib.Path(path)
    cache = options.get("cache") or default_cache()
    _check_ours(path, cache)
    sentences = list(dict.fromkeys(sentence.strip() for sentence in sentences))
    translations = translate(sentences, targets, model=model or MODEL, **options)
    texts = {code: [entry.text for entry in entries] for code, entries in translations.items()}
    table = pd.DataFrame({"sentence": sentences} | texts).map(harmless)
    _check_ours(path, cache)  # it may have been corrected during a long translation
    quoted = table.to_csv(index=False, quoting=csv.QUOTE_ALL)  # a lone CR ends a row otherwise
    storage.write_text(path, quoted)
    problems = report(translations).problem.value_counts().to_dict()
    return {
        "out": str(path),
        "sentences": len(sentences),
        "languages": list(translations),
        "problems": problems,
    }


def _check_ours(path: pathlib.Path, cache: str | os.PathLike) -> None:
    """Raise CsvError when something is at `path` that is not all as one call of `translate_to_csv`
    wrote it.
    """
    try:
        if os.path.lexists(path):
            _check_cells(path, TranslationCache(cache))
    except CsvError as error:
        advice = "copy what you want to keep from one to the other"
        said = f"{error}, so it is not replaced. Name another file with --out, then {advice}"
        raise CsvError(said) from error


def _check_cells(path: pathlib.Path, cache: TranslationCache) -> None:
    if not path.is_file():
        raise CsvError(f"{path} exists and is no table of translations")
    cells = []
    for line, row in csv_rows(path, ["sentence"]):
        sentence = row.pop("sentence")
        if added := [column for column in row if column not in CODES]:
            raise CsvError(f"{path}:1: column {added[0][:40]!r} was added to the table")
        if not row:
            raise CsvError(f"{path}:1: it holds sentences and no translation")
        cells += [(line, column, sentence, text) for column, text in row.items()]
    unlike = [cells]  # by call: cells chosen from the tables of two models are somebody's work
    for made in cache.written():
        unlike.append([cell for cell in cells if cell[1:] not in made])
    for line, column, *_ in min(unlike, key=len):
        raise CsvError(f"{path}:{line}: the cell in {column} is not what was translated here")


def read_translations(
    path: str | os.PathLike, sentences: Sequence[str], targets: Sequence[str] = CODES[1:]
) -> dict[str, list[Translation]]:
    """Your own translations (people's, another service's) from a CSV file, in the form that
    `translate` returns.

    Columns: `sentence`, as in the corpus, and one per target, named by its code (fra, deu, ...);
    `id` is ignored. Raises CsvError naming file and line for a column that is no language, an empty
    cell, or a sentence translated in two ways; and naming the file when a sentence has no row.
    """
    columns = ["sentence", *(language(code).code for code in targets)]
    found = {}
    for line, row in csv_rows(path, columns, filled=columns):
        if unknown := [column for column in row if column not in ("id", "sentence", *CODES)]:
            said = f"{path}:1: column {unknown[0]!r} is no language code"
            raise CsvError(f"{said}; use {', '.join(CODES)}")
        texts = {code: row[code] for code in targets}
        first, before = found.setdefault(row["sentence"], (line, texts))
        if before != texts:
            said = f"{path}:{line}: {row['sentence']!r} was translated differently"
            raise CsvError(f"{said} in line {first}")
    lacking = [sentence for sentence in dict.fromkeys(sentences) if sentence.strip() not in found]
    if lacking:
        raise CsvError(f"{path}: {len(lacking)} sentences have no row, the first is {lacking[0]!r}")
    translations = {code: [] for code in targets}
    for sentence in sentences:
        _, texts = found[sentence.strip()]
        for code, text in texts.items():
            translations[code].append(Translation(sentence, code, text))
    return translations
