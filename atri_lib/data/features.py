"""What a frozen tower says of a dataset, computed once, kept by content, memory-mapped."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from atri_lib import storage
from atri_lib.data.dataset import Dataset
from atri_lib.data.kept import kept
from atri_lib.pooling import encode_parts
from atri_lib.progress import progress
from atri_lib.recipe import RECIPE

# threads that decode or render clips while the encoder computes
LOADERS = min(8, os.cpu_count() or 1)
BATCH = 32  # clips
MOST_SAMPLES = 2**24  # of a batch: 17 minutes


def clip_features(dataset: Dataset, encoder: nn.Module, parts: int, tower: str) -> np.ndarray:
    """What a frozen encoder makes of a dataset's clips: float32 [N, parts, F], from the cache
    if it was there.

    tower: the encoder's `clip_fingerprint`, in the cache's key beside RECIPE, the dataset's
    checksum and `parts`. The patches are pooled as in a model with an open tower, so both
    give the projections the same. The number of threads is not in the key, and with another one
    torch adds in another order: values then differ by up to 1e-5.
    """
    key = storage.checksum("audio", RECIPE, dataset.checksum, tower, parts)
    folder = storage.cache_dir("features") / key
    return kept(folder, lambda: _encode_each(dataset, encoder, parts))


def text_features(dataset: Dataset, encoder: nn.Module, tower: str) -> np.ndarray:
    """The same of its captions under a frozen text encoder: float32 [K, M, D], in its languages,
    English first. tower: its `text_fingerprint`.
    """
    sentences = {code: dataset.sentences(code) for code in dataset.languages}
    key = storage.checksum("text", RECIPE, dataset.checksum, tower, list(sentences))
    return kept(storage.cache_dir("features") / key, lambda: encode_texts(sentences, encoder))


def load_ahead(dataset: Dataset, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """Some clips of a dataset, in this order; a few are decoded in threads before they are
    taken.
    """
    with ThreadPoolExecutor(LOADERS) as pool:
        coming = deque()
        for index in indices:
            coming.append(pool.submit(dataset.clip, index))
            if len(coming) > 2 * LOADERS:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


@torch.no_grad()
def encode_clips(clips: Sequence[np.ndarray], encoder: nn.Module, parts: int) -> np.ndarray:
    """Patch features of sounds of any lengths, or pictures of any sizes, averaged in equal parts of
    each clip: float32 [N, parts, F].
    """
    encoder.eval()
    device = next((parameter.device for parameter in encoder.parameters()), "cpu")
    tensors = [torch.from_numpy(clip).to(device) for clip in clips]
    return encode_parts(encoder, tensors, parts).float().cpu().numpy()


@torch.no_grad()
def encode_texts(sentences: Mapping[str, Sequence[str]], encoder: nn.Module) -> np.ndarray:
    """What a text encoder makes of M sentences in each of K languages: float32 [K, M, D]."""
    rows = [encoder.embed(list(texts), language=code) for code, texts in sentences.items()]
    return torch.stack(rows).float().cpu().numpy()


def _encode_each(dataset: Dataset, encoder: nn.Module, parts: int) -> np.ndarray:
    rows = []
    batch = []
    clips = load_ahead(dataset, range(len(dataset)))
    for clip in progress(clips, "features of clips", total=len(dataset), unit="clip"):
        too_long = sum(map(len, batch)) + len(clip) > MOST_SAMPLES
        if batch and (len(batch) == BATCH or too_long):
            rows.append(encode_clips(batch, encoder, parts))
            batch = []
        batch.append(clip)
    return np.concatenate([*rows, encode_clips(batch, encoder, parts)])
