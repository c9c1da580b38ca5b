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
from atri_lib.quiet import without_lines
from atri_lib.terminal import notice, one_line

SAMPLE_RATE = 16_000
LOUDEST = 100.0  # full scale is 1
MIN_SECONDS = 0.1
MAX_SECONDS = 600
MAX_SAMPLES = 2**27  # of their mean: 0.5 GB, whatever a header says
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
# of libsndfile's log: fewer bytes than announced (a length of 2 or 4 GiB means: unknown when the
# header was written), an Ogg page that is cut, damaged or missing
_BROKEN = re.compile(
    r"^ ?(data|SSND)\s*: (?!(2147|4294)\d{6} )\d+ \(should be"
    "|Junk after the last page|Skipped .* looking for the next page|reports a hole",
    re.MULTILINE,
)
# what begins and ends a stream of Ogg pages; what begins a FLAC; what says how long an MP3 is
_MARKS = {
    "FLAC": rb"(fLaC)[\0\x80]\0\0\x22",
    "OGG": rb"OggS\0([\2\4-\7])",
    "MP3": rb"\xff[\xe2-\xfb].{2,4}\0{9,32}(Xing|Info)",
}
_WHOLE = (b"\2\4", b"\2\5", b"fLaC", b"", b"Xing", b"Info")
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
    found = sorted(pathlib.Path(folder).rglob("*"))
    shown = [path for path in found if "/." not in f"/{path.relative_to(folder).as_posix()}"]
    return [path for path in shown if path.suffix.lower() in suffixes and not path.is_dir()]


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """An audio file as float32 [samples], mixed to mono and resampled to 16 kHz.

    Raises UnreadableSound when the file is missing, no audio, damaged, cut short, or lasts less
    than 0.1 s or more than ten minutes, and for values that are not finite or above 100.
    """
    return mono_16k(*read_mono(path, least=MIN_SECONDS))


@np.errstate(invalid="ignore", over="ignore")  # refused, with a message
def read_mono(
    path: str | os.PathLike,
    dtype: str = "float32",
    least: float = 0.0,
    channels: slice | list[int] = slice(None),
) -> tuple[np.ndarray, int]:
    """An audio file of `least` seconds to ten minutes as [frames], some channels averaged, and its
    own sample rate.

    Channels that cancel each other out in their mean (stereo with opposite sides) are not averaged:
    the first one that is heard is taken, and a notice on stderr says so.
    """
    parts = [np.zeros(0, dtype)]
    with _opened(path, least) as sound:
        powers = np.zeros(sound.channels + 1)  # of the mean, too
        for block in _blocks(sound, dtype):
            parts.append(block[:, channels].mean(axis=1))
            heard = np.column_stack([block, parts[-1]])
            powers += len(block) * heard.var(axis=0, dtype=float)
        mono = np.concatenate(parts)
        _check_length(len(mono), sound, least)
        announced = 0 if _endless(sound) else sound.frames
        if len(mono) < max(0.98 * announced, announced - MIN_SECONDS * sound.samplerate):
            raise ValueError(f"cut short, {len(mono)} of {announced} samples are there")
        if not np.abs(mono).max(initial=0) <= LOUDEST:  # also false for NaN
            said = f"values that are not finite or above {LOUDEST:.0f}; full scale is 1"
            raise UnreadableSound(said)
    loudest = powers[:-1].max()
    if not powers[-1] < _SILENT * loudest or loudest < 1e-12 * len(mono):
        return mono, sound.samplerate
    channel = int(np.argmax(powers >= loudest / 2))
    notice_once(
        f"{one_line(path)}: its channels cancel each other out; "
        f"channel {channel + 1} is taken, not their mean"
    )
    del mono, parts  # two copies of a long file would not fit
    return read_mono(path, dtype, least, [channel])


def _blocks(sound: soundfile.SoundFile, dtype: str) -> Iterator[np.ndarray]:
    """A sound as [frames, channels], part by part, as far as it may go."""
    size = 2**19 // max(8, sound.channels)
    late = _MP3_DELAY if _endless(sound) else 0
    for _ in range(0, _most_frames(sound) + size, size):
        # where a part ends changes the last bit of an MP3
        block = sound.read(size + late, dtype, always_2d=True)[late:]
        if not len(block):
            return
        yield block
        late = 0


def check_header(path: str | os.PathLike) -> None:
    """Raises what read_audio does as far as a header tells; an Ogg file has none for all its pages,
    and is decoded.
    """
    with _opened(path, MIN_SECONDS) as sound:
        for _ in _blocks(sound, "float32") if sound.format == "OGG" else ():
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
def _opened(path: str | os.PathLike, least: float) -> Iterator[soundfile.SoundFile]:
    """A file of at least so many seconds by its header, ready to be read. Raises UnreadableSound,
    also for what goes wrong while it is open.
    """
    head = b""
    try:
        with open(storage.regular(path), "rb") as stream:
            head = stream.read(20)
        mp3 = head.startswith(_MP3)
        quiet = without_lines(*_MPG123) if mp3 else contextlib.nullcontext()
        kind = _EndlessFile if mp3 else io.FileIO
        with quiet, kind(path) as stream, soundfile.SoundFile(stream) as sound:
            if sound.format in _MARKS:
                with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    marks = re.findall(_MARKS[sound.format], content, re.DOTALL)
                if b"".join(marks) not in _WHOLE:
                    raise ValueError("cut short, or several sounds in one file")
            if not _endless(sound):
                _check_length(sound.frames, sound, least)
            yield sound
            if _BROKEN.search(sound.extra_info):
                raise ValueError("cut short or broken")
    except UnreadableSound as error:
        raise UnreadableSound(f"{one_line(path)}: {error}") from error
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
    return min(MAX_SECONDS * sound.samplerate, MAX_SAMPLES)


def _check_length(frames: int, sound: soundfile.SoundFile, least: float) -> None:
    """Raises UnreadableSound, without the path, for a length of so many samples."""
    rate = sound.samplerate
    if frames > _most_frames(sound):
        said = f"{frames} samples at {rate} Hz, {MAX_SECONDS // 60} minutes are the most"
        raise UnreadableSound(f"{said}; cut it into clips")
    if frames < least * rate:
        raise UnreadableSound(f"{frames / rate:.3f} s of audio, {least} s is the least")


def write_audio(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Write float [samples] as FLAC of 16 bits at 16 kHz. Raises OSError."""
    content = io.BytesIO()
    soundfile.write(content, samples, SAMPLE_RATE, "PCM_16", format="FLAC")
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
