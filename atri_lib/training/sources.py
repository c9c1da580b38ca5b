"""Where batches come from: cached features of frozen towers, or clips and tokens of open
ones.
"""

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atri_lib import storage
from atri_lib.data.dataset import SPLITS, Dataset
from atri_lib.data.features import LOADERS, clip_features, text_features
from atri_lib.data.fingerprints import clip_fingerprint, text_fingerprint
from atri_lib.data.unknown_pieces import report_unknown
from atri_lib.encoders.alignment import Alignment
from atri_lib.encoders.dual import DualEncoder
from atri_lib.encoders.presets import PRESETS, build_encoders, encoder_builders
from atri_lib.encoders.text import joined
from atri_lib.training.config import TrainConfig
from atri_lib.training.datasets import are_pictures, load_datasets, parallel_text
from atri_lib.training.processes import processes

SEEING = "efficientnet-lite0"  # reads pictures where no other encoder of clips is named


@dataclass(frozen=True)
class Source:
    """One split, ready to be batched: each side is an array of features, or None where the tower is
    open.

    clip_features [N, parts, F], text [K, M, D] on one device; owner [M]: the clip of each caption.
    """

    dataset: Dataset
    clip_features: Tensor | None
    text: Tensor | None
    languages: tuple[str, ...]
    owner: Tensor
    text_encoder: nn.Module | None
    device: torch.device

    def __len__(self) -> int:
        return len(self.dataset)

    @torch.no_grad()
    def aligned(self, model: DualEncoder) -> "Source":
        """The same with text features that the model's alignment has gone over."""
        if model.alignment is None:
            return self
        texts = [model.align(features, k) for k, features in enumerate(self.text)]
        return dataclasses.replace(self, text=torch.stack(texts))

    @functools.cached_property
    def _coming(self) -> dict[int, Future]:
        return {}

    @functools.cached_property
    def _loaders(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(LOADERS)

    def prefetch(self, index: Tensor) -> None:
        """Begin to decode some clips [n] in threads, for the call of `clips` that comes next; no-op
        on features.
        """
        if self.clip_features is not None:
            return
        for i in set(index.tolist()) - self._coming.keys():
            self._coming[i] = self._loaders.submit(self.dataset.clip, i)

    def clips(self, index: Tensor) -> Tensor | list[Tensor]:
        """Model input of some clips [n]: features [n, parts, F], or n waveforms or pictures of
        their own lengths and sizes.
        """
        if self.clip_features is not None:
            return self.clip_features[index]
        self.prefetch(index)
        clips = index.tolist()
        ready = {}
        for i in set(clips):
            clip = self._coming.pop(i).result()
            ready[i] = torch.from_numpy(clip).to(self.device)
        return [ready[i] for i in clips]

    def paired(self, count: int) -> tuple[Tensor, Tensor]:
        """Features of the first `count` clips and of each one's first caption, on the CPU: [n, P,
        F], [n, K, D].
        """
        count = min(count, len(self))
        first = torch.searchsorted(self.owner, torch.arange(count, device=self.device))
        return self.clip_features[:count].cpu(), self.text[:, first].transpose(0, 1).cpu()

    def captions(self, index: Tensor, language: Tensor) -> Tensor | dict[str, Tensor]:
        """Model input of some captions [n], each in its own language [n]: features [n, D] or
        tokens.
        """
        if self.text is not None:
            return self.text[language, index]
        # Tokenised a language at a time, then put back in order.
        batches = []
        places = []
        for k in language.unique().tolist():
            code = self.languages[k]
            where = (language == k).nonzero().flatten()
            all_sentences = self.dataset.sentences(code)
            sentences = [all_sentences[i] for i in index[where].tolist()]
            batches.append(self.text_encoder.tokenize(sentences, code))
            places.append(where)
        order = torch.cat(places).argsort()
        return {name: values[order].to(self.device) for name, values in joined(batches).items()}


@dataclass(frozen=True)
class TrainingData:
    """The three splits, the encoders behind them, and a checksum of everything they hold.

    translations: features of captions without clips, [K, M, D], where the config names some.
    """

    splits: dict[str, Source]
    clip_encoder: nn.Module
    text_encoder: nn.Module
    checksum: str
    translations: Tensor | None = None

    @property
    def parallel(self) -> Tensor:
        """The text features that an alignment is fitted on, [K, M, D]: those of the training
        captions, then those of captions without clips.
        """
        trained = self.splits["train"].text
        if self.translations is None:
            return trained
        return torch.cat([trained, self.translations.to(trained)], dim=1)


def data_origin(data: TrainingData) -> str:
    """What the test split is of: a bank of sounds ("tuxpaint" is the book's) or a manifest's
    folder.
    """
    return data.splits["test"].dataset.origin


def load_data(
    config: TrainConfig, device: str | torch.device | None = None, splits: Sequence[str] = SPLITS
) -> TrainingData:
    """Datasets, encoders and features for a config; what is frozen is computed once and read from
    the cache.

    device: where to train and encode, by default this process's GPU or the CPU. In a launch of
    several processes the first one computes what is missing.
    """
    device = torch.device(device or processes().device)
    with processes().main_process_first():
        return _load(config, device, splits)


def data_checksum(config: TrainConfig) -> str:
    """The checksum that `load_data` gives this config's data, without computing a feature."""
    datasets = load_datasets(config)
    builders = encoder_builders(*_encoder_names(config, datasets))
    return _checksum([*datasets.values(), *parallel_text(config)], *_fingerprints(*builders))


@functools.lru_cache(maxsize=8)
def _fingerprints(*builders: Callable[[], nn.Module]) -> tuple[str, str]:
    """What the encoders do that these build, of clips and of text. An encoder of one's own, or of a
    path, has a new builder each time, so that it is read each time.
    """
    clips, text = [build() for build in builders]
    return clip_fingerprint(clips), text_fingerprint(text)


def _checksum(datasets: Sequence[Dataset], clip_key: str, text_key: str) -> str:
    return storage.checksum([dataset.checksum for dataset in datasets], clip_key, text_key)


def clip_encoder_of(config: TrainConfig) -> str:
    """The name of a run's encoder of clips. A run on a manifest's pictures names it in its
    config.
    """
    usual = SEEING if are_pictures(config.data) else PRESETS.get(config.preset, [None])[0]
    return config.clip_encoder or usual


def with_encoder(config: TrainConfig, data: TrainingData) -> TrainConfig:
    """The config with the name of its encoder of clips, where only the data tell it.

    Scenes of pictures keep theirs unnamed: the keys of their stored runs hold no name.
    """
    if config.clip_encoder or are_pictures(config.data) or not sees(data.clip_encoder):
        return config
    return config.replace(clip_encoder=SEEING)


def sees(encoder: nn.Module) -> bool:
    """Whether an encoder of clips reads pictures: then it has probes of its own."""
    return hasattr(encoder, "probes")


def _encoder_names(config: TrainConfig, datasets: Mapping[str, Dataset]) -> tuple:
    """What `build_encoders` takes for these data."""
    usual = SEEING if _are_pictures(datasets) else None
    return config.preset, config.clip_encoder or usual, config.text_encoder


def _are_pictures(datasets: Mapping[str, Dataset]) -> bool:
    return any(dataset.pictures for dataset in datasets.values())


def _encoders(
    config: TrainConfig, datasets: Mapping[str, Dataset], device: torch.device
) -> tuple[nn.Module, nn.Module, str, str]:
    """The encoders of clips and of text, and their fingerprints."""
    clips, text = build_encoders(*_encoder_names(config, datasets))
    pictures = _are_pictures(datasets)
    if sees(clips) != pictures:
        given, read = ("pictures", "sounds") if pictures else ("sounds", "pictures")
        raise ValueError(
            f"{config.data or 'scenes'}: {given}, but the encoder {clips.name} reads {read}; "
            "name another encoder, or other data"
        )
    clips = clips.to(device)
    text = text.to(device)
    return clips, text, clip_fingerprint(clips), text_fingerprint(text)


def _load(config: TrainConfig, device: torch.device, splits: Sequence[str]) -> TrainingData:
    datasets = load_datasets(config, splits)
    without_clips = parallel_text(config) if "train" in splits else []
    clip_encoder, text_encoder, clip_key, text_key = _encoders(config, datasets, device)
    if config.data is not None and processes().is_main_process:
        report_unknown(datasets, text_encoder)

    def read_text(dataset: Dataset) -> Tensor:
        features = text_features(dataset, text_encoder, text_key)
        if dataset.languages != config.languages:  # else nothing is copied
            features = features[[dataset.languages.index(code) for code in config.languages]]
        return torch.from_numpy(features).to(device)

    sources = {}
    for split, dataset in datasets.items():
        clips = None
        if not config.unfreeze.get("clips"):
            features = clip_features(dataset, clip_encoder, config.parts, clip_key)
            clips = torch.from_numpy(features).to(device)
        text = None if config.unfreeze.get("text") else read_text(dataset)
        owner = torch.from_numpy(dataset.owner).to(device)
        sources[split] = Source(
            dataset, clips, text, config.languages, owner, text_encoder, device
        )
    checksum = _checksum([*datasets.values(), *without_clips], clip_key, text_key)
    translations = next(map(read_text, without_clips), None)
    return TrainingData(sources, clip_encoder, text_encoder, checksum, translations)


def build_model(config: TrainConfig, data: TrainingData) -> DualEncoder:
    """A DualEncoder with freshly initialised projections (from config.seed), copies of the towers
    that are open, and an alignment that is still to be fitted or loaded, where config has one.
    """
    towers = {}
    if config.unfreeze.get("clips"):
        towers["audio_tower"] = copy.deepcopy(data.clip_encoder)
    if config.unfreeze.get("text"):
        towers["text_tower"] = copy.deepcopy(data.text_encoder)
    alignment = None
    if config.alignment:
        alignment = Alignment(len(config.languages), data.text_encoder.dim)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return DualEncoder(
            data.clip_encoder.dim,
            data.text_encoder.dim,
            width=config.width,
            hidden=config.hidden,
            parts=config.parts,
            dropout=config.dropout,
            temperature=config.temperature,
            learn_temperature=config.learn_temperature,
            unfreeze=config.unfreeze,
            alignment=alignment,
            **towers,
        )
