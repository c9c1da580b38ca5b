"""Captions in other languages: machine translation that can be killed and resumed, or a table of
your own.
"""

import contextlib
import csv
import dataclasses
import json
import os
import pathlib
import re
import unicodedata
from collections.abc import Mapping, Sequence

import pandas as pd

from atri_lib import storage
from atri_lib.data.dataset import text_fault
from atri_lib.data.translation_model import load_model
from atri_lib.data.translation_table import CsvError, harmless, read_table
from atri_lib.hub import model_path
from atri_lib.languages import CODES, language
from atri_lib.progress import progress

MODEL = "facebook/nllb-200-distilled-600M"
LOOP = re.compile(r"(.{2,80}?)\1{3,}", re.DOTALL)  # a stretch of text four times in a row
# no "3.5", "e.g", "etc.,"
SENTENCE_END = re.compile(r"(?<!\d)[.!?…]++(?![A-Za-z0-9,;:])|[。！？．｡]+")
KANA = "ぁ-ゖァ-ヺーゝゞヽヾ"
HAN = "㐀-鿿\U00020000-\U0003ffff々〆"  # also the sign that repeats one
# the letters of a language; the others are written in Latin
SCRIPTS = {"jpn": KANA + HAN, "zho": HAN}
LATIN = "A-Za-zÀ-ɏḀ-ỿ"
LONG = 5  # letters from which on Japanese is expected to have a kana among them


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
    if isinstance(sentences, str):
        raise TypeError(f"expected a list of sentences, not one string: [{sentences[:40]!r}]")
    for sentence in sentences:
        if fault := text_fault(sentence):
            raise ValueError(f"the sentence {sentence[:40]!r} {fault}")
    for code in targets:
        language(code)  # or UnknownLanguage
    folder = model_path(model)
    made_by = {"model": _content(folder), "beams": beams, "max_tokens": max_tokens, "source": "eng"}
    path = pathlib.Path(cache or storage.cache_dir("translations") / "translations.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.locked(path, "another process translates; waiting for it"):
        known = _read(path, made_by)
        work = []
        for code in dict.fromkeys(targets):
            rest = [text for text in dict.fromkeys(sentences) if (code, text) not in known]
            rest.sort(key=len, reverse=True)
            starts = range(0, len(rest), batch_size)
            work += [(code, rest[start : start + batch_size]) for start in starts]
        if work:
            generate = load_model(folder, list(dict(work)), beams, max_tokens, device)
        for code, batch in progress(work, "translating", unit="batch"):
            results = zip(batch, generate(batch, code), strict=True)
            made = [Translation(sentence, code, *result) for sentence, result in results]
            _append(path, [dataclasses.asdict(entry) | made_by for entry in made])
            known |= {(code, entry.sentence): entry for entry in made}
    return {code: [known[code, sentence] for sentence in sentences] for code in targets}


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
            if intact and record.items() >= made_by.items():
                entry = Translation(*[record[name] for name in FIELDS])
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
    which read_table removes. Returns {"out", "sentences", "languages", "problems": {problem:
    count}} (see `report`). Raises CsvError when something is at `path`, which people may have
    corrected.
    """
    _check_free(path)
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
    others are ignored. Raises CsvError naming the file and the row for an empty cell, or a sentence
    translated in two ways; and naming the file when a sentence has no row.
    """
    columns = ["sentence", *dict.fromkeys(targets)]
    table = read_table(path, columns).drop_duplicates(columns)
    twice = table["sentence"].duplicated()
    for row, sentence in table["sentence"][twice].items():
        said = f"{sentence!r} was translated differently above; keep one row"
        raise CsvError(f"{path}: row {row}: {said}")
    found = table[columns].set_index("sentence").to_dict()
    there = set(table["sentence"])
    lacking = [sentence for sentence in sentences if sentence.strip() not in there]
    if lacking:
        raise CsvError(f"{path}: {len(lacking)} sentences have no row, the first is {lacking[0]!r}")
    return {
        code: [Translation(text, code, found[code][text.strip()]) for text in sentences]
        for code in targets
    }


def report(translations: Mapping[str, Sequence[Translation]]) -> pd.DataFrame:
    """What looks wrong among translations: columns language, problem, sentence, text.

    translations: by language code. problem: "empty"
    (also where nothing can be seen); "untranslated" (equals the sentence); "truncated" (the model
    ran into its token limit); "repeated" (a stretch of text four times in a row, and not so in the
    sentence); "shorter by a sentence" (fewer sentences than were given); "wrong script" (most
    letters are not of the language's script, Japanese without kana, Chinese with them). A distinct
    pair is listed once per problem.
    """
    rows = []
    for code, entries in translations.items():
        for entry in entries:
            sentence = entry.sentence.strip()
            text = entry.text.strip()
            empty = text_fault(text) == "is empty"
            shorter = count_sentences(text) < count_sentences(sentence)
            problems = {
                "empty": empty,
                "untranslated": text.casefold() == sentence.casefold(),
                "truncated": entry.truncated,
                "repeated": LOOP.search(text) and not LOOP.search(sentence),
                "shorter by a sentence": not empty and shorter,
                "wrong script": not empty and wrong_script(text, code),
            }
            for problem, found in problems.items():
                if found:
                    rows.append((code, problem, sentence, text))
    table = pd.DataFrame(rows, columns=["language", "problem", "sentence", "text"])
    return table.drop_duplicates(ignore_index=True)


def count_sentences(text: str) -> int:
    """How many parts of a text that hold a letter or digit are ended by a full stop or its like, or
    by its end.
    """
    return sum(any(map(str.isalnum, part)) for part in SENTENCE_END.split(text))


def wrong_script(text: str, code: str) -> bool:
    """Whether a text cannot be in a language, judged by the scripts of its letters."""
    letters = "".join(filter(str.isalpha, unicodedata.normalize("NFKC", text)))
    fitting = re.findall(f"[{SCRIPTS.get(code, LATIN)}]", letters)
    if len(fitting) < len(letters) / 2:
        return True
    has_kana = bool(re.search(f"[{KANA}]", letters))
    if code == "jpn":
        return len(letters) >= LONG and not has_kana
    return code == "zho" and has_kana
