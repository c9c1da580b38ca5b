"""The lines of a manifest, taken one by one: what each must be, and all of them together."""

import json
import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import pydantic

from atri_lib import storage
from atri_lib.audio_headers import UnreadableSound, check_header
from atri_lib.data.dataset import SPLITS, captions_fault
from atri_lib.data.images import UnreadableImage, has_several
from atri_lib.languages import CODES, language


class ManifestError(ValueError):
    """Captions, audio or images that make no dataset; the message names the line and what to do."""


def _complete(
    captions: dict[str, tuple[str, ...]], info: pydantic.ValidationInfo
) -> dict[str, tuple[str, ...]]:
    if fault := captions_fault(captions, info.context["languages"]):
        raise ValueError(fault)
    return {code: captions[code] for code in CODES if captions.get(code)}


_Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True)]
_one_or_more = pydantic.BeforeValidator(
    lambda given: tuple(given) if isinstance(given, list) else (given,)
)
_Texts = Annotated[tuple[_Text, ...], _one_or_more]
Captions = Annotated[dict[str, _Texts], pydantic.AfterValidator(_complete)]
_Name = Annotated[str, pydantic.StringConstraints(min_length=1)]


class Line(pydantic.BaseModel):
    """A line of a manifest, of a sound or a picture; `name` is its id, by default the path of its
    file.
    """

    model_config = pydantic.ConfigDict(strict=True, extra="allow")
    audio: _Name | None = None
    image: _Name | None = None
    split: Literal[SPLITS]
    captions: Captions
    id: _Name | None = None

    @property
    def name(self) -> str:
        return self.id or os.path.normpath(self.file)

    @property
    def kind(self) -> str:
        return "image" if self.image else "audio"

    @property
    def file(self) -> str:
        return self.image or self.audio

    @pydantic.model_validator(mode="after")
    def _one_file(self) -> "Line":
        if bool(self.audio) == bool(self.image):
            raise ValueError("give either audio or image, the path of the clip's file")
        return self


@dataclass(frozen=True)
class Clip:
    """A line that was taken: where it stands, what it says, and the SHA-256 of its file."""

    place: str
    line: Line
    content: str


class Intake:
    """The clips of one manifest, each taken once, in one split, with files of one kind that can be
    read; `several` counts images of several frames or pages.
    """

    def __init__(self, folder: pathlib.Path, languages: Sequence[str] = CODES):
        self.folder = folder
        self.languages = tuple(language(code).code for code in languages)
        self.clips: list[Clip] = []
        self.several = 0
        self._places: dict[object, str] = {}  # of files and ids
        self._first: dict[str, Clip] = {}  # by content of the file

    def take(self, raw: bytes, place: str) -> None:
        """Take a line that stands at `place` ("on line 3").

        Raises ManifestError for what it cannot be, UnreadableSound or UnreadableImage for its
        file; it is not taken then.
        """
        line = parsed(raw, self.languages)
        kind = line.kind
        if self.clips and kind != self.clips[0].line.kind:
            said = f"{kind} {line.file!r:.80}, but {self.clips[0].line.kind} {self.clips[0].place}"
            raise ManifestError(f"{said}; keep sounds and pictures in manifests of their own")
        path = self._found(line)
        once = {
            f"{kind} {line.file}": path,
            f"id {line.name!r} of {line.split}": (line.split, line.name),
        }
        for what, key in once.items():
            if key in self._places:
                said = f"{what} is {self._places[key]} already"
                raise ManifestError(f"{said}; keep a clip's captions together")
        self._places |= dict.fromkeys(once.values(), place)
        clip = Clip(place, line, storage.sha256_file(path))
        twin = self._first.setdefault(clip.content, clip)
        if twin.line.split != line.split:
            other = f"{twin.line.file} ({twin.line.split}) {twin.place}"
            said = f"{line.file} ({line.split}) is the same {kind} as {other}"
            raise ManifestError(f"{said}: a clip belongs to one split, remove one")
        self.clips.append(clip)

    def _found(self, line: Line) -> pathlib.Path:
        """A line's file, links followed, when it can be read and is in the manifest's folder."""
        named = f"{line.kind} {line.file!r:.80}"
        try:
            path = (self.folder / line.file).resolve()
            if not path.is_relative_to(self.folder.resolve()):
                said = f"{named} is outside the manifest's folder"
                raise ManifestError(f"{said}; move the file into it")
            if line.image:
                self.several += has_several(path)
            else:
                check_header(path)
        except (ManifestError, UnreadableSound, UnreadableImage):
            raise
        except UnicodeEncodeError as error:
            said = f"{named}: the path is not UTF-8; rename the file or its folder"
            raise ManifestError(said) from error
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, NUL, too long
            said = getattr(error, "strerror", None) or "no file can be there"
            raise ManifestError(f"{named}: {said}; name an {line.kind} file") from error
        return path


Kind = TypeVar("Kind", bound=pydantic.BaseModel)


def parsed(raw: bytes, languages: Sequence[str], kind: type[Kind] = Line) -> Kind:
    """A line of a file, checked. languages: those that its captions must have.

    Raises ManifestError that says what is wrong with it.
    """
    try:
        line = kind.model_validate_json(raw, context={"languages": languages})
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        said = fault["msg"].removeprefix("Value error, ")
        complete = fault["type"] in ("json_invalid", "missing", "value_error")
        given = "" if complete else f", not {fault['input']!r:.60}"
        raise ManifestError(f"{place}{place and ': '}{said}{given}") from error
    json.loads(raw.decode(), object_pairs_hook=_once, parse_int=str)
    return line


def _once(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that has a key twice; elsewhere the last one would count."""
    counts = Counter(key for key, _ in pairs)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise ManifestError(f"{twice[0]!r:.60} is there {counts[twice[0]]} times; keep one")
