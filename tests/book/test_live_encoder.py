"""The encoder that runs in the reader's browser: its files against the published weights, and what
a browser computes from them against Python.

The 200 sentences of live_sentences.json describe sounds freely. They were written before the
vocabulary was chosen, by those who chose it. A sentence is whole where every piece of it has a
vector in the page.
"""

import contextlib
import importlib.util
import json
import re
import shutil
import zlib

import numpy as np
import pdf
import pytest
import torch
from headless import needs_browser
from hypothesis import given
from hypothesis import strategies as st
from small_chapters import ROOT
from test_search_page import BUILT, SCHEMES, Toy, assigned, embeddings, knows_all_but

from atri_lib.encoders import MultilingualUSE, use
from atri_lib.encoders.alignment import Alignment
from atri_lib.encoders.dual import DualEncoder
from atri_lib.languages import CODES
from book import live_encoder, search_page

SENTENCES = json.loads(
    (ROOT / "tests" / "book" / "live_sentences.json").read_text(encoding="utf-8")
)
EVERY = [(sentence, k) for k, code in enumerate(CODES) for sentence in SENTENCES[code]]
SOME = EVERY[::5]  # for the unit test; all are read in the test of the book's own encoder
LARGEST = 12_000_000  # bytes of all scripts
LEAST_COSINE = 0.995  # of a whole sentence's vectors with Python's
LEAST_ROUNDED = 0.999  # of a vector under the rounded maps with that under the maps
LEAST_FIRST = 0.95  # share of whole sentences that find the same clip first
LEAST_WHOLE = 0.6  # share of the 200 sentences
ODD = [
    "",
    "  ",
    "Ⅳ ① ﬁsh…",
    "e\u0301cole ＡＢＣ",
    "l·l ŀl",
    "鸬鷀 dog",
    "犬🐕犬",
    "a\u00adb\u200bc\td",
    "9時～10時に犬が吠える",
]


def taken(folder):
    """What the scripts of a folder hold, read as the browser reads it: {name: its arrays}."""
    data = {}
    _, listed = assigned(folder / "parts.js")
    for name in listed:
        script = (folder / f"data-{name}.js").read_text(encoding="utf-8")
        text = re.fullmatch(rf'atriLive\.take\("{name}","(.*)"\);\n', script, re.S)[1]
        data[name] = arrays_of(bytes_of(text))
    return data


def bytes_of(text):
    numbers = []
    for character in text:
        place, last = divmod(ord(character), 128)
        if 1 <= place <= len(live_encoder.AWKWARD):
            numbers.append(ord(live_encoder.AWKWARD[place - 1]))
        numbers.append(last)
    bits = np.unpackbits(np.array(numbers, np.uint8)[:, None], axis=1)[:, 1:].ravel()
    return np.packbits(bits[: bits.size // 8 * 8]).tobytes()


def arrays_of(packed):
    data = zlib.decompress(packed)
    start = 4 + int.from_bytes(data[:4], "little")
    arrays = {}
    for entry in json.loads(data[4:start]):
        kind, count = np.dtype(entry["type"]), int(np.prod(entry["shape"]))
        values = np.frombuffer(data, kind, count, start)
        arrays[entry["name"]] = values.reshape(entry["shape"])
        start += values.nbytes
    return arrays


def layer_norm(x, scale, shift):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + use.EPSILON) * scale + shift


def encoded(arrays, rows):
    """The network in numpy on the exported integers: rows of the vocabulary -> unit vector
    [512].
    """

    def matrix(name):
        low, step = arrays[f"{name}.range"]
        return low + step * arrays[name].astype(np.float32)

    def relu(x):
        return np.maximum(x, 0)

    table = arrays["table"][rows]
    codes = arrays["codes"][rows].astype(np.float32)
    scale, low = (arrays[name][table][:, None] for name in ("scale", "lo"))
    embeddings = scale * codes + low
    projected = [embeddings @ matrix(f"proj{n}") + arrays[f"proj_b{n}"] for n in use.ORDERS]
    scale, shift = (np.concatenate([arrays[f"ln_{x}{n}"] for n in use.ORDERS]) for x in "gb")
    parts = np.split(layer_norm(np.concatenate(projected, 1), scale, shift), len(use.ORDERS), 1)
    features = [embeddings]
    for order, part in zip(use.ORDERS, parts, strict=True):
        for name in ("1", "2"):
            wide = np.pad(part, (((order - 1) // 2, order // 2), (0, 0)))
            windows = np.concatenate([wide[i : i + len(part)] for i in range(order)], 1)
            bias = arrays[f"b{name}_{order}"]
            part = part + relu(windows @ matrix(f"w{name}_{order}") + bias)
        features.append(part)
    total = layer_norm(np.concatenate(features, 1), arrays["ln_g"], arrays["ln_b"]).sum(0)
    x = (total @ matrix("cnn_W") + len(rows) * arrays["cnn_b"]) / np.sqrt(len(rows))
    y = relu(x @ matrix("p1") + relu(x @ matrix("d0")) @ matrix("d1"))
    z = np.tanh(y @ matrix("p3") + relu(y @ matrix("d2")) @ matrix("d3"))
    return z / np.linalg.norm(z)


@pytest.fixture(scope="module")
def model():
    return MultilingualUSE.pretrained()


@pytest.fixture(scope="module")
def captions():
    return [sentence for code in CODES for sentence in Toy().sentences(code)]


@pytest.fixture(scope="module")
def runs(model, captions):
    """Three runs with random projections, the last one aligned, and their clips, which lie where
    the English captions do.
    """
    shown = {}
    vectors = torch.stack([model.embed(Toy().sentences(code), code) for code in CODES])
    alignment = Alignment(len(CODES), use.WIDTH)
    alignment.fit("ridge", vectors)
    for seed, (name, maps) in enumerate(
        {"ml_clap": None, "kcl": None, "aligned": alignment}.items()
    ):
        torch.manual_seed(seed)
        dual = DualEncoder(8, use.WIDTH, width=64, hidden=128, alignment=maps).eval()
        with torch.no_grad():
            shown[name] = dual, dual.encode_text(dual.align(vectors[0], 0))
    return shown


def no_neighbours(vectors, kept):
    """The unknown piece, fully, in place of the nearest ones."""
    return np.zeros(len(vectors), int), np.ones(len(vectors))


@pytest.fixture(scope="module")
def built(model, captions, runs, tmp_path_factory):
    """The scripts."""
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_encoder, "nearest", no_neighbours)  # seconds of multiplications
        arrays = {name: live_encoder.run_arrays(*run) for name, run in runs.items()}
        live_encoder.write(folder / "live", model.tokenizer, captions, arrays)
    return folder / "live"


@pytest.fixture(scope="module")
def exported(built):
    return taken(built)


@pytest.fixture(scope="module")
def row_of(model, exported):
    """Number of a piece -> its row among the kept ones."""
    pieces = exported["pieces"]
    texts = pieces["texts"].tobytes().decode().split("\n")
    rows = dict(enumerate(pieces["special"]))
    for text, row, share in zip(texts, pieces["rows"], pieces["shares"], strict=True):
        if share == 0:
            rows[model.tokenizer.piece_to_id(text)] = row
    return rows


@given(st.binary(max_size=40))
def test_bytes_survive_as_text_that_holds_nothing_awkward(data):
    text = live_encoder.text_of(data)
    assert bytes_of(text) == data
    assert not set(text) & set(live_encoder.AWKWARD)
    assert len(text.encode()) <= 8 * len(data) / 7 + 2


def test_weights_on_a_grid_become_integers():
    grid = np.array([[-0.5, 0.0], [1.0, 63.0]])
    numbers, (low, step) = live_encoder.integers(grid)
    assert numbers.dtype == np.uint8 and np.array_equal(low + step * numbers, grid)


def test_the_nearest_vector_leaves_the_smallest_rest(monkeypatch):
    monkeypatch.setattr(live_encoder, "AT_ONCE", 7)
    generator = np.random.default_rng(0)
    vectors, kept = generator.normal(size=(20, 6)), generator.normal(size=(15, 6))
    rows, factors = live_encoder.nearest(vectors, kept)
    for vector, row, factor in zip(vectors, rows, factors, strict=True):
        rests = []
        for other in kept:
            best = max(0, vector @ other / (other @ other))
            rests.append(np.linalg.norm(vector - best * other))
        assert row == np.argmin(rests)
        assert np.linalg.norm(vector - factor * kept[row]) == pytest.approx(min(rests))


def test_the_scripts_are_listed_and_small_enough(built):
    name, listed = assigned(built / "parts.js")
    assert name == "ATRI_LIVE"
    assert list(listed) == ["pieces", "weights", "ml_clap", "kcl", "aligned"]
    found = {f"data-{one}.js": size for one, size in listed.items()}
    assert found == {path.name: path.stat().st_size for path in built.glob("*-*.js")}
    assert sum(found.values()) < LARGEST


def words_of_sounds():
    """Words for what can be heard, as sentences hold them."""
    words = json.loads((ROOT / "tests" / "book" / "sound_words.json").read_text(encoding="utf-8"))
    for code in CODES:
        for word in words[code].split():
            yield word
            if code in ("jpn", "zho"):
                yield f"。{word}"  # without a space before it, it is another piece
            else:
                yield word[0].upper() + word[1:]


def test_captions_and_words_of_sounds_are_kept_whole(model, captions, row_of):
    for sentence in [*captions, *words_of_sounds()]:
        pieces = model.tokenizer.encode(sentence)
        assert all(piece in row_of for piece in pieces), sentence


def test_the_exported_integers_give_the_vectors_of_the_published_weights(model, exported, row_of):
    compared = 0
    for code in CODES:
        expected = model.embed(SENTENCES[code], code).numpy()
        for sentence, vector in zip(SENTENCES[code], expected, strict=True):
            pieces = [use.BEGIN, *model.tokenizer.encode(sentence), use.END]
            if all(piece in row_of for piece in pieces):
                rows = np.array([row_of[piece] for piece in pieces])
                assert encoded(exported["weights"], rows) @ vector > 0.9999, sentence
                compared += 1
    assert compared >= LEAST_WHOLE * len(EVERY)


def test_rounded_projections_and_clips_are_close_to_the_runs(exported, runs):
    for scheme, (dual, clips) in runs.items():
        arrays = exported[scheme]
        audio = arrays["audio"] * arrays["audio.scale"]
        assert np.linalg.norm(audio.T - clips.numpy(), axis=1).max() < 0.02
        weight = dual.text_projection[1].weight.detach().numpy()
        first = arrays["first"] * arrays["first.scale"]
        assert np.abs(first.T - weight).max() <= live_encoder.STEP * weight.std() / 2 + 1e-6


def test_rounded_numbers_that_do_not_fit_have_a_larger_step():
    values = torch.full((3, 50), 0.01)
    values[0, 0], values[2] = 100, 0
    step = 0.004
    arrays = live_encoder.rounded("x", values, step)
    back = (arrays["x"] * arrays["x.scale"]).T
    assert back[0, 0] == pytest.approx(100) and arrays["x"].max() == 127
    assert np.allclose(arrays["x.scale"], [100 / 127, step, step])
    assert np.abs(back[1:] - values[1:].numpy()).max() <= 0.0021


def mapped(arrays, code, vectors):
    """Sentences' vectors [N, 512] under the exported map of a language."""
    matrix = arrays[code] * arrays[f"{code}.scale"]
    return vectors @ matrix + arrays[f"{code}.bias"]


def least_cosine(x, y):
    """The least cosine of the rows of x and y, [N, d]."""
    lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    return ((x * y).sum(-1) / lengths).min()


def test_rounded_maps_are_close_to_the_runs(model, exported, runs):
    for k, code in enumerate(CODES):
        vectors = model.embed(Toy().sentences(code), code)
        expected = runs["aligned"][0].alignment(vectors, k).numpy()
        found = mapped(exported["aligned"], code, vectors.numpy())
        assert least_cosine(found, expected) >= LEAST_ROUNDED, code


def test_maps_of_other_languages_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        dual = DualEncoder(8, 6, width=4, hidden=5, alignment=Alignment(3, 6))
        live_encoder.run_arrays(dual, torch.ones(2, 4))


def test_the_readers_scripts_stay_small_and_ask_no_network():
    scripts = sorted((ROOT / "book" / "_static" / "search" / "live").glob("*.js"))
    texts = {path.name: path.read_text(encoding="utf-8") for path in scripts}
    assert sum(len(text.splitlines()) for text in texts.values()) <= 480
    for name, text in texts.items():
        assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import ", text), name


# In a browser, from a file.

needs_playwright = pytest.mark.skipif(
    importlib.util.find_spec("playwright") is None, reason="no playwright: make env"
)


@contextlib.contextmanager
def opened(static):
    """The page to search in Chromium, from a file beside a folder `static`; problems end the
    test.
    """
    from playwright.sync_api import sync_playwright

    text = (ROOT / "book" / "search.md").read_text(encoding="utf-8")
    body = "".join(re.findall(r"```\{raw\} html\n(.*?)```", text, re.S))
    file = static.parent / "book" / "search.html"
    file.parent.mkdir(exist_ok=True)
    head = '<meta charset="utf-8"><title>Search</title>'
    file.write_text(
        f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>',
        encoding="utf-8",
    )
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pdf.chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(file.as_uri())
        yield page
        browser.close()
    assert problems == []


def loaded_encoder(page):
    """Have the page load its encoder, as a reader does."""
    page.get_by_role("button", name="Load the encoder").click()
    page.get_by_label("A sentence of your own").wait_for(timeout=120_000)


def read(page, asked):
    """What the page computes: {tokens: [[text, kind]], vector, vectors and cosines of each run},
    per sentence in language k.
    """
    return page.evaluate(
        """(asked) => asked.map(([sentence, k]) => {
          const {tokens, vector, texts, cosines} = atriLive.read(sentence, k);
          const pairs = tokens.map(({text, kind}) => [text, kind]);
          const lists = (arrays) => arrays.map((one) => [...one]);
          return {tokens: pairs, vector: [...vector], texts: lists(texts), cosines: lists(cosines)};
        })""",
        list(asked),
    )


def whole(tokenizer, sentence, row_of):
    return all(piece in row_of for piece in tokenizer.encode(sentence))


@pytest.fixture(scope="module")
def static(built, tmp_path_factory):
    """A site's folder with toy scenes and the encoder."""
    folder = tmp_path_factory.mktemp("site") / "_static"
    shutil.copytree(ROOT / "book" / "_static" / "search", folder / "search")
    right = np.arange(len(Toy()))
    answered = {name: search_page.answers(*embeddings(SCHEMES[name]), right) for name in SCHEMES}
    search_page.write(folder / "scenes", Toy(), answered, knows_all_but("鸬鷀"))
    shutil.copytree(folder / "scenes", folder / "search", dirs_exist_ok=True)
    shutil.copytree(built, folder / "search" / "live", dirs_exist_ok=True)
    return folder


@needs_browser
@needs_playwright
def test_a_browser_reads_sentences_as_python_does(static, model, row_of, runs):
    with opened(static) as page:
        assert page.locator("#atri-sentence").is_hidden()
        loaded_encoder(page)
        told = read(page, SOME)
        odd = read(page, [(sentence, 0) for sentence in ODD])
    tokenizer = model.tokenizer
    for sentence, one in zip(ODD, odd, strict=True):
        assert pieces_of(one) == tokenizer.encode(sentence, out_type=str), sentence
    cosines = np.array(check_vectors(told, SOME, model, row_of))
    is_whole = np.array([whole(tokenizer, sentence, row_of) for sentence, _ in SOME])
    assert cosines[is_whole].min() >= LEAST_COSINE
    vectors = model.embed([sentence for sentence, _ in SOME])
    for place, run in enumerate(runs.values()):
        close, same = compared(told, SOME, vectors, run, place)
        assert close[is_whole].min() >= LEAST_COSINE
        assert same[is_whole].mean() >= LEAST_FIRST


def pieces_of(one):
    return [text for text, _ in one["tokens"]]


def check_vectors(told, asked, model, row_of):
    """The cosine of each vector with Python's, after the tokens were compared."""
    cosines = []
    for (sentence, _), one in zip(asked, told, strict=True):
        assert pieces_of(one) == model.tokenizer.encode(sentence, out_type=str)
        left_out = any(kind == "left out" for _, kind in one["tokens"])
        assert left_out != whole(model.tokenizer, sentence, row_of), sentence
        expected = model.embed([sentence])[0].numpy()
        cosines.append(float(np.array(one["vector"]) @ expected))
    return cosines


def compared(told, asked, vectors, run, place):
    """A run's vectors in the page and in Python: their cosines [N], and whether both find the same
    clip first, bool [N].
    """
    dual, clips = run
    if dual.alignment is not None:
        rows = [dual.alignment(vector, k) for vector, (_, k) in zip(vectors, asked, strict=True)]
        vectors = torch.stack(rows)
    with torch.no_grad():
        texts = torch.nn.functional.normalize(dual.text_projection(vectors), dim=-1)
    here = np.array([one["texts"][place] for one in told])
    found = np.array([np.argmax(one["cosines"][place]) for one in told])
    close = (here * texts.numpy()).sum(1)
    return close, found == (texts @ clips.T).argmax(1).numpy()


@needs_browser
@needs_playwright
def test_a_reader_asks_and_sees_ranks_tokens_and_earlier_sentences(static, model, runs):
    with opened(static) as page:
        loaded_encoder(page)
        box = page.get_by_label("A sentence of your own")
        for sentence in ("un gat i un cavall 鸬", Toy().sentences("eng")[3]):
            box.fill(sentence)
            box.press("Enter")
        live = page.locator("#atri-live")
        assert live.locator("mark").count() == 0
        cards = live.locator(".atri-card")
        assert cards.count() == len(runs) - 1  # without the aligned one
        assert cards.first.locator("ol li").first.get_attribute("data-clip") == "3"
        page.evaluate("() => document.querySelector('.atri-scenes [data-scene=\"3\"]').click()")
        assert cards.first.locator("b").inner_text() == "1"
        cards.first.get_by_role("button", name="Show all").click()
        assert cards.first.locator("ol li").count() == len(Toy())
        live.get_by_role("button", name="un gat i un cavall").click()
        assert live.locator("mark").all_inner_texts() == ["鸬"]
        assert live.locator("tbody tr").count() == 2


@needs_browser
@needs_playwright
def test_a_box_shows_the_run_with_alignment_for_the_language_of_the_sentence(static, model, runs):
    sentence, code = Toy().sentences("fra")[3], "fra"
    with opened(static) as page:
        loaded_encoder(page)
        live = page.locator("#atri-live")
        box, below = live.get_by_role("checkbox"), page.locator("#atri-aligned")
        language = live.get_by_label("Language of your sentence")
        names = live.locator(".atri-card h3")
        page.get_by_label("A sentence of your own").fill(sentence)
        page.get_by_label("A sentence of your own").press("Enter")
        assert names.all_inner_texts() == ["ML-CLAP", "KCL"] and language.is_hidden()
        box.focus()
        page.keyboard.press("Space")
        assert names.all_inner_texts() == ["ML-CLAP", "KCL", "Balanced, aligned"]
        assert below.is_checked() and language.input_value() == "0"
        language.select_option(label="Français (French)")
        last = live.locator(".atri-card").last.locator("ol li").first
        assert last.get_attribute("data-clip") == "3"
        assert live.locator("tbody tr").count() == 1
        assert "French" in live.locator("tbody th").inner_text()
        page.get_by_label("A sentence of your own").fill("ein Hund")  # begun, not asked
        language.select_option(label="Deutsch (German)")
        assert "French" in live.locator("tbody th").inner_text()
        assert "Balanced, aligned" in live.get_by_role("status").inner_text()
        below.click()
        assert names.count() == 2 and not box.is_checked() and language.is_hidden()
        [told] = read(page, [(sentence, CODES.index(code))])
    vectors = model.embed([sentence], code)
    close, _ = compared([told], [(sentence, CODES.index(code))], vectors, runs["aligned"], 2)
    assert close[0] >= LEAST_COSINE


@needs_browser
@needs_playwright
@pytest.mark.browser  # after the site, whose build makes the scenes
def test_the_books_encoder_finds_what_python_finds(tmp_path, model, book_runs):
    """200 sentences, 25 in each language: those above that are whole, then captions of scenes."""
    shutil.copytree(ROOT / "book" / "_static" / "search", tmp_path / "_static" / "search")
    shutil.copytree(BUILT, tmp_path / "_static" / "search", dirs_exist_ok=True)
    _, data = assigned(BUILT / "scenes.js")
    exported = taken(BUILT / "live")
    texts = exported["pieces"]["texts"].tobytes().decode().split("\n")
    shares = exported["pieces"]["shares"]
    kept = {text for text, share in zip(texts, shares, strict=True) if share == 0}
    asked = []
    for k, (code, captions) in enumerate(zip(CODES, data["captions"], strict=True)):
        mine = []
        for sentence in [*SENTENCES[code], *captions]:
            if kept.issuperset(model.tokenizer.encode(sentence, out_type=str)):
                mine.append((sentence, k))
        asked += mine[:25]
    with opened(tmp_path / "_static") as page:
        loaded_encoder(page)
        told = read(page, asked)
    vectors = model.embed([sentence for sentence, _ in asked])
    cosines = [one["vector"] @ vector for one, vector in zip(told, vectors.numpy(), strict=True)]
    assert len(asked) == 200 and min(cosines) >= LEAST_COSINE
    for place, (name, run) in enumerate(book_runs.items()):
        close, same = compared(told, asked, vectors, run, place)
        assert close.min() >= LEAST_COSINE and same.mean() >= LEAST_FIRST, name


@needs_browser
@pytest.mark.browser
def test_the_books_rounded_maps_keep_captions_and_free_sentences(model, book_runs):
    _, data = assigned(BUILT / "scenes.js")
    exported = taken(BUILT / "live")["aligned"]
    for k, code in enumerate(CODES):
        vectors = model.embed([*data["captions"][k], *SENTENCES[code]], code)
        expected = book_runs["aligned"][0].alignment(vectors, k).numpy()
        assert least_cosine(mapped(exported, code, vectors.numpy()), expected) >= LEAST_ROUNDED, (
            code
        )


@pytest.mark.browser
def test_the_books_encoder_is_small_enough():
    total = sum(path.stat().st_size for path in (BUILT / "live").glob("*-*.js"))
    assert total <= LARGEST


@pytest.fixture(scope="module")
def book_runs():
    """The runs of the book as Python has them."""
    from atri_lib.training import TrainConfig, encode, load_data
    from studies.parallel_runs import train_all

    base = TrainConfig.for_profile("book")
    data = load_data(base)
    asked = search_page.configs(base)
    shown = {}
    for name, run in zip(asked, train_all(list(asked.values()), data), strict=True):
        trained = run.model(data)
        audio, _ = encode(trained, data.splits["test"])
        shown[name] = trained, audio
    return shown
