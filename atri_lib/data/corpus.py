"""A corpus of clips with captions, as it is in memory between a local copy and a manifest."""

import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from atri_lib.audio import SUFFIXES
from atri_lib.data.dataset import Texts
from atri_lib.terminal import notice


class CorpusError(ValueError):
    """A local copy that is not laid out as published, or a corpus that is not complete."""


@dataclass(frozen=True)
class Clip:
    """captions: by language code, the same number in each; numbers: the corpus' own id of each
    caption, or "".
    """

    id: str
    split: str
    audio: pathlib.Path | None
    captions: Texts
    numbers: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.split}/{self.id}"

    @property
    def readable(self) -> bool:
        """Whether there is audio, of a format that is read."""
        return self.audio is not None and self.audio.suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class Corpus:
    """missing: "split/id" of clips that have captions and no audio file; they are not among
    `clips`.

    skipped: files that have the name of a missing clip, but no format that is read, such as .m4a.
    """

    name: str
    clips: tuple[Clip, ...]
    missing: tuple[str, ...]
    skipped: tuple[pathlib.Path, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """The distinct English captions, in order."""
        captions = (caption for clip in self.clips for caption in clip.captions["eng"])
        return list(dict.fromkeys(captions))

    def saying(self, code: str, captions: Iterable[tuple[str, ...]]) -> "Corpus":
        """The corpus with captions of each clip in one more language, or with others in it."""
        clips = []
        for clip, texts in zip(self.clips, captions, strict=True):
            clips.append(replace(clip, captions=clip.captions | {code: texts}))
        return replace(self, clips=tuple(clips))


def corpus_of(name: str, folder: str | os.PathLike, clips: Sequence[Clip]) -> Corpus:
    """The corpus of the clips whose audio can be read; says what cannot be."""
    present = tuple(clip for clip in clips if clip.readable)
    absent = [clip for clip in clips if not clip.readable]
    missing = tuple(clip.name for clip in absent)
    skipped = tuple(clip.audio for clip in absent if clip.audio)
    unread = _unread(skipped) if skipped else ""
    if not present:
        what = "its captions, but none of the audio" if clips else "none of its caption tables"
        said = f"{folder} is no local copy of {name}: it holds {what}"
        raise CorpusError(f"{said} ({unread})" if unread else said)
    if unread:
        notice(f"{name}: {unread}")
    return Corpus(name, present, missing, skipped)


def _unread(skipped: Sequence[pathlib.Path]) -> str:
    """How many files of which formats were not read."""
    counts = Counter(path.suffix for path in skipped).most_common()
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts)
    return f"{kinds} not read as audio, such as {skipped[0]}; convert them to FLAC or WAV"
