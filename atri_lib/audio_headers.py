"""What a sound file says of itself before it is decoded, and what a decoder would not notice."""

import contextlib
import io
import mmap
import os
import re
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import soundfile

from atri_lib.containers import Damaged, after_id3, is_text, mp3_frames, ogg_seconds, what_it_is
from atri_lib.quiet import without_lines
from atri_lib.terminal import one_line

MIN_SECONDS = 0.1
MAX_SECONDS = 600
HIGHEST_RATE = 192_000  # with MAX_SECONDS: at most 0.5 GB of samples, whatever a header says
# of libsndfile's log
_CUT = re.compile(r"^ ?(?:data|SSND)\s*: (\d+) \(should be \d+\)", re.MULTILINE)
_STREAMED = 0x7FFF0000  # lengths from here on mean: unknown when the header was written
_UNKNOWN_LENGTH = 2**63 - 1  # frames by libsndfile
_QUIET_DECODERS = (b"RIFF", b"FORM", b"fLaC", b"OggS")
_MPG123 = (
    b"Note: ",
    b"Warning: ",
    b"[src/libmpg123",
    b"[libmpg123",
    b"[/",
    b"main: [src/libmpg123",
)


class UnreadableSound(ValueError):
    """An audio file that cannot be decoded, or holds what the library does not take; the message
    names it.
    """


def check_header(path: str | os.PathLike, least: float = MIN_SECONDS):
    """soundfile's description of a file of at least so many seconds. Raises what read_audio does as
    far as it tells.
    """
    header, _ = checked(path, least)
    return header


@dataclass(frozen=True)
class Opened:
    """What soundfile is to open, a path or an MP3's content behind a frame with its length, and the
    first bytes.
    """

    source: bytes | io.BytesIO
    head: bytes

    def quiet(self) -> AbstractContextManager:
        """Without mpg123's own lines on stderr where the file may come into its hands."""
        if self.head.startswith(_QUIET_DECODERS):
            return nullcontext()
        return without_lines(*_MPG123)


def checked(path: str | os.PathLike, least: float):
    """What check_header returns, and what to read the samples from."""
    name = one_line(path)
    head = first_bytes(path, "audio", UnreadableSound)
    if kind := what_it_is(head):
        raise UnreadableSound(f"{name}: is {kind}")
    opened = Opened(os.fsencode(path), head)
    is_ogg = head[after_id3(head) :].startswith(b"OggS")
    by_pages = _ogg_seconds(path) if is_ogg else 0.0
    try:
        with opened.quiet():
            header = soundfile.info(opened.source, verbose=True)
            if header.format == "MP3" and (mended := _with_length(path)):
                opened = Opened(io.BytesIO(mended), head)
                header = soundfile.info(opened.source, verbose=True)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a file named .raw
        said = f"{name}: cannot be read as audio ({reason_of(error, head)})"
        raise UnreadableSound(f"{said}; convert it to WAV or FLAC") from error
    fault = _fault(header, least, by_pages)
    if fault:
        raise UnreadableSound(f"{name}: {fault}")
    return header, opened


def _fault(header, least: float, by_pages: float) -> str | None:
    """What is wrong with a file by soundfile's description of it, and what to do, or None.

    by_pages: the seconds that an Ogg file lasts at least, 0.0 for others.
    """
    if header.frames == _UNKNOWN_LENGTH:
        return "its header does not say how long it is; convert it again"
    if header.frames > MAX_SECONDS * min(header.samplerate, HIGHEST_RATE):
        return (
            f"{header.frames} samples at {header.samplerate} Hz by its header; "
            f"{MAX_SECONDS // 60} minutes are the most, cut it into clips"
        )
    cut = _CUT.search(header.extra_info)
    if cut and int(cut[1]) < _STREAMED:
        return f"cut short, its header announces {cut[1]} bytes of sound; replace the file"
    seconds = header.frames / header.samplerate
    if seconds < least:
        return f"{seconds:.3f} s of audio, {least} s is the least"
    if seconds < 0.98 * by_pages:
        decoded = f"{seconds:.1f} of {by_pages:.1f} s can be decoded"
        return f"{decoded} (several streams?); convert it again"
    return None


def first_bytes(path: str | os.PathLike, kind: str, unreadable: type[Exception]) -> bytes:
    """The first bytes of an "audio" or "image" file. Raises `unreadable` where there is none that
    can be opened.
    """
    name = one_line(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise unreadable(f"{name}: no such {kind} file") from None
    except OSError as error:
        raise unreadable(f"{name}: no such {kind} file ({error.strerror})") from error
    except ValueError as error:  # NUL in a name
        said = f"{name}: no such {kind} file; no file can have this name ({error})"
        raise unreadable(said) from error
    if not stat.S_ISREG(mode):
        raise unreadable(f"{name}: no such {kind} file; it is a folder, a pipe or a device")
    try:
        with open(path, "rb") as stream:
            return stream.read(4096)
    except OSError as error:
        said = f"{name}: cannot be opened ({error.strerror})"
        raise unreadable(f"{said}; make it readable for you") from error


def _with_length(path: str | os.PathLike) -> bytes | None:
    """An MP3 that announces its length, made of one that does not or announces less than it holds;
    else None.
    """
    with _mapped(path) as content:
        found = mp3_frames(content, most=MAX_SECONDS * 48_000 // 576)
        if not found or (found.announced is not None and found.frames <= found.announced + 2):
            return None
        return found.with_length(content)


def _ogg_seconds(path: str | os.PathLike) -> float:
    """How long an Ogg file lasts at least. Raises UnreadableSound where pages are missing or
    broken.
    """
    with _mapped(path) as content:
        try:
            return ogg_seconds(content)
        except Damaged as error:
            raise UnreadableSound(f"{one_line(path)}: {error}; replace the file") from error


@contextlib.contextmanager
def _mapped(path: str | os.PathLike) -> Iterator[mmap.mmap]:
    """The content of a file, read as it is looked at."""
    with (
        open(path, "rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        yield content


def reason_of(error: Exception, head: bytes = b"\xff") -> str:
    """libsndfile's words, or better ones where they mislead."""
    text = str(error)
    if not any(head):
        return "it holds nothing but zeros"
    if is_text(head):
        return "it is text, not a sound"
    if "pipe?" in text or "System error" in text:
        return "no sound is found in it"
    own = re.sub(r"^Error opening .*: (?=[A-Z])", "", text, flags=re.DOTALL)
    return own.replace("\n", " ").strip()
