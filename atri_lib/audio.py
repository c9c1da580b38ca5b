"""Sound files as the library hears them: one channel, 16 kHz, at most ten minutes."""

import contextlib
import functools
import io
import mmap
import os
import pathlib
import re
import zlib
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
MOST_SAMPLES = MAX_SECONDS * 192_000  # of all channels together
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
_MPG123 = (b"Note: ", b"Warning: ", b"[", b"main: [src/libmpg123")  # and its decoder's own lines
_FAR = 2**30  # bytes, or samples: more than any sound of ten minutes has
_MP3_DELAY = 529  # samples that the decoder is late
# in a frame of an MP3 that says how long it is
_LENGTH = re.compile(rb"(?:Xing|Info)\0\0\0[\1-\17]")
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


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
    with _opened(path, least) as sound:
        announced = 0 if _endless(sound) else sound.frames
        empty = np.zeros((0, sound.channels), dtype)
        samples = np.concatenate([empty, *_blocks(sound, dtype)])
    rate = sound.samplerate
    fault = _length_fault(len(samples), sound, least)
    if len(samples) < max(0.98 * announced, announced - MIN_SECONDS * rate):
        fault = f"cut short, {len(samples)} of {announced} samples are there; replace the file"
    if not np.abs(samples).max(initial=0) <= LOUDEST:  # also false for NaN
        fault = f"values that are not finite or above {LOUDEST:.0f}; full scale is 1"
    if fault:
        raise UnreadableSound(f"{one_line(path)}: {fault}")
    mono = samples.mean(axis=1)
    channel = _instead_of_mean(samples, mono)
    if channel is not None:
        notice_once(
            f"{one_line(path)}: its channels cancel each other out; "
            f"channel {channel + 1} is taken, not their mean"
        )
        mono = samples[:, channel].copy()
    return mono, rate


def _instead_of_mean(samples: np.ndarray, mono: np.ndarray) -> int | None:
    """The first channel of at least half the loudest one's power if the mean is nearly silent
    beside it.
    """
    if not len(mono):
        return None
    powers = np.array([np.var(channel, dtype=float) for channel in samples.T])
    if np.var(mono, dtype=float) < _SILENT * powers.max():
        return int(np.argmax(powers >= powers.max() / 2))
    return None


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
def _opened(path: str | os.PathLike, least: float) -> Iterator[soundfile.SoundFile]:
    """A file of at least so many seconds by its header, ready to be read. Raises UnreadableSound,
    also where reading fails.
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
            yield sound
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


def _length_fault(frames: int, sound: soundfile.SoundFile, least: float) -> str | None:
    """What is wrong with a length of so many samples, and what to do."""
    rate = sound.samplerate
    if frames > MAX_SECONDS * rate or frames * sound.channels > MOST_SAMPLES:
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
    if sound.format in ("OGG", "MP3"):
        ogg = sound.format == "OGG"
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            sounds = _ogg_streams(content) if ogg else len(_LENGTH.findall(content)) or 1
        if sounds != 1:
            return f"cut short, broken, or several sounds in one file; replace it, or {_CONVERT}"
    return None


def _ogg_streams(content: mmap.mmap) -> int:
    """How many streams an Ogg file holds; 0 where a page is broken, or the last one does not end
    its stream.
    """
    count = place = flags = 0
    while content[place : place + 4] == b"OggS":
        body = place + 27 + int.from_bytes(content[place + 26 : place + 27])
        end = body + sum(content[place + 27 : body])
        page = content[place:end]
        # the CRC-32 of zlib, with the bits of every byte and of the result in the other order
        blank = page[:22] + bytes(4) + page[26:]
        crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        if crc.to_bytes(4).translate(_REVERSED) != page[22:26]:
            return 0
        flags = page[5]
        count += flags >> 1 & 1
        place = end
    return count if flags & 4 else 0


def _blocks(sound: soundfile.SoundFile, dtype: str) -> Iterator[np.ndarray]:
    """A sound as [frames, channels], part by part, as far as it may go."""
    frames = 2**19 // max(8, sound.channels)
    late = _MP3_DELAY if _endless(sound) else 0
    for _ in range(0, MOST_SAMPLES, frames * sound.channels):
        block = sound.read(frames + late, dtype, always_2d=True)
        if not len(block):
            return
        yield block[late:]
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
