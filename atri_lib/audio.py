"""Sound files as the library hears them: one channel, 16 kHz, at most ten minutes, read in
blocks.
"""

import errno
import functools
import io
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator

import numpy as np
import soundfile

from atri_lib.audio_headers import MIN_SECONDS, UnreadableSound, checked, reason_of
from atri_lib.channels import ChannelPower
from atri_lib.terminal import one_line

SAMPLE_RATE = 16_000
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
_OTHERS = (
    ".m4a .m4b .aac .mp4 .3gp .wma .webm .weba .mka .mkv .amr .ape .wv .tta .mpc .mp2 .ac3 .spx .ra"
)
UNREADABLE_SUFFIXES = (
    *_OTHERS.split(),
    *(suffix for name, suffixes in _USUAL.items() if name not in _FORMATS for suffix in suffixes),
)
CONVERT = "convert them to WAV or FLAC, e.g. ffmpeg -i INPUT OUTPUT.wav"


def sound_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The audio files below a folder, sorted; hidden ones are none (macOS leaves "._name" beside a
    file).
    """
    return files_below(folder, SUFFIXES)


def unreadable_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The audio files below a folder that read_audio cannot read by their format (.m4a, ...),
    sorted, none hidden.

    For a list of what was skipped: see `skipped`.
    """
    return files_below(folder, UNREADABLE_SUFFIXES)


def skipped(files: list[pathlib.Path]) -> str:
    """One line for people that names files of unreadable formats, with their count and what to do;
    "" for none.
    """
    if not files:
        return ""
    named = ", ".join(one_line(path.name) for path in files[:5])
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    count = "1 sound is" if len(files) == 1 else f"{len(files)} sounds are"
    return f"{count} skipped, their format cannot be read: {named}{more}; {CONVERT}"


def files_below(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> list[pathlib.Path]:
    """The files below a folder that end so, in either case, sorted, none hidden."""
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
    header, opened = checked(path, least)
    try:
        with opened.quiet():
            mono, channel = _mixed(opened.source, header.channels, dtype)
    except soundfile.SoundFileError as error:
        said = f"{name}: broken audio ({reason_of(error)})"
        raise UnreadableSound(f"{said}; replace the file") from error
    if channel is not None:
        said = f"{name}: its channels cancel each other out"
        _say_once(f"{said}; channel {channel + 1} is taken, not their mean")
    if len(mono) < max(0.98 * header.frames, least * header.samplerate):
        said = f"{name}: cut short, {len(mono)} of {header.frames} samples are there"
        raise UnreadableSound(f"{said}; replace the file")
    if not np.abs(mono).max(initial=0) <= LOUDEST:  # also false for NaN
        said = f"{name}: values that are not finite or above {LOUDEST:.0f}"
        raise UnreadableSound(f"{said}; full scale is 1")
    return mono, header.samplerate


def _mixed(source: bytes | io.BytesIO, channels: int, dtype: str) -> tuple[np.ndarray, int | None]:
    """The mean over channels [frames] and None, or the channel that stands for it, and its
    number.
    """
    parts = [np.zeros(0, dtype)]
    power = ChannelPower(channels)
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
    # AssertionError: fewer samples were written than given
    except (soundfile.SoundFileError, AssertionError) as error:
        free = shutil.disk_usage(pathlib.Path(path).parent).free
        if free < 4 * len(samples):
            raise OSError(errno.ENOSPC, "disk full", str(path)) from error
        raise OSError(errno.EIO, str(error), str(path)) from error


def mono_16k(mono: np.ndarray, rate: int) -> np.ndarray:
    """Float [frames] at `rate` Hz resampled to 16 kHz: [samples], of the same dtype.

    The rate is taken to the nearest 25 Hz (inaudible: 4 cents at 5.4 kHz, less above), because the
    resampling kernel of an odd one such as 44,101 Hz would need gigabytes.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    import torchaudio

    rate = max(25, round(rate / 25) * 25)
    return torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()
