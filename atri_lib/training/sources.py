"""Where batches come from: cached features of frozen towers, or waveforms and tokens of open ones."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from atri_lib import storage
from atri_lib.data.banks import default_bank
from atri_lib.data.features import audio_features, encoder_code, text_features
from atri_lib.data.manifest import load_manifest
from atri_lib.data.scenes import make_scenes
from atri_lib.encoders.dual import DualEncoder
from atri_lib.encoders.presets import build_encoders
from atri_lib.languages import CODES
from atri_lib.training.config import TrainConfig
from atri_lib.training.launch import processes

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Source:
    """One split, ready to be batched: each side is an array of features, or None where the tower is open.

    audio [N, P, F], text [K, M, D] on one device; owner [M]: the clip of each caption.
    """

    dataset: object
    audio: Tensor | None
    text: Tensor | None
    languages: tuple[str, ...]
    owner: Tensor
    text_encoder: nn.Module | None
    device: torch.device

    def __len__(self) -> int:
        return len(self.dataset)

    def clips(self, index: Tensor) -> Tensor | list[Tensor]:
        """Model input of some clips [n]: features [n, P, F], or n waveforms [samples] as long as they are."""
        if self.audio is not None:
            return self.audio[index]
        return [torch.from_numpy(self.dataset.waveform(int(i))).to(self.device) for i in index]

    def paired(self, count: int) -> tuple[Tensor, Tensor]:
        """Features of the first `count` clips and of each one's first caption, on the CPU: [n, P, F], [n, K, D]."""
        count = min(count, len(self))
        first = torch.searchsorted(self.owner, torch.arange(count, device=self.device))
        return self.audio[:count].cpu(), self.text[:, first].transpose(0, 1).cpu()

    def captions(self, index: Tensor, language: Tensor) -> Tensor | dict[str, Tensor]:
        """Model input of some captions [n], each in its own language [n]: features [n, D] or tokens."""
        if self.text is not None:
            return self.text[language, index]
        rows, order = [], []
        for k in language.unique().tolist():  # tokenised a language at a time, then put back in order
            where = (language == k).nonzero().flatten()
            sentences = self.dataset.sentences(self.languages[k])
            rows.append(self.text_encoder.tokenize([sentences[int(i)] for i in index[where]], self.languages[k]))
            order.append(where)
        order = torch.cat(order).argsort()
        longest = {name: max(part[name].shape[1] for part in rows) for name in rows[0]}
        return {
            name: torch.cat([nn.functional.pad(part[name], (0, width - part[name].shape[1])) for part in rows])[order]
            .to(self.device)
            for name, width in longest.items()
        }  # fmt: skip


@dataclass(frozen=True)
class TrainingData:
    """The three splits, the encoders behind them, and a checksum of everything they hold."""

    splits: dict[str, Source]
    audio_encoder: nn.Module
    text_encoder: nn.Module
    checksum: str


def load_datasets(config: TrainConfig, splits: Sequence[str] = SPLITS) -> dict:
    """The datasets a config names, by split: a manifest's, or scenes composed from the sounds at hand."""
    if config.data is None:
        made = make_scenes(default_bank(), sizes=dict(zip(SPLITS, config.scenes, strict=True)), seed=config.data_seed)
        return {split: made[split] for split in splits}
    datasets = load_manifest(config.data)
    missing = [split for split in splits if split not in datasets]
    if missing:
        raise ValueError(f"{config.data}: no lines with split {', '.join(missing)}, but {', '.join(splits)} are needed")
    return {split: datasets[split] for split in splits}


def load_data(
    config: TrainConfig, device: str | torch.device | None = None, splits: Sequence[str] = SPLITS
) -> TrainingData:
    """Datasets, encoders and features for a config; what is frozen is computed once and read from the cache.

    device: where to train and encode, by default this process's GPU or the CPU. In a launch of several processes the
    first one computes what is missing.
    """
    device = torch.device(device or processes().device)
    with processes().main_process_first():
        return _load(config, device, splits)


def _load(config: TrainConfig, device: torch.device, splits: Sequence[str]) -> TrainingData:
    datasets = load_datasets(config, splits)
    built = build_encoders(config.preset, config.audio_encoder, config.text_encoder)
    audio_encoder, text_encoder = (encoder.to(device) for encoder in built)
    columns = [CODES.index(code) for code in config.languages]
    audio_open, text_open = (bool(config.unfreeze.get(side)) for side in ("audio", "text"))
    sources = {
        split: Source(
            dataset=dataset,
            audio=None if audio_open else _tensor(audio_features(dataset, audio_encoder), device),
            text=None if text_open else _tensor(text_features(dataset, text_encoder)[columns], device),
            languages=config.languages,
            owner=torch.from_numpy(np.array(dataset.owner)).to(device),
            text_encoder=text_encoder,
            device=device,
        )
        for split, dataset in datasets.items()
    }
    checksums = [dataset.checksum for dataset in datasets.values()]
    encoders = [[encoder.fingerprint, encoder_code(encoder)] for encoder in (audio_encoder, text_encoder)]
    return TrainingData(sources, audio_encoder, text_encoder, storage.checksum(checksums, encoders))


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values)).to(device)


def build_model(config: TrainConfig, data: TrainingData) -> DualEncoder:
    """A DualEncoder with freshly initialised projections (from config.seed) and copies of the towers that are open."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return DualEncoder(
            data.audio_encoder.dim, data.text_encoder.dim,
            width=config.width, hidden=config.hidden, parts=config.parts, dropout=config.dropout,
            temperature=config.temperature, learn_temperature=config.learn_temperature,
            audio_tower=copy.deepcopy(data.audio_encoder) if config.unfreeze.get("audio") else None,
            text_tower=copy.deepcopy(data.text_encoder) if config.unfreeze.get("text") else None,
            unfreeze=config.unfreeze,
        )  # fmt: skip
