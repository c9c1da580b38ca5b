"""Where batches come from: cached features of frozen towers, or clips and tokens of open
ones.
"""

import copy
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atri_lib import storage
from atri_lib.data.dataset import SPLITS, Dataset
from atri_lib.data.features import clip_features, load_ahead, text_features
from atri_lib.data.fingerprints import clip_fingerprint, text_fingerprint
from atri_lib.data.unknown_pieces import report_unknown
from atri_lib.encoders.alignment import Alignment
from atri_lib.encoders.dual import DualEncoder
from atri_lib.encoders.presets import PRESETS, encoder_builders
from atri_lib.encoders.text import joined
from atri_lib.training.config import TrainConfig
from atri_lib.training.datasets import are_pictures, load_datasets, parallel_text
from atri_lib.training.processes import processes

MODEL_SETTINGS = {
    "width",
    "hidden",
    "parts",
    "dropout",
    "temperature",
    "learn_temperature",
    "unfreeze",
}
SEEING = "efficientnet-lite0"  # reads pictures where no other encoder of clips is named


@dataclass(frozen=True)
class Source:
    """One split, ready to be batched: each side is an array of features, or None where the tower is
    open.

    clip_features [N, parts, F], text [K, M, D] on one device; owner [M], on the CPU: the clip of
    each caption.
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

    def clips(self, index: Tensor) -> Tensor | list[Tensor]:
        """Model input of some clips [n]: features [n, parts, F], or n waveforms or pictures of
        their own lengths and sizes.
        """
        return next(self.clip_batches([index]))

    def clip_batches(self, batches: Sequence[Tensor]) -> Iterator[Tensor | list[Tensor]]:
        """The same of one batch after the other; a few clips of the next are decoded meanwhile."""
        if self.clip_features is not None:
            yield from map(self.clip_features.__getitem__, batches)
            return
        coming = load_ahead(self.dataset, torch.cat(list(batches)).tolist())
        for batch in batches:
            clips = itertools.islice(coming, len(batch))
            yield [torch.from_numpy(clip).to(self.device) for clip in clips]

    def paired(self, count: int) -> tuple[Tensor, Tensor]:
        """Features of the first `count` clips and of each one's first caption, on the CPU: [n, P,
        F], [n, K, D].
        """
        count = min(count, len(self))
        first = torch.searchsorted(self.owner, torch.arange(count))
        return self.clip_features[:count].cpu(), self.text[:, first].transpose(0, 1).cpu()

    def captions(self, index: Tensor, language: Tensor) -> Tensor | dict[str, Tensor]:
        """Model input of some captions [n], each in its own language [n]: features [n, D] or
        tokens.
        """
        if self.text is not None:
            return self.text[language, index]
        # Tokenised a language at a time, then put back in order.
        batches = []
        for k in language.unique().tolist():
            code = self.languages[k]
            sentences = self.dataset.sentences(code)
            texts = [sentences[caption] for caption in index[language == k].tolist()]
            batches.append(self.text_encoder.tokenize(texts, code))
        places = language.argsort(stable=True).argsort()
        return {name: values[places].to(self.device) for name, values in joined(batches).items()}


@dataclass(frozen=True)
class TrainingData:
    """The three splits, the encoders behind them, and a checksum of everything they hold.

    translations: features of captions without clips, [K, M, D] each, where the config names some.
    """

    splits: dict[str, Source]
    clip_encoder: nn.Module
    text_encoder: nn.Module
    checksum: str
    translations: Sequence[Tensor] = ()

    @property
    def parallel(self) -> Tensor:
        """The text features that an alignment is fitted on, [K, M, D]: those of the training
        captions, then those of captions without clips.
        """
        return torch.cat([self.splits["train"].text, *self.translations], dim=1)


def data_origin(data: TrainingData) -> str:
    """What the test split is of: a bank of sounds ("tuxpaint" is the book's) or a manifest's
    folder.
    """
    return data.splits["test"].dataset.origin


def load_data(
    config: TrainConfig,
    device: str | torch.device | None = None,
    splits: Sequence[str] = SPLITS,
    features: bool = True,
) -> TrainingData:
    """Datasets, encoders and features for a config; what is frozen is computed once and read from
    the cache.

    device: where to train and encode, by default this process's GPU or the CPU. In a launch of
    several processes the first one computes what is missing. features=False: none is computed.
    """
    device = torch.device(device or processes().device)
    with processes().main_process_first():
        datasets = load_datasets(config, splits)
        without_clips = parallel_text(config) if "train" in splits else []
        pictures = any(dataset.pictures for dataset in datasets.values())
        names = clip_encoder_of(config, pictures), config.text_encoder
        clips, text, *keys = _encoders(*encoder_builders(config.preset, *names))
        if sees(clips) != pictures:
            given, read = (("sounds", "pictures")[kind] for kind in (pictures, sees(clips)))
            raise ValueError(
                f"{config.data or 'scenes'}: {given}, but the encoder {clips.name} reads {read}; "
                "name another encoder, or other data"
            )
        clips.to(device)
        text.to(device)
        if features and config.data is not None and processes().is_main_process:
            report_unknown(datasets, text)

        def read_text(dataset: Dataset) -> Tensor:
            values = text_features(dataset, text, keys[1])
            if dataset.languages != config.languages:  # else nothing is copied
                values = values[[dataset.languages.index(code) for code in config.languages]]
            return torch.from_numpy(values).to(device)

        sources = {}
        for split, dataset in datasets.items():
            of_clips = of_text = None
            if features and not config.unfreeze.get("clips"):
                values = clip_features(dataset, clips, config.parts, keys[0])
                of_clips = torch.from_numpy(values).to(device)
            if features and not config.unfreeze.get("text"):
                of_text = read_text(dataset)
            owner = torch.from_numpy(dataset.owner)
            sources[split] = Source(
                dataset, of_clips, of_text, config.languages, owner, text, device
            )
        translations = list(map(read_text, without_clips)) if features else []
    given = [dataset.checksum for dataset in (*datasets.values(), *without_clips)]
    return TrainingData(sources, clips, text, storage.checksum(given, *keys), translations)


@functools.lru_cache(maxsize=2)
def _encoders(*builders: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module, str, str]:
    """The encoders that these build, of clips and of text, and what each of them does. One of your
    own, or of a path, has a new builder each time, so that it is read each time.
    """
    clips, text = [build() for build in builders]
    return clips, text, clip_fingerprint(clips), text_fingerprint(text)


def data_checksum(config: TrainConfig) -> str:
    """The checksum that `load_data` gives this config's data, without computing a feature."""
    return load_data(config, features=False).checksum


def clip_encoder_of(config: TrainConfig, pictures: bool = False) -> str:
    """The name of a run's encoder of clips. A run on a manifest's pictures names it in its
    config; where it does not yet, `pictures` says so.
    """
    seeing = pictures or are_pictures(config.data)
    return config.clip_encoder or (SEEING if seeing else PRESETS[config.preset][0])


def with_encoder(config: TrainConfig, data: TrainingData) -> TrainConfig:
    """The config with the name of its encoder of clips, where only the data tell it.

    Scenes of pictures keep theirs unnamed: the keys of their stored runs hold no name.
    """
    if are_pictures(config.data) or not sees(data.clip_encoder):
        return config
    return config.replace(clip_encoder=clip_encoder_of(config, pictures=True))


def sees(encoder: nn.Module) -> bool:
    """Whether an encoder of clips reads pictures: then it has probes of its own."""
    return hasattr(encoder, "probes")


def build_model(config: TrainConfig, data: TrainingData) -> DualEncoder:
    """A DualEncoder with freshly initialised projections (from config.seed), copies of the towers
    that are open, and an alignment that is still to be fitted or loaded, where config has one.
    """
    settings = config.model_dump(include=MODEL_SETTINGS)
    if config.unfreeze.get("clips"):
        settings["audio_tower"] = copy.deepcopy(data.clip_encoder)
    if config.unfreeze.get("text"):
        settings["text_tower"] = copy.deepcopy(data.text_encoder)
    text_width = data.text_encoder.dim
    if config.alignment:
        settings["alignment"] = Alignment(len(config.languages), text_width)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return DualEncoder(data.clip_encoder.dim, text_width, **settings)
