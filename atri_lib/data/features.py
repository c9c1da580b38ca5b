"""What a frozen tower says of a dataset, computed once, kept by content, memory-mapped."""

import contextlib
import os
import pathlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from atri_lib import storage
from atri_lib.data.dataset import Dataset
from atri_lib.pooling import encode_parts
from atri_lib.progress import progress
from atri_lib.recipe import RECIPE

# threads that decode or render clips while the encoder computes
LOADERS = min(8, os.cpu_count() or 1)
MOST_SAMPLES = 2**24  # of a batch: 17 minutes
SETTLED = 2 * 10**9  # nanoseconds after which a change of a file shows in its times for certain


def clip_features(
    dataset: Dataset, encoder: nn.Module, parts: int, tower: str, batch_size: int = 32
) -> np.ndarray:
    """What a frozen encoder makes of a dataset's clips: float32 [N, parts, F], from the cache
    if it was there.

    tower: the encoder's `clip_fingerprint`, in the cache's key beside RECIPE, the dataset's
    checksum and `parts`. The patches are pooled as in a model with an open tower, so both
    give the projections the same. The number of threads is not in the key, and with another one
    torch adds in another order: values then differ by up to 1e-5.
    """
    return _load_or_compute(
        storage.checksum("audio", RECIPE, dataset.checksum, tower, parts),
        (len(dataset), parts),
        lambda: _encode_each(dataset, encoder, parts, batch_size),
    )


def text_features(dataset: Dataset, encoder: nn.Module, tower: str) -> np.ndarray:
    """The same of its captions under a frozen text encoder: float32 [K, M, D], in its languages,
    English first. tower: its `text_fingerprint`.
    """
    sentences = {code: dataset.sentences(code) for code in dataset.languages}
    return _load_or_compute(
        storage.checksum("text", RECIPE, dataset.checksum, tower, list(sentences)),
        (len(sentences),),
        lambda: encode_texts(sentences, encoder),
    )


def load_ahead(dataset: Dataset, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """The clips of a dataset in the order given; a few are decoded in threads before they are
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


def _encode_each(dataset: Dataset, encoder: nn.Module, parts: int, batch_size: int) -> np.ndarray:
    rows = []
    batch = []
    clips = load_ahead(dataset, range(len(dataset)))
    for clip in progress(clips, "features of clips", total=len(dataset), unit="clip"):
        too_long = sum(map(len, batch)) + len(clip) > MOST_SAMPLES
        if batch and (len(batch) == batch_size or too_long):
            rows.append(encode_clips(batch, encoder, parts))
            batch = []
        batch.append(clip)
    return np.concatenate([*rows, encode_clips(batch, encoder, parts)])


def _load_or_compute(
    key: str, leading: tuple[int, ...], compute: Callable[[], np.ndarray]
) -> np.ndarray:
    folder = storage.cache_dir("features") / key
    with contextlib.suppress(OSError, ValueError):  # absent or damaged
        values = read_array(folder)
        if values.shape[: len(leading)] == leading:
            return values
    values = compute()
    with storage.atomic_path(folder, folder=True) as partial:
        np.save(partial / "values.npy", values, allow_pickle=False)
        about = {"sha256": storage.sha256_file(partial / "values.npy")}
        storage.write_json(partial / "about.json", about)
    return read_array(folder)


def read_array(folder: pathlib.Path) -> np.ndarray:
    """Memory-map a cached array (a page is copied when it is written to) after checking it against
    about.json.

    Its SHA-256 is taken once for every state of the file, which size and times on disk tell apart.
    Raises ValueError when one of the files is damaged, OSError when they are not there.
    """
    path = folder / "values.npy"
    note = folder / "about.json"
    about = storage.read_json(note)
    status = path.stat()
    state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    known = about.get("checked") == state
    if not known and storage.sha256_file(path) != about.get("sha256"):
        raise ValueError(f"{path}: content does not match its checksum")
    values = np.load(path, mmap_mode="c", allow_pickle=False)
    if not known and time.time_ns() - status.st_ctime_ns > SETTLED:
        with contextlib.suppress(OSError):  # a cache that cannot be written to is hashed every time
            storage.write_json(note, about | {"checked": state})
    return values
