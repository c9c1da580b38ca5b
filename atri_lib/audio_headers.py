"""What a sound file says of itself before it is decoded, and what a decoder would not notice."""

import io
import mmap
import os
import re
import stat
from contextlib import AbstractContextManager, nullcontext

import soundfile

from atri_lib.containers import is_text, mp3_with_length, not_sound, ogg_fault
from atri_lib.quiet import without_lines
from atri_lib.terminal import one_line

MIN_SECONDS = 0.1
MAX_SECONDS = 600
HIGHEST_RATE = 192_000  # with MAX_SECONDS: at most 0.5 GB of samples, whatever a header says
# of libsndfile's log
_CUT = re.compile(r"^ ?(?:data|SSND)\s*: (\d+) \(should be \d+\)", re.MULTILINE)
_STREAMED = 0x7FFF0000  # lengths from here on mean: unknown when the header was written
_UNKNOWN_LENGTH = 2**63 - 1  # frames by libsndfile
_NO_MP3 = (b"RIFF", b"FORM", b"fLaC", b"OggS")
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


def check_header(path: str | os.PathLike, least: float = MIN_SECONDS) -> tuple:
    """soundfile's description of a file of at least so many seconds, and what soundfile is to read
    the samples from: the path, or an MP3 with its length put in.

    Raises what read_audio does as far as the description tells.
    """
    name = one_line(path)
    head = first_bytes(path, "audio", UnreadableSound)
    fault = not_sound(head)
    if head.startswith(b"OggS"):
        fault = ogg_fault(_content(path))
    if fault:
        raise UnreadableSound(f"{name}: {fault}")
    source = os.fsencode(path)
    try:
        with quiet(not head.startswith(_NO_MP3)):
            header = soundfile.info(source, verbose=True)
            if header.format == "MP3" and header.subtype == "MPEG_LAYER_III":
                mended = mp3_with_length(_content(path))
                if mended:
                    source = io.BytesIO(mended)
                    header = soundfile.info(source, verbose=True)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a file named .raw
        said = f"{name}: cannot be read as audio ({reason_of(error, head)})"
        raise UnreadableSound(f"{said}; convert it to WAV or FLAC") from error
    if fault := _fault(header, least):
        raise UnreadableSound(f"{name}: {fault}")
    return header, source


def quiet(mp3: bool) -> AbstractContextManager:
    """Without mpg123's own lines on stderr where a file may come into its hands."""
    return without_lines(*_MPG123) if mp3 else nullcontext()


def _content(path: str | os.PathLike) -> mmap.mmap:
    """The content of a file, read as it is looked at."""
    with open(path, "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _fault(header, least: float) -> str | None:
    """What is wrong with a file by soundfile's description of it, and what to do, or None."""
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
    return None


def first_bytes(path: str | os.PathLike, kind: str, unreadable: type[Exception]) -> bytes:
    """The first bytes of an "audio" or "image" file. Raises `unreadable` where there is none that
    can be opened.
    """
    absent = f"{one_line(path)}: no such {kind} file"
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: NUL in a name
        raise unreadable(f"{absent} ({getattr(error, 'strerror', error)})") from error
    if not stat.S_ISREG(mode):
        raise unreadable(f"{absent}; it is a folder, a pipe or a device")
    try:
        with open(path, "rb") as stream:
            return stream.read(4096)
    except OSError as error:
        said = f"{one_line(path)}: cannot be opened ({error.strerror})"
        raise unreadable(f"{said}; make it readable for you") from error


def reason_of(error: Exception, head: bytes = b"\xff") -> str:
    """libsndfile's words, or better ones where they mislead. head: how the file begins."""
    if not any(head):
        return "it holds nothing but zeros"
    if is_text(head):
        return "it is text, not a sound"
    text = getattr(error, "error_string", str(error))
    if "pipe?" in text or "System error" in text:
        return "no sound is found in it"
    return text.replace("\n", " ").strip()
