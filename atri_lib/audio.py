"""Sound files as the library hears them: one channel, 16 kHz, at most ten minutes, read in
blocks.
"""

import errno
import functools
import io
import mmap
import os
import pathlib
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import soundfile

from atri_lib.channels import ChannelPower
from atri_lib.containers import Damaged, after_id3, is_text, mp3_frames, ogg_seconds, what_it_is
from atri_lib.quiet import without_lines

SAMPLE_RATE = 16_000
MIN_SECONDS, MAX_SECONDS = 0.1, 600
HIGHEST_RATE = 192_000  # with MAX_SECONDS: at most 0.5 GB of samples, whatever a header says
LOUDEST = 100.0  # full scale is 1
# libsndfile's formats and how their files are named; .mat and .raw hold other things than sounds
_USUAL = {
    "WAV": (".wav", ".wave"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "AIFF": (".aif", ".aiff", ".aifc"),
    "AU": (".au", ".snd"),
    "CAF": (".caf",),
    "W64": (".w64",),
    "RF64": (".rf64",),
    "VOC": (".voc",),
    "NIST": (".sph",),
}
_FORMATS = soundfile.available_formats()
SUFFIXES = tuple(
    suffix for name, suffixes in _USUAL.items() if name in _FORMATS for suffix in suffixes
)
UNREADABLE_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".mp4", ".3gp", ".wma", ".webm", ".weba", ".mka", ".mkv"),
    *(".amr", ".ape", ".wv", ".tta", ".mpc", ".mp2", ".ac3", ".spx", ".ra"),
    *(suffix for name, suffixes in _USUAL.items() if name not in _FORMATS for suffix in suffixes),
)
CONVERT = "convert them to WAV or FLAC, e.g. ffmpeg -i INPUT OUTPUT.wav"
_CUT = re.compile(
    r"^ ?(?:data|SSND)\s*: (\d+) \(should be \d+\)", re.MULTILINE
)  # of libsndfile's log
_STREAMED = 0x7FFF0000  # lengths from here on mean: unknown when the header was written
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


def sound_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The audio files below a folder, sorted; hidden ones are none (macOS leaves "._name" beside a
    file).
    """
    return _files(folder, SUFFIXES)


def unreadable_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The audio files below a folder that read_audio cannot read by their format (.m4a, ...),
    sorted, none hidden.

    For a list of what was skipped: see `skipped`.
    """
    return _files(folder, UNREADABLE_SUFFIXES)


def skipped(files: list[pathlib.Path]) -> str:
    """One line for people that names files of unreadable formats, with their count and what to do;
    "" for none.
    """
    if not files:
        return ""
    named = ", ".join(shown(path.name) for path in files[:5])
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    count = "1 sound is" if len(files) == 1 else f"{len(files)} sounds are"
    return f"{count} skipped, their format cannot be read: {named}{more}; {CONVERT}"


def readable(path: str | os.PathLike) -> bool:
    """Whether read_audio knows the format that a file's name ends in."""
    return pathlib.Path(path).suffix.lower() in SUFFIXES


def shown(path: str | os.PathLike) -> str:
    """A path as one line of printable characters: others as escapes, also bytes of a name that is
    not UTF-8.
    """
    text = os.fsdecode(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _files(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> list[pathlib.Path]:
    folder = pathlib.Path(folder)
    found = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in suffixes and not hidden and not path.is_dir():
            found.append(path)
    return found


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """An audio file as float32 [samples], mixed to mono and resampled to 16 kHz.

    Raises UnreadableSound when the file is missing, no audio, damaged, cut short, or lasts less
    than 0.1 s or more than ten minutes, and for values that are not finite or above 100.
    """
    return mono_16k(*read_mono(path, least=MIN_SECONDS))


def read_mono(
    path: str | os.PathLike, dtype: str = "float32", least: float = 0.0
) -> tuple[np.ndarray, int]:
    """An audio file of `least` seconds to ten minutes as [frames], channels averaged, and its own
    sample rate.

    Channels that cancel each other out in their mean (stereo with opposite sides) are not averaged:
    the first one that is heard is taken, and a notice on stderr says so.
    """
    header, opened = _checked(path, least)
    try:
        with opened.quiet():
            mono, channel = _mixed(opened.source, header.channels, dtype)
    except soundfile.SoundFileError as error:
        raise UnreadableSound(
            f"{shown(path)}: broken audio ({_reason(error)}); replace the file"
        ) from error
    if channel is not None:
        _say_once(
            f"{shown(path)}: its channels cancel each other out; channel {channel + 1} is taken, not their mean"
        )
    if len(mono) < max(0.98 * header.frames, least * header.samplerate):
        raise UnreadableSound(
            f"{shown(path)}: cut short, {len(mono)} of {header.frames} samples are there; replace the file"
        )
    if not np.abs(mono).max(initial=0) <= LOUDEST:  # also false for NaN
        raise UnreadableSound(
            f"{shown(path)}: values that are not finite or above {LOUDEST:.0f}; full scale is 1"
        )
    return mono, header.samplerate


def _mixed(source: bytes | io.BytesIO, channels: int, dtype: str) -> tuple[np.ndarray, int | None]:
    """The mean over channels [frames] and None, or the channel that stands for it, and its
    number.
    """
    parts, power = [np.zeros(0, dtype)], ChannelPower(channels)
    for block in _blocks(source, dtype):
        with np.errstate(invalid="ignore", over="ignore"):  # refused later, with a message
            mean = block.mean(axis=1)
        if channels > 1:
            power.add(block, mean)
        parts.append(mean)
    channel = power.instead_of_mean()
    if channel is not None:
        parts = [np.zeros(0, dtype)]  # read again: two copies of a long file would not fit
        parts += [block[:, channel].copy() for block in _blocks(source, dtype)]
    return np.concatenate(parts), channel


def _blocks(source: bytes | io.BytesIO, dtype: str) -> Iterator[np.ndarray]:
    """A sound as [frames, channels], part by part."""
    if isinstance(source, io.BytesIO):
        source.seek(0)
    with soundfile.SoundFile(source) as stream:
        frames = 2**16 if stream.channels <= 8 else max(1, 2**19 // stream.channels)
        while len(block := stream.read(frames, dtype, always_2d=True)):
            yield block


@functools.lru_cache(maxsize=4096)
def _say_once(notice: str) -> None:
    print(f"Notice: {notice}", file=sys.stderr)


def write_audio(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Write float [samples] as 16 bits at 16 kHz, in the format of the path's suffix. Raises
    OSError.
    """
    try:
        soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
    except (
        soundfile.SoundFileError,
        AssertionError,
    ) as error:  # the assertion: fewer samples were written than given
        full = shutil.disk_usage(pathlib.Path(path).parent).free < 4 * len(samples)
        raise OSError(
            errno.ENOSPC if full else errno.EIO, "disk full" if full else str(error), str(path)
        ) from error


def mono_16k(mono: np.ndarray, rate: int) -> np.ndarray:
    """Float [frames] at `rate` Hz resampled to 16 kHz: [samples], of the same dtype.

    The rate is taken to the nearest 25 Hz (inaudible: 4 cents at 5.4 kHz, less above), because the
    resampling kernel of an odd one such as 44,101 Hz would need gigabytes.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    import torchaudio

    rate = max(25, round(rate / 25) * 25)
    return torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()


def check_header(path: str | os.PathLike, least: float = MIN_SECONDS):
    """soundfile's description of a file of at least so many seconds. Raises what read_audio does as
    far as it tells.
    """
    return _checked(path, least)[0]


@dataclass(frozen=True)
class _Opened:
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


def _checked(path: str | os.PathLike, least: float):
    """What check_header returns, and what to read the samples from."""
    name = shown(path)
    head = _head(path)
    opened = _Opened(os.fsencode(path), head)
    least_seconds = _ogg_seconds(path) if head[after_id3(head) :].startswith(b"OggS") else 0.0
    try:
        with opened.quiet():
            header = soundfile.info(opened.source, verbose=True)
            if header.format == "MP3" and (mended := _with_length(path)):
                opened = _Opened(io.BytesIO(mended), head)
                header = soundfile.info(opened.source, verbose=True)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a file named .raw
        reason = _reason(error, head)
        raise UnreadableSound(
            f"{name}: cannot be read as audio ({reason}); convert it to WAV or FLAC"
        ) from error
    if header.frames == 2**63 - 1:
        raise UnreadableSound(f"{name}: its header does not say how long it is; convert it again")
    if header.frames > MAX_SECONDS * min(header.samplerate, HIGHEST_RATE):
        raise UnreadableSound(
            f"{name}: {header.frames} samples at {header.samplerate} Hz by its header; "
            f"{MAX_SECONDS // 60} minutes are the most, cut it into clips"
        )
    if (cut := _CUT.search(header.extra_info)) and int(cut[1]) < _STREAMED:
        raise UnreadableSound(
            f"{name}: cut short, its header announces {cut[1]} bytes of sound; replace the file"
        )
    if (seconds := header.frames / header.samplerate) < least:
        raise UnreadableSound(f"{name}: {seconds:.3f} s of audio, {least} s is the least")
    if 0.98 * least_seconds > seconds:
        raise UnreadableSound(
            f"{name}: {seconds:.1f} of {least_seconds:.1f} s can be decoded (several streams?); convert it again"
        )
    return header, opened


def _head(path: str | os.PathLike) -> bytes:
    """The first bytes of a file. Raises UnreadableSound where there is none, or one that is no
    sound at all.
    """
    name = shown(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise UnreadableSound(f"{name}: no such audio file") from None
    except OSError as error:
        raise UnreadableSound(f"{name}: no such audio file ({error.strerror})") from error
    except ValueError as error:  # NUL in a name
        raise UnreadableSound(
            f"{name}: no such audio file; no file can have this name ({error})"
        ) from error
    if not stat.S_ISREG(mode):
        raise UnreadableSound(f"{name}: no such audio file; it is a folder, a pipe or a device")
    try:
        with open(path, "rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise UnreadableSound(
            f"{name}: cannot be opened ({error.strerror}); make it readable for you"
        ) from error
    if kind := what_it_is(head):
        raise UnreadableSound(f"{name}: is {kind}")
    return head


def _with_length(path: str | os.PathLike) -> bytes | None:
    """An MP3 that announces its length, made of one that does not or announces less than it holds;
    else None.
    """
    with (
        open(path, "rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        found = mp3_frames(content, most=MAX_SECONDS * 48_000 // 576)
        if not found or (found.announced is not None and found.frames <= found.announced + 2):
            return None
        return found.with_length(content)


def _ogg_seconds(path: str | os.PathLike) -> float:
    """How long an Ogg file lasts at least. Raises UnreadableSound where pages are missing or
    broken.
    """
    with (
        open(path, "rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        try:
            return ogg_seconds(content)
        except Damaged as error:
            raise UnreadableSound(f"{shown(path)}: {error}; replace the file") from error


def _reason(error: Exception, head: bytes = b"\xff") -> str:
    """libsndfile's words, or better ones where they mislead."""
    text = str(error)
    if not any(head):
        return "it holds nothing but zeros"
    if is_text(head):
        return "it is text, not a sound"
    if "pipe?" not in text and "System error" not in text:
        return (
            re.sub(r"^Error opening .*: (?=[A-Z])", "", text, flags=re.DOTALL)
            .replace("\n", " ")
            .strip()
        )
    return "no sound is found in it"
