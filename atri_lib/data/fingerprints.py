"""Who an encoder is, told by what it says of a few fixed inputs: noticed whatever changed it,
weights or code.
"""

import itertools
import pathlib

import numpy as np
from torch import nn

from atri_lib import storage
from atri_lib.audio import SAMPLE_RATE
from atri_lib.data.features import encode_clips, encode_texts

# name -> PROBED sums of the book's encoders
KNOWN = pathlib.Path(__file__).with_name("known_outputs.json")
PROBED = 128  # sums over parts of an encoder's outputs, which hold every one of them
# of their root mean square: processors round differently by 1e-5, a changed encoder by far more
TOLERANCE = 2e-3
GRID = 0.02  # the same for an encoder that KNOWN does not hold: its outputs are rounded to this
PARTS = 3
SENTENCES = pathlib.Path(__file__).with_name("probe_sentences.json")  # two in each language


def clip_fingerprint(encoder: nn.Module) -> str:
    """Name and checksum of what an encoder of clips makes of its probes, pooled as features are."""
    return fingerprint_of(encoder, clip_outputs(encoder))


def text_fingerprint(encoder: nn.Module) -> str:
    """Name and checksum of what a text encoder makes of sixteen sentences, two in each language."""
    return fingerprint_of(encoder, text_outputs(encoder))


def fingerprint_of(encoder: nn.Module, values: np.ndarray) -> str:
    """The fingerprint of an encoder with these outputs.

    Outputs within TOLERANCE of the known ones of an encoder with this `name` give exactly the
    fingerprint of these, on every processor. What an encoder with another name says of itself (its
    `fingerprint`, a checksum of its weights) counts beside the rounded outputs.
    """
    name = getattr(encoder, "name", type(encoder).__name__)
    scale = float(np.sqrt(np.mean(np.square(values)))) or 1.0
    known = storage.read_json(KNOWN).get(name)
    declared = ""
    if known is None:
        declared = str(getattr(encoder, "fingerprint", ""))
    elif np.abs(values - known).max() <= TOLERANCE * scale:
        return f"{name}-{storage.checksum(known)}"
    step = GRID * 2.0 ** np.round(np.log2(scale))
    rounded = np.round(values / step).astype(np.int64)
    return f"{name}-{storage.checksum(rounded, declared)}"


def clip_outputs(encoder: nn.Module) -> np.ndarray:
    """PROBED sums of the encoder's outputs for two sounds, or for its own `probes` where it has
    any, in evaluation mode, which it stays in.
    """
    probes = getattr(encoder, "probes", probe_sounds)()
    return _mixed(encode_clips(probes, encoder, PARTS))


def text_outputs(encoder: nn.Module) -> np.ndarray:
    """PROBED sums of the encoder's outputs for the sentences, in evaluation mode."""
    return _mixed(encode_texts(storage.read_json(SENTENCES), encoder))


def probe_sounds() -> list[np.ndarray]:
    """A rising tone in noise, three seconds, and bursts of noise, two: float32 [samples] at 16
    kHz.
    """
    long = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    tone = 0.4 * np.sin(2 * np.pi * (200 * long + 600 * long**2))
    rising = tone + 0.1 * _noise(len(long))
    short = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    bursts = 0.5 * _noise(len(short)) * np.sin(2 * np.pi * 3 * short) ** 8
    return [rising.astype(np.float32), bursts.astype(np.float32)]


def _noise(count: int) -> np.ndarray:
    """Numbers in [-1, 1) that look random and are the same everywhere (a generator of Lehmer's, as
    whole numbers).
    """
    factors = itertools.repeat(48271, count)
    states = itertools.accumulate(factors, lambda state, factor: state * factor % 2147483647)
    return np.fromiter(states, np.int64) / 2**30 - 1


def _mixed(outputs: np.ndarray) -> np.ndarray:
    """PROBED sums of all outputs with signs that look random: float64."""
    flat = outputs.reshape(-1).astype(np.float64)
    signed = flat * np.sign(_noise(flat.size))
    rows = np.pad(signed, (0, -flat.size % PROBED)).reshape(PROBED, -1)
    return rows.sum(1) / np.sqrt(rows.shape[1])
