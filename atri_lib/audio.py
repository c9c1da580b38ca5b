"""Sound files as the library hears them: one channel, 16 kHz, at most ten minutes, read in
blocks.
"""

import errno
import functools
import io
import os
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
import soundfile

from atri_lib.audio_headers import MIN_SECONDS, UnreadableSound, check_header, quiet, reason_of
from atri_lib.terminal import notice, one_line

SAMPLE_RATE = 16_000
LOUDEST = 100.0  # full scale is 1
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


def skipped(folder: str | os.PathLike) -> str:
    """One line for people that names the audio files below a folder whose format cannot be read
    (.m4a, ...), with their count and what to do; "" for none.
    """
    names = [one_line(path.name) for path in files_below(folder, UNREAD_SUFFIXES)]
    if not names:
        return ""
    named = ", ".join(names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    count = "1 sound is" if len(names) == 1 else f"{len(names)} sounds are"
    said = f"{count} skipped, their format cannot be read: {named}{more}"
    return f"{said}; convert them to WAV or FLAC, e.g. ffmpeg -i INPUT OUTPUT.wav"


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
    name = one_line(path)
    header, source = check_header(path, least)
    try:
        with quiet(header.format == "MP3"):
            mono, channel = _mixed(source, header.channels, dtype)
    except soundfile.SoundFileError as error:
        said = f"{name}: broken audio ({reason_of(error)})"
        raise UnreadableSound(f"{said}; replace the file") from error
    if channel is not None:
        said = f"{name}: its channels cancel each other out"
        _notice_once(f"{said}; channel {channel + 1} is taken, not their mean")
    if len(mono) < max(0.98 * header.frames, least * header.samplerate):
        said = f"{name}: cut short, {len(mono)} of {header.frames} samples are there"
        raise UnreadableSound(f"{said}; replace the file")
    if not np.abs(mono).max(initial=0) <= LOUDEST:  # also false for NaN
        said = f"{name}: values that are not finite or above {LOUDEST:.0f}"
        raise UnreadableSound(f"{said}; full scale is 1")
    return mono, header.samplerate


_notice_once = functools.lru_cache(maxsize=4096)(notice)


@np.errstate(invalid="ignore", over="ignore")  # refused later, with a message
def _mixed(source: bytes | io.BytesIO, channels: int, dtype: str) -> tuple[np.ndarray, int | None]:
    """The mean over channels [frames] and None, or the channel that stands for it, and its
    number.
    """
    parts = [np.zeros(0, dtype)]
    sums = np.zeros((2, channels + 1))  # of the channels and their mean, and of their squares
    for block in _blocks(source, dtype):
        mean = block.mean(axis=1)
        if channels > 1:
            heard = np.column_stack([block, mean]).astype(float)
            sums += heard.sum(axis=0), np.square(heard).sum(axis=0)
        parts.append(mean)
    mono = np.concatenate(parts)
    means, squares = sums / max(1, len(mono))
    channel = _instead_of_mean(squares - np.square(means))
    if channel is None:
        return mono, None
    del mono, parts  # read again: two copies of a long file would not fit
    parts = [block[:, channel].copy() for block in _blocks(source, dtype)]
    return np.concatenate(parts), channel


def _instead_of_mean(power: np.ndarray) -> int | None:
    """The first channel of at least half the loudest one's power if the mean, the last of them, is
    nearly silent beside it.
    """
    loudest = power[:-1].max()
    if not power[-1] < _SILENT * loudest or loudest < 1e-12:
        return None
    return int(np.argmax(power >= 0.5 * loudest))


def _blocks(source: bytes | io.BytesIO, dtype: str) -> Iterator[np.ndarray]:
    """A sound as [frames, channels], part by part."""
    with soundfile.SoundFile(source) as stream:
        frames = 2**19 // max(8, stream.channels)
        while len(block := stream.read(frames, dtype, always_2d=True)):
            yield block


def write_audio(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Write float [samples] as 16 bits at 16 kHz, in the format of the path's suffix. Raises
    OSError.
    """
    try:
        soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
    # AssertionError: fewer samples were written than given
    except (soundfile.SoundFileError, AssertionError) as error:
        full = shutil.disk_usage(pathlib.Path(path).parent).free < 4 * len(samples)
        number, said = (errno.ENOSPC, "disk full") if full else (errno.EIO, str(error))
        raise OSError(number, said, str(path)) from error


def mono_16k(mono: np.ndarray, rate: int) -> np.ndarray:
    """Float [frames] at `rate` Hz resampled to 16 kHz: [samples], of the same dtype.

    The rate is taken to the nearest 25 Hz (inaudible: 4 cents at 5.4 kHz, less above), because the
    resampling kernel of an odd one such as 44,101 Hz would need gigabytes.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    import torchaudio

    rate = max(25, round(rate / 25) * 25)
    return torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
