"""Captions in other languages: machine translation that can be killed and resumed, or a table of
your own.
"""

import csv
import os
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from atri_lib import storage
from atri_lib.data.dataset import text_fault
from atri_lib.data.translation_cache import FIELDS, TranslationCache  # noqa: F401
from atri_lib.data.translation_report import report
from atri_lib.data.translation_table import CsvError, csv_rows, harmless
from atri_lib.hub import CheckpointError, model_path
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
    source, targets = language(source).code, [language(code).code for code in targets]
    known = TranslationCache(cache or default_cache())
    folder = model_path(model)
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    weights = storage.checksum(*([path.name, storage.sha256_file(path)] for path in files))
    settings = {"model": weights, "beams": beams, "max_tokens": max_tokens, "source": source}
    key = tuple(settings.values())

    def missing(code: str) -> list[str]:
        rest = {sentence for sentence in sentences if (*key, code, sentence) not in known}
        return sorted(rest, key=lambda sentence: (-len(sentence), sentence))

    generate = None
    lacking = [code for code in targets if missing(code)]
    for code in lacking:
        known.path.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"another process translates to {code}; waiting for it"
        with storage.locked(f"{known.path}.{weights}-{code}", waiting):
            known.read()  # what another process has done meanwhile
            rest = missing(code)
            if rest and generate is None:
                generate = _load(folder, source, lacking, beams, max_tokens, device)
            for start in progress(
                range(0, len(rest), batch_size), f"translating to {code}", unit="batch"
            ):
                batch = rest[start : start + batch_size]
                made = []
                for sentence, (text, truncated) in zip(batch, generate(batch, code), strict=True):
                    about = {
                        "language": code,
                        "sentence": sentence,
                        "text": text,
                        "truncated": truncated,
                    }
                    made.append(settings | about)
                known.add(made)
    return {
        code: [Translation(s, code, *known[*key, code, s]) for s in sentences] for code in targets
    }


def default_cache() -> pathlib.Path:
    """The file in the library's cache where translations are kept."""
    return storage.cache_dir("translations") / "translations.jsonl"


def _load(
    folder: pathlib.Path, source: str, targets: list[str], beams: int, max_tokens: int, device: str
) -> Callable:
    """The function (sentences, language code) -> [(text, truncated)] of a checkpoint, every
    language checked first.
    """
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    safe = {"local_files_only": True, "trust_remote_code": False, "weights_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        network, loaded = AutoModelForSeq2SeqLM.from_pretrained(
            folder, output_loading_info=True, **safe
        )
    except (
        Exception
    ) as error:  # safetensors, the unpickler and transformers each have their own types
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{folder}: no sequence-to-sequence checkpoint that can be read: {reason}"
        ) from error
    if missing := sorted(loaded["missing_keys"]):
        raise CheckpointError(
            f"{folder}: {len(missing)} weights are missing, the first is {missing[0]}; get it again"
        )
    broken = [name for name, weight in network.named_parameters() if not weight.isfinite().all()]
    broken += [name for name, values in network.named_buffers() if values.isnan().any()]
    if broken:
        raise CheckpointError(
            f"{folder}: {len(broken)} weights are not finite, the first is {broken[0]}; get it again"
        )
    network.eval().to(device)
    network.generation_config.max_length = None  # max_tokens decides
    ends = torch.tensor(network.generation_config.eos_token_id, device=device)  # one or several
    pair = _pair_of(tokenizer, folder, source, targets)
    checks = _checks(folder)

    @torch.inference_mode()
    def generate(batch: Sequence[str], code: str) -> list[tuple[str, bool]]:
        prefix, forced = pair[code]
        tokens = tokenizer(
            [prefix + sentence for sentence in batch], padding=True, return_tensors="pt"
        ).to(device)
        options = {"logits_processor": checks}
        if forced is not None:
            options["forced_bos_token_id"] = forced
        ids = network.generate(
            **tokens, **options, num_beams=beams, max_new_tokens=max_tokens, do_sample=False
        )
        ended = torch.isin(ids[:, 1:], ends).any(
            1
        )  # position 0 is the start token, which may be the end token too
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [(text.strip(), not done) for text, done in zip(texts, ended.tolist(), strict=True)]

    return generate


def _checks(folder: pathlib.Path):
    """What looks at each step's scores: overflow in a network of finite weights is not translated
    from.
    """
    from transformers import LogitsProcessor, LogitsProcessorList

    class Numbers(LogitsProcessor):
        def __call__(self, ids, scores):
            if scores.isnan().any():
                raise CheckpointError(
                    f"{folder}: the model computes what is no number; get its weights again"
                )
            return scores

    return LogitsProcessorList([Numbers()])


def _pair_of(
    tokenizer, model, source: str, targets: list[str]
) -> dict[str, tuple[str, int | None]]:
    """How the checkpoint is told each target: (text put before the sentence, first token
    forced).
    """

    def first(*tokens: str) -> str | None:
        unknown = (None, tokenizer.unk_token_id)
        return next(
            (token for token in tokens if tokenizer.convert_tokens_to_ids(token) not in unknown),
            None,
        )

    def tag(code: str) -> str:  # of NLLB-200, M2M-100, mBART-50
        entry, short = language(code), _short(code)
        if found := first(
            entry.nllb, f"__{short}__", f"{short}_XX", f"{short}_{short.upper()}", f"{short}_CN"
        ):
            return found
        raise CheckpointError(f"{model} has no language tag for {entry.name} ({code})")

    if hasattr(tokenizer, "src_lang"):
        tokenizer.src_lang = tag(source).strip("_")
        return {code: ("", tokenizer.convert_tokens_to_ids(tag(code))) for code in targets}
    told, pairs = getattr(tokenizer, "target_lang", None), {}
    for code in targets:  # Marian groups, MADLAD-400, a single pair
        token = first(f">>{code}<<", f"<2{_short(code)}>")
        if token is None and (len(targets) > 1 or told not in (None, _short(code), code)):
            raise CheckpointError(
                f"{model} translates into {told or 'one language'} and has no tag for {code}"
            )
        pairs[code] = (f"{token} " if token else "", None)
    return pairs


def _short(code: str) -> str:
    return language(code).locale.split("_")[0]


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
    if os.path.lexists(path):
        _check_ours(path, TranslationCache(cache))
    sentences = list(dict.fromkeys(sentence.strip() for sentence in sentences))
    translations = translate(sentences, targets, model=model or MODEL, **options)
    texts = {code: [entry.text for entry in entries] for code, entries in translations.items()}
    table = pd.DataFrame({"sentence": sentences} | texts).map(harmless)
    if os.path.lexists(path):  # it may have been corrected during a long translation
        _check_ours(path, TranslationCache(cache))
    storage.write_text(
        path, table.to_csv(index=False, quoting=csv.QUOTE_ALL)
    )  # a lone CR ends a row otherwise
    problems = report(translations).problem.value_counts().to_dict()
    return {
        "out": str(path),
        "sentences": len(sentences),
        "languages": list(translations),
        "problems": problems,
    }


def _check_ours(path: pathlib.Path, cache: TranslationCache) -> None:
    """Raise CsvError unless all cells of a table are as one call of `translate_to_csv` wrote
    them.
    """
    merge = "it is not replaced. Name another file with --out, then copy what you want to keep from one to the other"
    if not path.is_file():
        raise CsvError(f"{path} exists and is no table of translations, so {merge}")
    try:
        rows = csv_rows(path, ["sentence"])
    except CsvError as error:
        raise CsvError(f"{error}, so {merge}") from error
    cells = []
    for line, row in rows:
        sentence = row.pop("sentence")
        if added := [column for column in row if column not in CODES]:
            raise CsvError(f"{path}:1: column {added[0][:40]!r} was added to the table, so {merge}")
        if not row:
            raise CsvError(f"{path}:1: it holds sentences and no translation, so {merge}")
        cells += [(line, column, sentence, text) for column, text in row.items()]
    others = (
        cells  # that no call wrote: cells chosen from the tables of two models are somebody's work
    )
    for made in cache.written().values():
        others = min(others, [cell for cell in cells if cell[1:] not in made], key=len)
    if others:
        line, column, *_ = others[0]
        raise CsvError(
            f"{path}:{line}: the cell in {column} is not what was translated here, so {merge}"
        )


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
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in csv_rows(path, columns, filled=columns):
        if unknown := [column for column in row if column not in ("id", "sentence", *CODES)]:
            raise CsvError(
                f"{path}:1: column {unknown[0]!r} is no language code; use {', '.join(CODES)}"
            )
        texts = {code: row[code] for code in targets}
        first, before = found.setdefault(row["sentence"], (line, texts))
        if before != texts:
            raise CsvError(
                f"{path}:{line}: {row['sentence']!r} was translated differently in line {first}"
            )
    lacking = [sentence for sentence in dict.fromkeys(sentences) if sentence.strip() not in found]
    if lacking:
        raise CsvError(f"{path}: {len(lacking)} sentences have no row, the first is {lacking[0]!r}")
    return {
        code: [Translation(s, code, found[s.strip()][1][code]) for s in sentences]
        for code in targets
    }
