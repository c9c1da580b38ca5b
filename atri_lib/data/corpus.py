"""A corpus of clips with captions, as it is in memory between a local copy and a manifest."""

import os
import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

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
    captions: Mapping[str, tuple[str, ...]]
    numbers: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.split}/{self.id}"

    def saying(self, captions: Mapping[str, Iterable[str]]) -> "Clip":
        """The clip with captions in more languages, or with others."""
        said = {code: tuple(texts) for code, texts in captions.items()}
        return replace(self, captions={**self.captions, **said})


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


def corpus_of(
    name: str, folder: str | os.PathLike, clips: list[Clip], skipped: list[pathlib.Path]
) -> Corpus:
    """The corpus of the clips that have audio; says what was skipped."""
    missing = tuple(clip.name for clip in clips if clip.audio is None)
    unread = _unread(skipped) if skipped else ""
    if len(missing) == len(clips):
        what = "its captions, but none of the audio" if clips else "none of its caption tables"
        said = f"{folder} is no local copy of {name}: it holds {what}"
        raise CorpusError(f"{said} ({unread})" if unread else said)
    if unread:
        notice(f"{name}: {unread}")
    present = tuple(clip for clip in clips if clip.audio is not None)
    return Corpus(name, present, missing, tuple(skipped))


def _unread(skipped: list[pathlib.Path]) -> str:
    """How many files of which formats were not read."""
    counts = Counter(path.suffix for path in skipped).most_common()
    kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in counts)
    return f"{kinds} not read as audio, such as {skipped[0]}; convert them to FLAC or WAV"
