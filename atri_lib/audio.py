"""Sound files as the library hears them: one channel, 16 kHz, at most ten minutes."""

import contextlib
import functools
import io
import mmap
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import soundfile

from atri_lib import storage
from atri_lib.containers import is_one_mp3, is_one_ogg
from atri_lib.quiet import without_lines
from atri_lib.terminal import notice, one_line

SAMPLE_RATE = 16_000
LOUDEST = 100.0  # full scale is 1
MIN_SECONDS = 0.1
MAX_SECONDS = 600
HIGHEST_RATE = 192_000  # with MAX_SECONDS: at most 0.5 GB of samples, whatever a header says
# the mean's share of its channels' power from which on it counts as silent: -40 dB
_SILENT = 1e-4
# of libsndfile's formats; .mat and .raw hold other things than sounds
SUFFIXES = tuple(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .aifc "
    ".au .snd .caf .w64 .rf64 .voc .sph".split()
)
UNREAD_SUFFIXES = tuple(
    ".m4a .m4b .aac .mp4 .3gp .wma .webm .weba .mka .mkv "
    ".amr .ape .wv .tta .mpc .mp2 .ac3 .spx .ra".split()
)
_CONVERT = "convert it to WAV or FLAC, e.g. ffmpeg -i INPUT OUTPUT.wav"
# of libsndfile's log
_CUT = re.compile(r"^ ?(?:data|SSND)\s*: (\d+) \(should be \d+\)", re.MULTILINE)
_STREAMED = 0x7FFF0000  # lengths from here on mean: unknown when the header was written
_MP3 = (b"ID3", b"\xff")  # how one begins
# and its decoder's own lines
_MPG123 = (
    b"Note: ",
    b"Warning: ",
    b"[src/libmpg123",
    b"[libmpg123",
    b"[/",
    b"main: [src/libmpg123",
)
_FAR = 2**30  # bytes, or samples: more than any sound of ten minutes has
_MP3_DELAY = 529  # samples that the decoder is late


class UnreadableSound(ValueError):
    """An audio file that cannot be decoded, or holds what the library does not take; the message
    names it.
    """


def skipped(folder: str | os.PathLike) -> str:
    """One line for people that names the audio files below a folder whose format cannot be read
    (.m4a, ...), with their count and what to do; "" for none.
    """
    names = [one_line(path.name) for path in files_below(folder, UNREAD_SUFFIXES)]
    if not names:
        return ""
    return (
        f"sounds skipped, whose format cannot be read: {len(names)}, "
        f"such as {', '.join(names[:5])}; {_CONVERT}"
    )


def files_below(
    folder: str | os.PathLike, suffixes: tuple[str, ...] = SUFFIXES
) -> list[pathlib.Path]:
    """The files below a folder that end so, in either case, sorted, none hidden (macOS leaves
    "._name" beside a file). Without suffixes: the sounds that read_audio can read by their format.
    """
    found = []
    for path in sorted(pathlib.Path(folder).rglob("*")):
        hidden = "/." in f"/{path.relative_to(folder).as_posix()}"
        if path.suffix.lower() in suffixes and not hidden and not path.is_dir():
            found.append(path)
    return found


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """An audio file as float32 [samples], mixed to mono and resampled to 16 kHz.

    Raises UnreadableSound when the file is missing, no audio, damaged, cut short, or lasts less
    than 0.1 s or more than ten minutes, and for values that are not finite or above 100.
    """
    mono, rate = read_mono(path, least=MIN_SECONDS)
    return mono_16k(mono, rate)


def read_mono(
    path: str | os.PathLike, dtype: str = "float32", least: float = 0.0
) -> tuple[np.ndarray, int]:
    """An audio file of `least` seconds to ten minutes as [frames], channels averaged, and its own
    sample rate.

    Channels that cancel each other out in their mean (stereo with opposite sides) are not averaged:
    the first one that is heard is taken, and a notice on stderr says so.
    """
    with _opened(path, least) as (sound, stream):
        announced = 0 if _endless(sound) else sound.frames
        mono, channel = _mixed(sound, stream, dtype)
    rate = sound.samplerate
    if channel is not None:
        notice_once(
            f"{one_line(path)}: its channels cancel each other out; "
            f"channel {channel + 1} is taken, not their mean"
        )
        del mono  # read again: two copies of a long file would not fit
        with _opened(path, least) as opened:
            parts = [block[:, channel].copy() for block in _blocks(*opened, dtype)]
        mono = np.concatenate(parts)
    fault = _length_fault(len(mono), sound, least)
    if len(mono) < max(0.98 * announced, announced - MIN_SECONDS * rate):
        fault = f"cut short, {len(mono)} of {announced} samples are there; replace the file"
    if not np.abs(mono).max(initial=0) <= LOUDEST:  # also false for NaN
        fault = f"values that are not finite or above {LOUDEST:.0f}; full scale is 1"
    if fault:
        raise UnreadableSound(f"{one_line(path)}: {fault}")
    return mono, rate


@np.errstate(invalid="ignore", over="ignore")  # refused later, with a message
def _mixed(
    sound: soundfile.SoundFile, stream: io.FileIO, dtype: str
) -> tuple[np.ndarray, int | None]:
    """The mean over channels [frames], and the channel to take in its place, if any."""
    parts = [np.zeros(0, dtype)]
    sums = np.zeros((2, sound.channels + 1))  # of the channels and their mean, and of their squares
    for block in _blocks(sound, stream, dtype):
        mean = block.mean(axis=1)
        heard = np.column_stack([block, mean]).astype(float)
        sums += heard.sum(axis=0), np.square(heard).sum(axis=0)
        parts.append(mean)
    mono = np.concatenate(parts)
    means, squares = sums / max(1, len(mono))
    return mono, _instead_of_mean(squares - np.square(means))


def _instead_of_mean(power: np.ndarray) -> int | None:
    """The first channel of at least half the loudest one's power if the mean, the last of them, is
    nearly silent beside it.
    """
    loudest = power[:-1].max()
    if not power[-1] < _SILENT * loudest or loudest < 1e-12:
        return None
    return int(np.argmax(power >= loudest / 2))


def check_header(path: str | os.PathLike) -> None:
    """Raises what read_audio does as far as the file's header, and the end of an Ogg file, tell."""
    with _opened(path, MIN_SECONDS):
        pass


notice_once = functools.lru_cache(maxsize=4096)(notice)


class _EndlessFile(io.FileIO):
    """A file that says it is longer than it is.

    By the length of a file and its first frame mpg123 estimates how long an MP3 is that does not
    say so, and reads no further; of this one it reads all.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        end = offset == 0 and whence == os.SEEK_END
        return super().seek(4 * _FAR if end else offset, whence)


@contextlib.contextmanager
def _opened(
    path: str | os.PathLike, least: float
) -> Iterator[tuple[soundfile.SoundFile, io.FileIO]]:
    """A file of at least so many seconds by its header, ready to be read, and its bytes. Raises
    UnreadableSound, also where reading fails.
    """
    head = b""
    try:
        with open(storage.regular(path), "rb") as stream:
            head = stream.read(20)
        mp3 = head.startswith(_MP3)
        quiet = without_lines(*_MPG123) if mp3 else contextlib.nullcontext()
        kind = _EndlessFile if mp3 else io.FileIO
        with quiet, kind(path) as stream, soundfile.SoundFile(stream) as sound:
            fault = _fault(sound, stream)
            if not fault and not _endless(sound):
                fault = _length_fault(sound.frames, sound, least)
            if fault:
                raise UnreadableSound(f"{one_line(path)}: {fault}")
            yield sound, stream
    except UnreadableSound:
        raise
    # ValueError: NUL in a name; TypeError: a file named .raw
    except (OSError, ValueError, TypeError, soundfile.SoundFileError) as error:
        # what libsndfile says is often misleading
        reason = error if isinstance(error, (OSError, ValueError)) else f"it begins {head!r}"
        raise UnreadableSound(
            f"{one_line(path)}: cannot be read as audio to its end ({one_line(reason)}); "
            f"fetch it again, or {_CONVERT}"
        ) from error


def _endless(sound: soundfile.SoundFile) -> bool:
    """Whether it is an MP3 that does not say how long it is."""
    return sound.subtype == "MPEG_LAYER_III" and sound.frames > _FAR


def _most_frames(sound: soundfile.SoundFile) -> int:
    return MAX_SECONDS * min(sound.samplerate, HIGHEST_RATE)


def _length_fault(frames: int, sound: soundfile.SoundFile, least: float) -> str | None:
    """What is wrong with a length of so many samples, and what to do."""
    rate = sound.samplerate
    if frames > _most_frames(sound):
        return (
            f"{frames} samples at {rate} Hz, {MAX_SECONDS // 60} minutes are the most; "
            "cut it into clips, or convert it again"
        )
    if frames < least * rate:
        return f"{frames / rate:.3f} s of audio, {least} s is the least"
    return None


def _fault(sound: soundfile.SoundFile, stream: io.FileIO) -> str | None:
    """What a decoder would not notice: a file that was cut, or joined from several, and what to
    do.
    """
    cut = _CUT.search(sound.extra_info)
    if cut and int(cut[1]) < _STREAMED:
        return f"cut short, its header announces {cut[1]} bytes of sound; replace the file"
    check = {"OGG": is_one_ogg, "MP3": is_one_mp3}.get(sound.format)
    if not check:
        return None
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if check(content):
            return None
    return f"cut short, broken, or several sounds in one file; replace it, or {_CONVERT}"


def _blocks(sound: soundfile.SoundFile, stream: io.FileIO, dtype: str) -> Iterator[np.ndarray]:
    """A sound as [frames, channels], part by part, as far as it may go.

    Of an MP3 the last frame may be cut, and zeros may follow.
    """
    frames = 2**19 // max(8, sound.channels)
    late = _MP3_DELAY if _endless(sound) else 0
    mp3 = isinstance(stream, _EndlessFile)
    for _ in range(0, _most_frames(sound) + frames, frames):
        # as the decoder of MP3 writes: before an error, too
        block = np.full((frames + late, sound.channels), np.nan, "float32" if mp3 else dtype)
        try:
            count = len(sound.read(out=block))
        except soundfile.SoundFileError:
            if not mp3 or any(stream.read()):
                raise
            count = np.isfinite(block[:, 0]).sum()
        if not count:
            return
        yield block[late:count].astype(dtype, copy=False)
        late = 0


def write_audio(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Write float [samples] as 16 bits at 16 kHz, in the format of the path's suffix. Raises
    OSError.
    """
    content = io.BytesIO()
    kind = pathlib.Path(path).suffix.removeprefix(".")
    soundfile.write(content, samples, SAMPLE_RATE, subtype="PCM_16", format=kind)
    pathlib.Path(path).write_bytes(content.getvalue())  # says by itself that a disk is full


def mono_16k(mono: np.ndarray, rate: int) -> np.ndarray:
    """Float [frames] at `rate` Hz resampled to 16 kHz: [samples], of the same dtype.

    The rate is taken to the nearest 25 Hz (inaudible: 4 cents at 5.4 kHz, less above), because the
    resampling kernel of an odd one such as 44,101 Hz would need gigabytes.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    import torchaudio

    rate = max(25, round(rate / 25) * 25)
    return torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
