"""Translation: every sentence once, whatever kills the process; a report of what looks wrong;
tables of one's own.
"""

import contextlib
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_nllb import SENTENCES, write_translator
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, M2M100ForConditionalGeneration

from atri_lib.data import translation
from atri_lib.data.translation import (
    CsvError,
    Translation,
    read_translations,
    report,
    translate,
    translate_to_csv,
)
from atri_lib.hub import CheckpointError, ModelUnavailable
from atri_lib.languages import CODES, UnknownLanguage

ENGLISH = [
    f"{start} {end}"
    for start in ("a dog", "rain", "a bird")
    for end in ("barks", "falls on a roof", "sings")
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nllb")
    write_translator(folder)
    return folder


def count_calls(patch):
    """Record every batch the model is given as (forced tag, rows); `stop`: die instead of the call
    of that number.
    """
    generate = M2M100ForConditionalGeneration.generate

    def counted(self, *args, forced_bos_token_id=None, **options):
        if len(counted.seen) == counted.stop:
            raise KeyboardInterrupt
        counted.seen.append(
            (forced_bos_token_id, [tuple(row[row != 1].tolist()) for row in options["input_ids"]])
        )
        return generate(self, *args, forced_bos_token_id=forced_bos_token_id, **options)

    counted.stop, counted.seen = None, []
    patch.setattr(M2M100ForConditionalGeneration, "generate", counted)
    return counted


@pytest.fixture
def calls(monkeypatch):
    return count_calls(monkeypatch)


def whole_lines(path):
    return [line for line in path.read_bytes().splitlines() if line]


def run(model, path, targets=("fra", "deu"), sentences=ENGLISH, **changes):
    options = {"batch_size": 2, "beams": 2, "max_tokens": 6, "cache": path} | changes
    return translate(sentences, targets, model=model, **options)


def test_translations_are_the_models_one_sentence_at_a_time(model, tmp_path):
    found = run(model, tmp_path / "cache.jsonl", ("jpn",))["jpn"]
    tokenizer = AutoTokenizer.from_pretrained(model, src_lang="eng_Latn")
    network = AutoModelForSeq2SeqLM.from_pretrained(model).eval()
    for sentence, made in zip(ENGLISH, found, strict=True):
        tokens = tokenizer(sentence, return_tensors="pt")
        tag = tokenizer.convert_tokens_to_ids("jpn_Jpan")
        ids = network.generate(**tokens, forced_bos_token_id=tag, num_beams=2, max_new_tokens=6)[0]
        text = tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert made == Translation(sentence, "jpn", text, truncated=2 not in ids[1:])


def test_each_distinct_sentence_is_translated_once_longest_first(model, tmp_path, calls):
    found = run(model, tmp_path / "cache.jsonl", sentences=ENGLISH + ENGLISH[::-1])
    assert {code: len(entries) for code, entries in found.items()} == {"fra": 18, "deu": 18}
    assert all(found[code][i] == found[code][17 - i] for code in found for i in range(9))
    rows = [(tag, row) for tag, batch in calls.seen for row in batch]
    assert len(rows) == len(set(rows)) == 2 * 9 and len(calls.seen) == 2 * 5
    run(model, tmp_path / "cache.jsonl")
    assert len(calls.seen) == 2 * 5


@settings(max_examples=10, deadline=None)
@given(stop=st.integers(0, 9))
def test_a_killed_call_resumes_without_repeating_a_saved_sentence(model, tmp_path_factory, stop):
    with pytest.MonkeyPatch.context() as patch:
        calls = count_calls(patch)
        path = tmp_path_factory.mktemp("killed") / "cache.jsonl"
        calls.stop = stop
        with pytest.raises(KeyboardInterrupt):
            run(model, path)
        saved = whole_lines(path) if path.exists() else []
        assert len(saved) == sum(
            len(batch) for _, batch in calls.seen
        )  # nothing but the batch in work is lost
        calls.stop = None
        run(model, path)
        rows = [(tag, row) for tag, batch in calls.seen for row in batch]
        assert len(rows) == len(set(rows)) == 18


def test_a_process_killed_outright_resumes(model, tmp_path, calls):
    path = tmp_path / "cache.jsonl"
    script = f"""
import os
from transformers import M2M100ForConditionalGeneration as Model
from atri_lib.data.translation import translate
generate, count = Model.generate, [0]
def killed(self, *args, **options):
    count[0] += 1
    if count[0] == 4:
        os.kill(os.getpid(), 9)
    return generate(self, *args, **options)
Model.generate = killed
small = dict(batch_size=2, beams=2, max_tokens=6)
translate({ENGLISH!r}, ["fra", "deu"], model={str(model)!r}, cache={str(path)!r}, **small)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.returncode == -9 and len(whole_lines(path)) == 6
    run(model, path)
    assert sum(len(batch) for _, batch in calls.seen) == 18 - 6


def test_a_line_cut_short_is_translated_again_and_hurts_no_other(model, tmp_path, calls):
    path = tmp_path / "cache.jsonl"
    before = run(model, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 20])
    calls.seen.clear()
    assert run(model, path) == before
    assert [len(batch) for _, batch in calls.seen] == [1]
    records = [json.loads(line) for line in whole_lines(path) if not line.endswith(whole[-60:-20])]
    assert len(records) == 18  # every line but the torn one is whole JSON


def test_the_cache_is_keyed_by_model_language_and_settings(model, tmp_path, calls):
    path = tmp_path / "cache.jsonl"
    run(model, path, ("fra",))
    for changes in ({"targets": ("cat",)}, {"beams": 1}, {"max_tokens": 7}):
        calls.seen.clear()
        run(model, path, **{"targets": ("fra",)} | changes)
        assert len(calls.seen) == 5, changes
    with pytest.raises(ModelUnavailable):
        run(tmp_path / "other", path, ("fra",))


def test_cached_sentences_need_no_model(model, tmp_path, monkeypatch):
    before = run(model, tmp_path / "cache.jsonl")
    monkeypatch.setattr(
        "atri_lib.data.translation.load_model", lambda *_: pytest.fail("loaded a model")
    )
    assert run(model, tmp_path / "cache.jsonl") == before


def test_a_model_is_loaded_for_the_languages_with_work_left_each_once(
    model, tmp_path, calls, monkeypatch
):
    load, asked = translation.load_model, []

    def loaded(folder, targets, *rest):
        asked.append(targets)
        return load(folder, targets, *rest)

    monkeypatch.setattr(translation, "load_model", loaded)
    run(model, tmp_path / "cache.jsonl", ("fra", "fra"))
    run(model, tmp_path / "cache.jsonl", ("fra", "deu"))
    assert asked == [["fra"], ["deu"]] and len(calls.seen) == 2 * 5


def test_wrong_input_is_refused(model, tmp_path, monkeypatch):
    with pytest.raises(UnknownLanguage):
        run(model, tmp_path / "cache.jsonl", ("fre",))
    with pytest.raises(ValueError, match="the sentence ' ' is empty"):
        run(model, tmp_path / "cache.jsonl", sentences=["a dog", " "])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="nllb-200.*HF_HOME"):
        translate(["a dog"], ["fra"], cache=tmp_path / "cache.jsonl")
    for about in ('{"model_type": "bert"}', "{}"):
        (tmp_path / "config.json").write_text(about)
        with pytest.raises(CheckpointError, match="no sequence-to-sequence checkpoint") as caught:
            run(tmp_path, tmp_path / "cache.jsonl")
        assert "\n" not in str(caught.value)


class FakeTokenizer:
    """Only what decides how a checkpoint is told a language."""

    unk_token_id = 0

    def __init__(self, vocabulary, **attributes):
        self.vocabulary = vocabulary
        self.__dict__ |= attributes

    def convert_tokens_to_ids(self, token):
        return self.vocabulary.index(token) if token in self.vocabulary else 0


def test_checkpoints_are_told_the_language_their_own_way():
    from atri_lib.data.translation_model import prompts_of

    def told(number):
        return ("", {"forced_bos_token_id": number})

    m2m = FakeTokenizer(["<unk>", "fr", "en", "__en__", "__fr__", "__zh__"], src_lang=None)
    assert prompts_of(m2m, "m2m", ["fra", "zho"]) == {"fra": told(4), "zho": told(5)}
    assert m2m.src_lang == "en"
    mbart = FakeTokenizer(["<unk>", "de", "en_XX", "de_DE", "zh_CN", "fr_XX"], src_lang=None)
    assert prompts_of(mbart, "mbart", ["deu", "zho"]) == {"deu": told(3), "zho": told(4)}
    with pytest.raises(CheckpointError, match="mbart translates into others, not into cat"):
        prompts_of(mbart, "mbart", ["cat"])
    group = FakeTokenizer(["<unk>", ">>fra<<", ">>cat<<"])
    expected = {"fra": (">>fra<< ", {}), "cat": (">>cat<< ", {})}
    assert prompts_of(group, "opus", ["fra", "cat"]) == expected
    madlad = FakeTokenizer(["<unk>", "<2ja>"])
    assert prompts_of(madlad, "madlad", ["jpn"]) == {"jpn": ("<2ja> ", {})}
    single = FakeTokenizer(["<unk>"], target_lang="fr")
    assert prompts_of(single, "opus", ["fra"]) == {"fra": ("", {})}
    for targets in (["deu"], ["fra", "deu"]):
        with pytest.raises(CheckpointError, match="opus translates into fr, not into"):
            prompts_of(single, "opus", targets)


def test_report_lists_each_kind_of_problem_and_nothing_else():
    good = Translation("a dog barks", "fra", "un chien aboie")
    bad = {
        "empty": Translation("a dog", "fra", " "),
        "untranslated": Translation("a Cat", "fra", "A cat"),
        "truncated": Translation("rain", "fra", "la pluie et", truncated=True),
        "repeated": Translation("a bird", "jpn", "鳥が鳴く鳥が鳴く鳥が鳴く鳥が鳴く"),
        "shorter by a sentence": Translation(
            "A dog barks. Rain falls at 3.5 mm.", "jpn", "犬が吠える。"
        ),
        "wrong script": Translation("a dog barks", "jpn", "собака лает"),
    }
    chinese = Translation("a dog barks in the yard", "jpn", "一只狗在院子里叫")
    japanese = Translation("a dog barks", "zho", "犬が吠える")
    lost = [
        Translation('A man says "Stop." A dog barks.', "fra", "un homme dit stop"),
        Translation("Rain falls… A dog barks!", "zho", "下雨了！"),
    ]
    fine = [
        Translation("A dog barks. It rains.", "zho", "狗叫.下雨."),
        Translation("A dog barks. It rains.", "jpn", "ｲﾇｶﾞﾎｴﾙ｡ｱﾒｶﾞﾌﾙ｡"),
        Translation("a dog... barks", "fra", "un chien… aboie"),
        Translation("a curry", "jpn", "カレーー"),
        Translation("time and again", "zho", "时时々々々"),
        Translation("wide letters", "fra", "Ｃｈａｔ"),
        Translation("A dog barks. It rains.", "zho", "一只狗在叫。下雨了。"),
        Translation("Rain, wind, etc., then a car...; wind.", "fra", "La pluie, le vent, un bus."),
        Translation("a CD plays", "zho", "播放CD"),
        Translation("a dog", "jpn", "犬"),
        Translation("12 ...", "jpn", "12 ..."),
    ]
    same = Translation(
        "tick tock tick tock tick tock tick tock", "fra", "tic tac tic tac tic tac tic tac"
    )
    table = report(
        {
            "fra": [good, *list(bad.values())[:3], same, good, bad["empty"]],
            "jpn": list(bad.values())[3:],
        }
    )
    assert list(table.columns) == ["language", "problem", "sentence", "text"]
    assert (
        table.problem.tolist() == list(bad) and table.language.tolist() == ["fra"] * 3 + ["jpn"] * 3
    )
    assert report({"fra": [good]}).empty
    assert report({"jpn": [chinese], "zho": [japanese]}).problem.tolist() == ["wrong script"] * 2
    for entry in lost:
        assert report({entry.language: [entry]}).problem.tolist() == ["shorter by a sentence"], (
            entry
        )
    assert report({"fra": [Translation("rain", "fra", "\u3164\u2800")]}).problem.tolist() == [
        "empty"
    ]
    for entry in fine:
        assert not {"wrong script", "shorter by a sentence"} & set(
            report({entry.language: [entry]}).problem
        )


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_of_ones_own_takes_the_place_of_translate(tmp_path):
    dog = "1,a dog,un chien,犬\n"
    rain = '2,"rain, falling","la pluie, qui tombe",雨\n'
    text = f"id,sentence,fra,jpn\n{dog}{rain}{dog}"
    path = write(tmp_path / "own.csv", text, "utf-8-sig")
    found = read_translations(path, ["rain, falling", "a dog", "a dog"], ["fra", "jpn"])
    assert [entry.text for entry in found["fra"]] == ["la pluie, qui tombe", "un chien", "un chien"]
    assert found["jpn"][0] == Translation("rain, falling", "jpn", "雨")
    assert read_translations(path, ["a dog"], ["fra", "fra"]) == {"fra": found["fra"][1:2]}
    assert read_translations(path, ["a dog"], []) == {}


@pytest.mark.parametrize("text, message", [
    ("sentence,deu\na dog,ein Hund\n", r"own\.csv: 0 columns .* 'fra', .*found 'sentence,deu'"),
    ("", r"own\.csv: 0 columns .*; found ''"),
    ("\nsentence,fra\na dog,un chien\n", r"own\.csv: 0 columns .*; found ''"),
    ("sentence,fra\n\nrain\n", r"own\.csv: row 3: 1 fields, but the header has 2"),
    ("sentence,fra\na dog,un\0chien\n", r"own\.csv: row 2: fra holds a NUL"),
    ("sentence,fra\na dog,un chien\nrain,\n", r"own\.csv: row 3: fra is empty"),
    ("sentence,fra\na dog,un chien,ein Hund\n", r"own\.csv: row 2: 3 fields, but the header has 2"),
    ("sentence,fra\na dog,un chien\na dog,le chien\n",
     r"own\.csv: row 3: 'a dog' was translated differently above"),
    ("sentence,fra\nrain,la pluie\n", r"own\.csv: 1 sentences have no row, the first is 'a dog'"),
    ('sentence,fra\n"a\ndog",un chien\nrain,\n', r"own\.csv: row 3: fra is empty"),
    ("sentence,fra, fra\na dog,un chien,le chien\n", r"own\.csv: 2 columns are called 'fra'"),
    ("sentence;fra\na dog;un chien\n", r"own\.csv: 0 columns .*; separate columns by commas"),
    ("a" * 10**6, r"own\.csv: row 1: field larger than field limit"),
    (",".join(map(str, range(10**4))), r"own\.csv: 0 columns .*; found .{,210}; sep"),
    ('sentence,fra\na cat,"un chat\n' + "rain,pluie\n" * 99, r"csv: row 2: unexpected end .*quote"),
    ('sentence,fra\na cat,"un chat\n' + "rain,pluie\n" * 10**5, r"csv: row 2: field larger.*quote"),
])  # fmt: skip
def test_a_faulty_table_is_refused_with_file_and_row(tmp_path, text, message):
    with pytest.raises(CsvError, match=message):
        read_translations(write(tmp_path / "own.csv", text), ["a dog"], ["fra"])


def test_a_table_in_another_encoding_is_refused(tmp_path):
    text = "sentence,fra\na dog,un chien\n" + "rain,la pluie\n" * 4000 + "snow,la neige tombée\n"
    for encoding, row in (("latin-1", "row 4003: "), ("utf-16", ""), ("utf-16-le", "")):
        path = write(tmp_path / "own.csv", text, encoding)
        with pytest.raises(CsvError, match=rf"own\.csv: {row}.*save the .* as UTF-8"):
            read_translations(path, ["a dog"], ["fra"])


def test_only_what_ends_a_line_ends_a_row_and_a_pipe_is_no_table(tmp_path):
    text = " sentence , fra \r\na\x0cdog,un\x85chien\u2028\r\n"
    path = write(tmp_path / "own.csv", text, "utf-8-sig")
    found = read_translations(path, ["a\x0cdog"], ["fra"])
    assert [entry.text for entry in found["fra"]] == ["un\x85chien"]
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(OSError, match="not a regular file"):
        read_translations(tmp_path / "pipe.csv", ["a dog"], ["fra"])


def test_a_written_table_reads_back_with_its_problems_counted(model, tmp_path, monkeypatch):
    def loaded(*_):
        return lambda batch, code: [
            ("" if s == "rain" else f'{code}: "{s}", \nyes', s == "snow") for s in batch
        ]

    monkeypatch.setattr("atri_lib.data.translation.load_model", loaded)
    sentences = [
        'a "dog"',
        "snow, wind",
        "snow",
        " snow ",
        "snow",
        "=1+1",
        "- well",
        "＝1+1",
        "a\rdog",
    ]
    cache = tmp_path / "cache.jsonl"
    summary = translate_to_csv(
        sentences, ["fra", "jpn"], tmp_path / "out.csv", cache=cache, model=model
    )
    assert summary["problems"] == {"truncated": 2, "wrong script": 7} and summary["sentences"] == 7
    assert all(cell[0] not in "=+-@＝" for cell in pd.read_csv(tmp_path / "out.csv").sentence)
    expected = translate(
        [text.strip() for text in sentences], ["fra", "jpn"], cache=cache, model=model
    )
    found = read_translations(tmp_path / "out.csv", sentences, ["fra", "jpn"])
    assert [t.text for t in found["fra"]] == [t.text for t in expected["fra"]]
    empty = translate_to_csv(["rain"], ["fra"], tmp_path / "empty.csv", cache=cache, model=model)
    assert empty["problems"] == {"empty": 1}
    with pytest.raises(CsvError, match=r"empty\.csv: row 2: fra is empty"):
        read_translations(tmp_path / "empty.csv", ["rain"], ["fra"])


def test_what_is_there_is_not_replaced(model, tmp_path, monkeypatch):
    path, about = tmp_path / "out.csv", {"cache": tmp_path / "cache.jsonl", "model": model}

    def corrects(batch, code):
        path.write_text("sentence,fra\nrain,la pluie\n")  # somebody, during a long translation
        return [(f"{code}: {sentence}", False) for sentence in batch]

    monkeypatch.setattr(translation, "load_model", lambda *_: corrects)
    for _ in range(2):
        with pytest.raises(CsvError, match=r"out\.csv exists and is not replaced. Name another"):
            translate_to_csv(["rain"], ["fra"], path, **about)
        assert "la pluie" in path.read_text()
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(CsvError, match=r"out\.csv exists and is not replaced"):
        translate_to_csv(["rain"], ["fra"], path, **about)
    assert not (tmp_path / "nowhere").exists()


def test_an_altered_line_of_the_cache_is_translated_again(model, tmp_path, calls):
    path = tmp_path / "cache.jsonl"
    before = run(model, path, ["fra"], ["a dog barks"])
    line = path.read_text().strip()
    assert line.count('"truncated": true') + line.count('"truncated": false') == 1
    for harm in (
        line.replace('"truncated": ', '"truncated":  1 == ', 1),
        "[" * 100_000,
        "null",
        line[:-20] + '0"}',
    ):
        path.write_text(harm + "\n")
        calls.seen.clear()
        assert run(model, path, ["fra"], ["a dog barks"]) == before and calls.seen
    changed = json.loads(line) | {"text": "autre chose"}
    path.write_text(json.dumps(changed) + "\n")
    calls.seen.clear()
    assert run(model, path, ["fra"], ["a dog barks"]) == before and calls.seen
    path.write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n")  # saved by an editor
    calls.seen.clear()
    assert run(model, path, ["fra"], ["a dog barks"]) == before and not calls.seen


def test_what_another_process_translates_meanwhile_is_not_translated_again(
    model, tmp_path, monkeypatch, calls
):
    path = tmp_path / "cache.jsonl"
    expected = run(model, path, ["fra"], ["a dog barks"])
    done = path.read_text()
    path.unlink()

    @contextlib.contextmanager
    def slow(*_):
        path.write_text(done)  # while this one waits for the other
        yield

    monkeypatch.setattr(translation.storage, "locked", slow)
    monkeypatch.setattr(
        translation, "load_model", lambda *_: pytest.fail("loaded a model for nothing")
    )
    calls.seen.clear()
    assert run(model, path, ["fra"], ["a dog barks"]) == expected and not calls.seen


def test_three_at_once_do_the_work_once(tmp_path, monkeypatch):
    context = multiprocessing.get_context("fork")
    together = context.Barrier(3)
    locked = translation.storage.locked

    def when_all_know_what_is_missing(*arguments):
        together.wait(30)
        return locked(*arguments)

    def load(*_):
        def generate(batch, code):
            with open(tmp_path / "said", "a") as stream:
                stream.writelines(f"{code} {sentence}\n" for sentence in batch)
            return [(f"{code} {sentence}", False) for sentence in batch]

        return generate

    monkeypatch.setattr(translation.storage, "locked", when_all_know_what_is_missing)
    monkeypatch.setattr(translation, "load_model", load)
    sentences = [f"dog {number}" for number in range(20)]
    options = {"model": tmp_path, "batch_size": 2, "cache": tmp_path / "cache.jsonl"}
    three = [
        context.Process(target=translate, args=(sentences, ["fra"]), kwargs=options)
        for _ in range(3)
    ]
    for process in three:
        process.start()
    for process in three:
        process.join(30)
    said = (tmp_path / "said").read_text().splitlines()
    assert [process.exitcode for process in three] == [0, 0, 0]
    assert sorted(said) == sorted(f"fra {sentence}" for sentence in sentences)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_what_is_no_number_becomes_no_translation(tmp_path, value):
    write_translator(tmp_path)
    network = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    with torch.no_grad():
        next(network.parameters())[:] = value
    network.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="computes what is no number; get its weights again"):
        translate(["a dog barks"], ["fra"], model=tmp_path, cache=tmp_path / "cache.jsonl")
    assert not whole_lines(tmp_path / "cache.jsonl")


def pipe(path):
    os.mkfifo(path)


def loop(path):
    path.symlink_to(path.name)


def folder(path):
    path.mkdir()


@pytest.mark.parametrize("make, message", [
    (pipe, r"cache\.jsonl: not a regular file"),
    (folder, r"cache\.jsonl: not a regular file"),
    (loop, r"symbolic links.*cache\.jsonl"),
    (lambda path: path.symlink_to("/dev/zero"), r"cache\.jsonl: not a regular file"),
])  # fmt: skip
def test_what_is_no_file_is_no_cache(model, tmp_path, monkeypatch, make, message):
    monkeypatch.setattr(
        translation, "load_model", lambda *_: pytest.fail("loaded a model for nothing")
    )
    make(tmp_path / "cache.jsonl")
    with pytest.raises(OSError, match=message):
        translate(["a dog barks"], ["fra"], model=model, cache=tmp_path / "cache.jsonl")


def test_a_full_disk_is_named():
    with pytest.raises(OSError, match="/dev/full: cannot be written .No space left .*ATRI_CACHE"):
        translation._append(pathlib.Path("/dev/full"), [{"sentence": "rain"}])


def test_defaults_cover_the_seven_other_languages(model, tmp_path):
    found = translate(
        SENTENCES[:1], model=model, beams=1, max_tokens=2, cache=tmp_path / "cache.jsonl"
    )
    assert tuple(found) == CODES[1:] and all(len(entries) == 1 for entries in found.values())
