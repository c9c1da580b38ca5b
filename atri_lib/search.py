"""Search a folder of sounds or pictures with words, or a list of captions with one of them, using a
trained run.
"""

import json
import os
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from atri_lib import storage
from atri_lib.audio import SUFFIXES, files_below, read_audio, skipped
from atri_lib.data.dataset import text_fault
from atri_lib.data.features import encode_clips
from atri_lib.data.images import IMAGES, read_image
from atri_lib.encoders.presets import build_encoders
from atri_lib.languages import CODES, language
from atri_lib.progress import progress
from atri_lib.terminal import notice, one_line
from atri_lib.training import Run, TrainingData
from atri_lib.training.sources import clip_encoder_of, sees


class SearchError(ValueError):
    """A query that is none, nothing to search in, or a file that is no index."""


class Searcher:
    """The encoders and the trained model of a run, ready to embed sounds, or pictures where the run
    is of those, and sentences into its space. read: gives what `embed_clip` takes of a file.
    """

    def __init__(self, run: Run) -> None:
        config = run.config
        self.languages = config.languages
        self.weights = run.metrics["sha256"]["weights.safetensors"]
        clip_encoder, text_encoder = build_encoders(
            config.preset, clip_encoder_of(config), config.text_encoder
        )
        self.pictures = sees(clip_encoder)
        self.read = read_image if self.pictures else read_audio
        self.model = run.model(TrainingData({}, clip_encoder, text_encoder, ""))
        # Towers that the run has trained take the encoders' place: the model is given features.
        self.clip_encoder = self.model.audio_tower or clip_encoder
        self.text_encoder = self.model.text_tower or text_encoder
        self.model.audio_tower = self.model.text_tower = None

    @torch.no_grad()
    def embed_clip(self, clip: np.ndarray) -> np.ndarray:
        """A 16 kHz mono waveform [samples], or a picture [height, width, 3] -> unit vector [d]."""
        features = encode_clips([clip], self.clip_encoder, self.model.pooling.parts)
        return self.model.encode_clips(torch.from_numpy(features))[0].numpy()

    @torch.no_grad()
    def embed_texts(self, sentences: list[str], code: str) -> np.ndarray:
        """Sentences in one language -> unit vectors [N, d]. Raises UnknownLanguage, SearchError
        (see check_query).
        """
        language(code)
        for sentence in sentences:
            check_query(sentence)
        features = self.text_encoder.embed(sentences, language=code)
        if self.model.alignment is not None:
            if code not in self.languages:
                raise SearchError(
                    "this run aligns the languages it was trained with, and "
                    f"{code} is none of them: ask in one of {', '.join(self.languages)}"
                )
            features = self.model.align(features, self.languages.index(code))
        return self.model.encode_text(features).numpy()

    @property
    def reads_language(self) -> bool:
        """Whether a text has another vector where it is said to be in another language (SONAR, an
        alignment).
        """
        if self.model.alignment is not None:
            return True
        english, other = (self.embed_texts(["a dog"], code) for code in CODES[:2])
        return not np.allclose(english, other, atol=1e-5)


def check_query(text: str) -> None:
    """Raises SearchError for a text without a visible character, with half of one (a lone
    surrogate), or too long.
    """
    fault = text_fault(text)
    if fault:
        raise SearchError(f"the text {text[:40]!r} {fault}; describe a sound")


@dataclass(frozen=True)
class Index:
    """names: file paths or sentences [N]; embeddings: unit vectors float32 [N, d]; weights: SHA-256
    of those of the run whose space they live in. Raises SearchError when the parts do not fit each
    other.
    """

    names: tuple[str, ...]
    embeddings: np.ndarray
    weights: str

    def __post_init__(self) -> None:
        named = all(isinstance(name, str) for name in self.names)
        finite = self.embeddings.dtype == np.float32 and np.isfinite(self.embeddings).all()
        if not named or not finite or self.embeddings.shape[:-1] != (len(self.names),):
            raise SearchError("it takes N names and vectors [N, d] of finite float32")

    def save(self, path: str | os.PathLike) -> None:
        """Write one safetensors file, atomically. Raises SearchError for an existing file that is
        no index.
        """
        if os.path.lexists(path):
            Index.load(path)
        with storage.atomic_path(path) as partial:
            meta = {"names": json.dumps(self.names), "weights": self.weights}
            meta["checksum"] = storage.checksum(meta, self.embeddings)
            save_file({"embeddings": self.embeddings}, partial, meta)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Index":
        """Read what save wrote. Raises SearchError for a file that is none."""
        try:
            with safe_open(storage.regular(path), "numpy") as stored:
                meta = stored.metadata() or {}
                vectors = stored.get_tensor("embeddings")
            if meta.pop("checksum", None) != storage.checksum(meta, vectors):
                raise ValueError("its content does not match its checksum")
            return cls(json.loads(meta["names"]), vectors, meta["weights"])
        except Exception as error:
            fix = "name another file, or build it with `search --folder FOLDER --index FILE`"
            raise SearchError(f"{path}: not an index ({error}); {fix}") from error

    def nearest(self, query: np.ndarray, k: int) -> list[tuple[str, float]]:
        """The k best entries for a unit vector [d], best first, with cosine similarity; equal ones
        keep their order.
        """
        similarity = self.embeddings @ query
        best = np.argsort(-similarity, kind="stable")[:k]
        return [(self.names[row], float(similarity[row])) for row in best]


def index_folder(
    searcher: Searcher, folder: str | os.PathLike, strict: bool = False
) -> tuple[Index, list[str]]:
    """Embed every file below a folder that the run is of and that is not hidden, and list those
    that are broken.

    Returns the index and "path: why" of each file that cannot be read. Sounds of formats that
    cannot be read are named on stderr. Raises SearchError for what is no folder, when there is no
    file that can be read and, with strict, for any that cannot.
    """
    if not os.path.isdir(folder):
        is_file = os.path.exists(folder)
        fault = "is a file; give the folder that it is in" if is_file else "no such folder"
        raise SearchError(f"{folder}: {fault}")
    suffixes = IMAGES if searcher.pictures else SUFFIXES
    files = files_below(folder, suffixes)
    others = "" if searcher.pictures else skipped(folder)
    if others:
        notice(others)
    if not files:
        raise SearchError(f"{folder}: holds no files to search ({', '.join(suffixes)})")
    names = []
    rows = []
    broken = []
    for path in progress(files, "embedding files", unit="file"):
        shown = one_line(path)
        try:
            rows.append(searcher.embed_clip(searcher.read(path)))
            names.append(str(path.relative_to(folder)))
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            broken.append(f"{shown}: {str(error).removeprefix(f'{shown}: ')}")
    if broken and (strict or not names):
        message = f"{len(broken)} of {len(files)} files cannot be read"
        raise SearchError(f"{message}: {'; '.join(broken)}")
    return Index(tuple(names), np.stack(rows), searcher.weights), broken
