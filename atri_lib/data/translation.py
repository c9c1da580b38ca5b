"""Captions in other languages: machine translation that can be killed and resumed, or a table of
your own.
"""

import contextlib
import csv
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence

import pandas as pd

from atri_lib import storage
from atri_lib.data.dataset import text_fault
from atri_lib.data.translation_model import load_model
from atri_lib.data.translation_report import report
from atri_lib.data.translation_table import CsvError, csv_rows, harmless
from atri_lib.hub import model_path
from atri_lib.languages import CODES, language
from atri_lib.progress import progress

MODEL = "facebook/nllb-200-distilled-600M"


@dataclasses.dataclass(frozen=True)
class Translation:
    """sentence: as given; text: in `language` (ISO 639-3); truncated: the model stopped at its
    token limit.
    """

    sentence: str
    language: str
    text: str
    truncated: bool = False


FIELDS = [field.name for field in dataclasses.fields(Translation)]


def translate(
    sentences: Sequence[str],
    targets: Sequence[str] = CODES[1:],
    *,
    model: str | os.PathLike = MODEL,
    batch_size: int = 32,
    beams: int = 4,
    max_tokens: int = 200,
    cache: str | os.PathLike | None = None,
    device: str = "cpu",
) -> dict[str, list[Translation]]:
    """Translate English sentences into each target language, in the order given.

    model: hub id or folder of a sequence-to-sequence checkpoint of transformers: one with language
    tags (NLLB-200, M2M-100, mBART-50, MADLAD-400, Marian groups) or of a single pair (Marian; one
    target). cache: JSONL file of what is done; by default one for all in the library's cache. A
    sentence is known by its text, the bytes of the model's files, the language, `beams` and
    `max_tokens`; each is translated once, longest first, and saved batch by batch, so a killed call
    resumes where it was. Of several calls at once one works, the others wait and take what it has
    made. The model is loaded only when something is left to do. Raises UnknownLanguage, TypeError
    for a bare string, ValueError for a sentence that is empty or too long, ModelUnavailable,
    CheckpointError when the checkpoint is damaged, lacks weights, computes what is no number, or
    does not know a language; OSError for a cache that is no file or cannot be written.
    """
    _check_sentences(sentences)
    for code in targets:
        language(code)  # or UnknownLanguage
    folder = model_path(model)
    made_by = {"model": _content(folder), "beams": beams, "max_tokens": max_tokens, "source": "eng"}
    path = pathlib.Path(cache or storage.cache_dir("translations") / "translations.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.locked(path, "another process translates; waiting for it"):
        known = _read(path, made_by)
        lacking = {}
        for code in targets:
            rest = [sentence for sentence in sentences if (code, sentence) not in known]
            if rest:
                lacking[code] = sorted(dict.fromkeys(rest), key=len, reverse=True)
        if lacking:
            generate = load_model(folder, list(lacking), beams, max_tokens, device)
        for code, rest in lacking.items():
            starts = range(0, len(rest), batch_size)
            for start in progress(starts, f"translating to {code}", unit="batch"):
                batch = rest[start : start + batch_size]
                said = zip(batch, generate(batch, code), strict=True)
                made = [Translation(sentence, code, *result) for sentence, result in said]
                _append(path, [dataclasses.asdict(entry) | made_by for entry in made])
                known |= {(code, entry.sentence): entry for entry in made}
    return {code: [known[code, sentence] for sentence in sentences] for code in targets}


def _check_sentences(sentences: Sequence[str]) -> None:
    if isinstance(sentences, str):
        raise TypeError(f"expected a list of sentences, not one string: [{sentences[:40]!r}]")
    for number, sentence in enumerate(sentences, start=1):
        if fault := text_fault(sentence):
            raise ValueError(f"sentence {number} of those to translate {fault}: {sentence[:40]!r}")


def _content(folder: pathlib.Path) -> str:
    """Checksum of a model's files, hidden ones aside."""
    files = [path for path in sorted(folder.rglob("[!.]*")) if path.is_file()]
    return storage.checksum(*[(path.name, storage.sha256_file(path)) for path in files])


def _read(path: pathlib.Path, made_by: dict) -> dict[tuple[str, str], Translation]:
    """(language, sentence) -> what was translated with a model and settings.

    A line that is cut short or altered is skipped: each carries a checksum.
    """
    known = {}
    path.touch()
    for line in storage.regular(path).read_bytes().splitlines():
        with contextlib.suppress(Exception):  # an altered line may hold anything
            record = json.loads(line)
            intact = record.pop("checksum") == storage.checksum(record)
            entry = Translation(*map(record.pop, FIELDS))
            if intact and record == made_by:
                known[entry.language, entry.sentence] = entry
    return known


def _append(path: pathlib.Path, records: Sequence[dict]) -> None:
    """Add lines to a cache. Raises OSError naming it."""
    lines = [""]  # the first line end closes a line that was cut short
    for record in records:
        sealed = record | {"checksum": storage.checksum(record)}
        lines.append(json.dumps(sealed, ensure_ascii=False))
    with storage.writing(path), open(path, "a", encoding="utf-8") as stream:
        stream.write("\n".join([*lines, ""]))


def translate_to_csv(
    sentences: Sequence[str],
    targets: Sequence[str],
    path: str | os.PathLike,
    model: str | None = None,
    **options,
) -> dict:
    """Translate into a new CSV file that `read_translations` accepts, and say what looks wrong in
    it.

    options: of `translate`. A cell that a spreadsheet would execute begins with an apostrophe,
    which csv_rows removes. Returns {"out", "sentences", "languages", "problems": {problem: count}}
    (see `report`). Raises CsvError when something is at `path`, which people may have corrected.
    """
    _check_free(path)
    _check_sentences(sentences)
    sentences = list(dict.fromkeys(sentence.strip() for sentence in sentences))
    translations = translate(sentences, targets, model=model or MODEL, **options)
    texts = {code: [entry.text for entry in entries] for code, entries in translations.items()}
    table = pd.DataFrame({"sentence": sentences} | texts).map(harmless)
    _check_free(path)  # a translation may take days
    quoted = table.to_csv(index=False, quoting=csv.QUOTE_ALL)  # a lone CR ends a row otherwise
    storage.write_text(path, quoted)
    return {
        "out": str(path),
        "sentences": len(sentences),
        "languages": list(translations),
        "problems": report(translations).problem.value_counts().to_dict(),
    }


def _check_free(path: str | os.PathLike) -> None:
    if os.path.lexists(path):
        advice = "Name another file with --out, then copy what you want to keep from one to the"
        raise CsvError(f"{path} exists and is not replaced. {advice} other")


def read_translations(
    path: str | os.PathLike, sentences: Sequence[str], targets: Sequence[str] = CODES[1:]
) -> dict[str, list[Translation]]:
    """Your own translations (people's, another service's) from a CSV file, in the form that
    `translate` returns.

    Columns: `sentence`, as in the corpus, and one per target, named by its code (fra, deu, ...);
    `id` is ignored. Raises CsvError naming file and line for a column that is no language, an empty
    cell, or a sentence translated in two ways; and naming the file when a sentence has no row.
    """
    columns = ["sentence", *targets]
    found = {}
    for line, row in csv_rows(path, columns, filled=columns):
        if unknown := row.keys() - {"id", "sentence", *CODES}:
            said = f"column {min(unknown)!r} is no language code; use {', '.join(CODES)}"
            raise CsvError(f"{path}:1: {said}")
        texts = {code: row[code] for code in targets}
        if found.setdefault(row["sentence"], texts) != texts:
            said = f"{row['sentence']!r} was translated differently above; keep one row"
            raise CsvError(f"{path}:{line}: {said}")
    lacking = [sentence for sentence in dict.fromkeys(sentences) if sentence.strip() not in found]
    if lacking:
        raise CsvError(f"{path}: {len(lacking)} sentences have no row, the first is {lacking[0]!r}")
    return {
        code: [Translation(text, code, found[text.strip()][code]) for text in sentences]
        for code in targets
    }
