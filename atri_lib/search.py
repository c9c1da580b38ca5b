"""Search a folder of sounds with words, or a list of captions with a sound, using a trained run."""

import json
import os
import pathlib
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from atri_lib import storage
from atri_lib.data.features import encode_clips
from atri_lib.data.manifest import read_audio
from atri_lib.encoders.presets import build_encoders
from atri_lib.languages import language
from atri_lib.progress import progress
from atri_lib.training import Run, TrainingData

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


class SearchError(ValueError):
    """Nothing to search in, or an index of another run."""


class Searcher:
    """The encoders and the trained model of a run, ready to embed sounds and sentences into its space."""

    def __init__(self, run: Run) -> None:
        config = run.config
        self.name = run.path.resolve().name
        self.audio_encoder, self.text_encoder = build_encoders(config.preset, config.audio_encoder, config.text_encoder)
        self.model = run.model(TrainingData({}, self.audio_encoder, self.text_encoder, ""))

    @torch.no_grad()
    def embed_audio(self, waveform: np.ndarray) -> np.ndarray:
        """A 16 kHz mono waveform [samples] -> unit vector [d]."""
        if self.model.audio_tower is not None:
            return self.model.encode_audio(torch.from_numpy(waveform)[None])[0].numpy()
        parts = encode_clips([waveform], self.audio_encoder, self.model.pooling.parts)
        return self.model.encode_audio(torch.from_numpy(parts))[0].numpy()

    @torch.no_grad()
    def embed_texts(self, sentences: list[str], code: str) -> np.ndarray:
        """Sentences in one language -> unit vectors [N, d]. Raises UnknownLanguage."""
        language(code)
        if self.model.text_tower is None:
            return self.model.encode_text(self.text_encoder.embed(sentences, language=code)).numpy()
        parts = [sentences[start : start + 64] for start in range(0, len(sentences), 64)]
        rows = [self.model.encode_text(self.text_encoder.tokenize(part, code)) for part in parts]
        return torch.cat(rows).numpy()


@dataclass(frozen=True)
class Index:
    """names: file paths or sentences [N]; embeddings: unit vectors float32 [N, d]; run: whose space they live in."""

    names: tuple[str, ...]
    embeddings: np.ndarray
    run: str

    def save(self, path: str | os.PathLike) -> None:
        """Write one safetensors file, atomically."""
        with storage.atomic_path(path) as partial:
            meta = {"names": json.dumps(self.names, ensure_ascii=False), "run": self.run}
            save_file({"embeddings": self.embeddings}, partial, meta)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Index":
        """Read what save wrote. Raises SearchError for a file that is none."""
        try:
            with safe_open(path, "numpy") as stored:
                meta = stored.metadata()
                return cls(tuple(json.loads(meta["names"])), stored.get_tensor("embeddings"), meta["run"])
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise SearchError(f"{path}: not an index ({error}); build it with `search --folder ... --index`") from error

    def nearest(self, query: np.ndarray, k: int) -> list[tuple[str, float]]:
        """The k best entries for a unit vector [d], best first, with cosine similarity; equal ones keep their order."""
        similarity = self.embeddings @ query
        return [(self.names[row], float(similarity[row])) for row in np.argsort(-similarity, kind="stable")[:k]]


def index_folder(searcher: Searcher, folder: str | os.PathLike) -> Index:
    """Embed every audio file below a folder. Unreadable files are named in a SearchError."""
    folder = pathlib.Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise SearchError(f"{folder}: no audio files ({', '.join(AUDIO_SUFFIXES)}) to search in")
    rows, broken = [], []
    for path in progress(files, "embedding sounds", unit="file"):
        try:
            rows.append(searcher.embed_audio(read_audio(path)))
        except (ValueError, OSError, RuntimeError) as error:
            broken.append(f"{path}: {error}")
    if broken:
        raise SearchError("cannot read:\n  " + "\n  ".join(broken) + "\nrepair or move these files")
    return Index(tuple(str(path.relative_to(folder)) for path in files), np.stack(rows), searcher.name)


def index_sentences(searcher: Searcher, sentences: list[str], code: str) -> Index:
    """Embed captions of one language, to be found by a sound."""
    sentences = [sentence.strip() for sentence in sentences if sentence.strip()]
    if not sentences:
        raise SearchError("no captions to search in: give a text file with one caption a line")
    return Index(tuple(sentences), searcher.embed_texts(sentences, code), searcher.name)
