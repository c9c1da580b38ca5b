"""The lines of a manifest, taken one by one: what each must be, and all of them together."""

import codecs
import json
import os
import pathlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic

from atri_lib import storage
from atri_lib.audio_headers import UnreadableSound, check_header
from atri_lib.data.dataset import SPLITS, Texts, captions_fault
from atri_lib.data.images import UnreadableImage, has_several
from atri_lib.languages import CODES, language
from atri_lib.progress import progress
from atri_lib.terminal import one_line

SHOWN = 10  # faults listed in one error
_FEWER = (
    "; add them (of English captions, python -m atri_lib translate makes them), "
    "or train with the languages that you have: --languages eng zho, "
    "or English alone: --languages eng --scheme english"
)


class ManifestError(ValueError):
    """Captions, audio or images that make no dataset; the message names the line and what to do."""


def _complete(captions: Texts, info: pydantic.ValidationInfo) -> Texts:
    if fault := captions_fault(captions, info.context):
        raise ValueError(fault)
    return {code: captions[code] for code in CODES if captions.get(code)}


_Text = Annotated[str, pydantic.StringConstraints(strip_whitespace=True)]
_one_or_more = pydantic.BeforeValidator(
    lambda given: tuple(given) if isinstance(given, list) else (given,)
)
_Several = Annotated[tuple[_Text, ...], _one_or_more]
Captions = Annotated[dict[str, _Several], pydantic.AfterValidator(_complete)]
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
        self.languages = [language(code).code for code in languages]
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
            path: f"{kind} {line.file}",
            (line.split, line.name): f"id {line.name!r} of {line.split}",
        }
        for key, what in once.items():
            if key in self._places:
                said = f"{what} is {self._places[key]} already"
                raise ManifestError(f"{said}; keep a clip's captions together")
        self._places |= dict.fromkeys(once, place)
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
        except (RuntimeError, ValueError) as error:  # a loop of links, NUL
            said = f"{named}: no file can be there; name an {line.kind} file"
            raise ManifestError(said) from error
        if not path.is_relative_to(self.folder.resolve()):
            raise ManifestError(f"{named} is outside the manifest's folder; move the file into it")
        if line.image:
            self.several += has_several(path)
        else:
            check_header(path)
        return path


def parsed(
    raw: bytes, languages: Sequence[str], kind: type[pydantic.BaseModel] = Line
) -> pydantic.BaseModel:
    """A line of a file, checked. languages: those that its captions must have.

    Raises ManifestError that says what is wrong with it.
    """
    try:
        line = kind.model_validate_json(raw, context=languages)
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False)[0]
        said = ".".join(map(str, fault["loc"]))
        said += said and ": "
        said += fault["msg"].removeprefix("Value error, ")
        if fault["type"] not in ("json_invalid", "missing", "value_error"):
            said += f", not {fault['input']!r:.60}"
        raise ManifestError(said) from error
    json.loads(raw.decode(), object_pairs_hook=_once, parse_int=str)
    return line


def _once(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that has a key twice; elsewhere the last one would count."""
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ManifestError(f"{key!r:.60} is there {count} times; keep one")


def take_lines(path: pathlib.Path, take: Callable[[bytes, str], None]) -> None:
    """Call `take` with the bytes and the place ("on line 3") of every line that holds something.

    Raises ManifestError listing file:line of what `take` refuses, or when there is no line.
    """
    rows = _rows(path)
    faults = []
    for number, raw in progress(rows, f"reading {one_line(path.name)}", unit="line"):
        try:
            take(raw, f"on line {number}")
        except (ManifestError, UnreadableSound, UnreadableImage, OSError) as error:
            faults.append(one_line(f"{path}:{number}: {error}"))
    if faults:
        raise ManifestError(_listed(faults, nothing_taken=len(faults) == len(rows)))
    if not rows:
        raise ManifestError(f"{path}: empty; write one JSON object per line")


def _rows(path: pathlib.Path) -> list[tuple[int, bytes]]:
    """Number and bytes of the lines that hold something."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ManifestError(f"{path}: UTF-16 text; save it as UTF-8")
    if content.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        said = f"{path}:1: a JSON list"
        raise ManifestError(f"{said}; write one object per clip and line, without brackets around")
    rows = []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        row = raw.removeprefix(codecs.BOM_UTF8)  # of each of several files put together
        if row.strip():
            rows.append((number, row))
    return rows


def _listed(faults: list[str], nothing_taken: bool) -> str:
    """The faults of a file in one message, or the first where few lines are JSON at all."""
    broken = sum("Invalid JSON" in fault for fault in faults)
    if nothing_taken and broken > max(1, len(faults) / 2):
        return f"{faults[0]}; so are other lines: write one JSON object per clip and line"
    message = "\n".join(faults[:SHOWN])
    if len(faults) > SHOWN:
        message += f"\nand {len(faults) - SHOWN} more"
    if any("caption missing in" in fault for fault in faults):
        message += _FEWER
    return message
