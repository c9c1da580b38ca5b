"""What a frozen tower says of a dataset, computed once, kept by content, memory-mapped."""

import json
import pathlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from atri_lib import storage
from atri_lib.languages import CODES
from atri_lib.progress import progress


class FeatureError(ValueError):
    """A cached feature file that does not fit its description."""


class Dataset(Protocol):
    """What features are computed from (data.manifest and data.scenes provide it)."""

    checksum: str

    def __len__(self) -> int: ...
    def waveform(self, index: int) -> np.ndarray: ...
    def sentences(self, code: str) -> list[str]: ...


def audio_features(dataset: Dataset, encoder, *, batch_size: int = 32, parts: int = 9) -> np.ndarray:
    """What a frozen audio encoder makes of a dataset's clips: float32 [N, parts, F], from the cache if it was there.

    The key is the dataset's checksum, the encoder's fingerprint and its code. A clip's patches are averaged into
    `parts` equal stretches of time (9: the patches of YAMNet in 5 s), so clips of any length fit one array, which is
    memory-mapped; a file that fails its checksum is computed anew.
    """
    key = storage.checksum("audio", dataset.checksum, encoder.fingerprint, encoder_code(encoder), parts)
    return _load_or_compute(key, lambda: _encode_audio(dataset, encoder, batch_size, parts))


def text_features(dataset: Dataset, encoder) -> np.ndarray:
    """The same of its captions under a frozen text encoder: float32 [K, M, D], all eight languages, English first."""
    key = storage.checksum("text", dataset.checksum, encoder.fingerprint, encoder_code(encoder), list(CODES))
    return _load_or_compute(key, lambda: _encode_text(dataset, encoder))


def encoder_code(encoder) -> str:
    """Checksum of the code that features of an encoder come from."""
    return storage.code_hash(type(encoder).__module__, "atri_lib.encoders.text", __name__)


def _load_or_compute(key: str, compute) -> np.ndarray:
    folder = storage.cache_dir("features") / key
    try:
        return read_array(folder)
    except (FeatureError, OSError):
        pass
    values = compute()
    with storage.atomic_path(folder, folder=True, replace=True) as partial:
        np.save(partial / "values.npy", values, allow_pickle=False)
        note = {"shape": list(values.shape), "dtype": values.dtype.str}
        storage.write_json(partial / "about.json", note | {"sha256": storage.sha256_file(partial / "values.npy")})
    return read_array(folder)


def read_array(folder: pathlib.Path) -> np.ndarray:
    """Memory-map a cached array after checking its checksum. Raises FeatureError, or OSError when it is not there."""
    path = folder / "values.npy"
    try:
        about = json.loads((folder / "about.json").read_text())
        if storage.sha256_file(path) != about["sha256"]:
            raise FeatureError(f"{path}: content does not match its checksum; delete {folder} to compute it again")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (KeyError, json.JSONDecodeError) as error:
        raise FeatureError(f"{folder / 'about.json'}: unreadable ({error}); delete {folder}") from error


def _encode_audio(dataset: Dataset, encoder, batch_size: int, parts: int) -> np.ndarray:
    batches = []
    for start in progress(range(0, len(dataset), batch_size), "audio features", unit="batch"):
        clips = [dataset.waveform(i) for i in range(start, min(start + batch_size, len(dataset)))]
        batches.append(encode_clips(clips, encoder, parts))
    return np.concatenate(batches)


@torch.no_grad()
def encode_clips(clips: Sequence[np.ndarray], encoder, parts: int = 9) -> np.ndarray:
    """Patch features of waveforms of any lengths, averaged into equal stretches of time: float32 [N, parts, F]."""
    encoder.eval()
    device = next((parameter.device for parameter in encoder.parameters()), "cpu")
    lengths, values = np.array([len(clip) for clip in clips]), {}
    for length in np.unique(lengths):  # clips of one length together: no padding, so no batch changes a clip
        rows = np.flatnonzero(lengths == length)
        patches = encoder(torch.from_numpy(np.stack([clips[row] for row in rows])).to(device))  # [n, P, F]
        pooled = nn.functional.adaptive_avg_pool1d(patches.float().transpose(1, 2), parts).transpose(1, 2)
        values |= dict(zip(rows.tolist(), pooled.cpu().numpy(), strict=True))
    return np.stack([values[row] for row in range(len(clips))]).astype(np.float32)


@torch.no_grad()
def _encode_text(dataset: Dataset, encoder) -> np.ndarray:
    encoder.eval()
    rows = [encoder.embed(dataset.sentences(code), language=code) for code in CODES]
    return torch.stack(rows).float().cpu().numpy()
