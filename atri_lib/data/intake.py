"""The lines of a manifest, taken one by one: what each must be, and all of them together."""

import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import pydantic

from atri_lib import storage
from atri_lib.audio import check_header
from atri_lib.data.dataset import SPLITS, Texts, text_fault
from atri_lib.data.images import read_image
from atri_lib.languages import CODES, language
from atri_lib.progress import progress
from atri_lib.terminal import one_line

SHOWN = 10  # faults listed in one error
NO_OBJECT = "no JSON object"


class ManifestError(ValueError):
    """Captions, audio or images that make no dataset; the message names the line and what to do."""


def _visible(text: str) -> str:
    if fault := text_fault(text):
        raise ValueError(f"caption {fault}")
    return text


def _complete(captions: Texts, info: pydantic.ValidationInfo) -> Texts:
    if unknown := captions.keys() - set(CODES):
        raise ValueError(f"unknown language {unknown.pop()!r}: use {', '.join(CODES)} (ISO 639-3)")
    if lacking := [code for code in info.context if not captions.get(code)]:
        raise ValueError(
            f"caption missing in {', '.join(lacking)}; add it (of an English one, "
            "python -m atri_lib translate makes it), or train with the languages that you have: "
            "--languages eng zho, or English alone: --languages eng --scheme english"
        )
    return {code: captions[code] for code in CODES if captions.get(code)}


_Text = Annotated[
    str,
    pydantic.StringConstraints(strip_whitespace=True),
    pydantic.AfterValidator(_visible),
]
_one_or_more = pydantic.BeforeValidator(lambda said: said if isinstance(said, list) else [said])
_Several = Annotated[tuple[_Text, ...], _one_or_more]
Captions = Annotated[dict[str, _Several], pydantic.AfterValidator(_complete)]


class Line(pydantic.BaseModel):
    """A line of a manifest, of a sound or a picture; without an id, the path of its file is it."""

    model_config = pydantic.ConfigDict(extra="allow")
    audio: str | None = None
    image: str | None = None
    split: Literal[SPLITS]
    captions: Captions
    id: str | None = None

    @property
    def file(self) -> str:
        return self.image or self.audio

    @pydantic.model_validator(mode="after")
    def _one_file(self) -> "Line":
        if bool(self.audio) == bool(self.image):
            raise ValueError("give either audio or image, the path of the clip's file")
        self.id = self.id or os.path.normpath(self.file)
        return self


def intake(
    folder: pathlib.Path, languages: Sequence[str] = CODES
) -> Callable[[dict, str], tuple[Line, str]]:
    """A function that takes the lines of one manifest, each once, in one split, with files of one
    kind that can be read.

    It is given the values of a line and the place where it stands ("on line 3"), and returns the
    line and the SHA-256 of its file. It raises ManifestError for what it cannot be, UnreadableSound
    or UnreadableImage for its file; the line is not taken then.
    """
    for code in languages:
        language(code)  # or UnknownLanguage
    known: dict[object, tuple[object, str]] = {}  # a key's value, and where it was

    def take(values: dict, place: str) -> tuple[Line, str]:
        line = checked(values, languages)
        path = (folder / line.file).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ManifestError(f"{line.file!r:.80} is outside the manifest's folder; move it in")
        check = read_image if line.image else check_header
        check(path)
        content = storage.sha256_file(path)
        rules = (
            ("pictures", bool(line.image), "keep sounds and pictures in manifests of their own"),
            (path, place, "it is the same file; keep a clip's captions together"),
            ((line.split, line.id), place, f"the id {line.id!r:.80} is the same; change one"),
            (content, line.split, "it is the same clip in two splits; remove one"),
        )
        for key, value, advice in rules:
            first, where = known.get(key, (value, place))
            if first != value:
                raise ManifestError(
                    f"{line.file!r:.80} of {line.split} and what is {where}: {advice}"
                )
        for key, value, _ in rules:
            known.setdefault(key, (value, place))
        return line, content

    return take


def checked(
    values: dict, languages: Sequence[str], kind: type[pydantic.BaseModel] = Line
) -> pydantic.BaseModel:
    """The values of a line, checked. languages: those that its captions must have.

    Raises ManifestError that says what is wrong with it.
    """
    try:
        return kind.model_validate(values, context=languages)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{name}: " for name in fault["loc"])
        said = fault["msg"].removeprefix("Value error, ")
        if said.startswith("Input should"):
            said += f", not {fault['input']!r:.80}"
        raise ManifestError(where + said) from error


def read_lines(path: pathlib.Path, take: Callable[[dict, str], object]) -> list:
    """What `take` makes of the object and the place ("on line 3") of every line that holds
    something.

    Raises ManifestError listing file:line of what `take` refuses and of what is no JSON object, at
    most ten, but the first alone if no line is one; when there is no line; OSError for what is no
    regular file.
    """
    lines = storage.regular(path).read_bytes().split(b"\n")
    taken = []
    faults = []
    for number, raw in enumerate(progress(lines, f"reading {one_line(path.name)}"), start=1):
        if not raw.strip() or len(faults) == SHOWN:
            continue
        place = one_line(f"{path}:{number}")
        try:
            # a byte order mark begins each of several files put together
            values = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=storage.unrepeated)
        except (ValueError, RecursionError) as error:
            values = error
        try:
            if not isinstance(values, dict):
                said = f"{NO_OBJECT} ({values!s:.200}); write one on each line, in UTF-8"
                raise ManifestError(said)
            taken.append(take(values, f"on line {number}"))
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            faults.append(f"{place}: {one_line(error)}")
    if not taken and all(NO_OBJECT in fault for fault in faults):
        del faults[1:]  # of a file of something else one is enough
    if faults:
        raise ManifestError("\n".join(faults))
    if not taken:
        raise ManifestError(f"{path}: empty; write one JSON object per line")
    return taken
