"""Sound files as the library hears them: one channel, 16 kHz, at most ten minutes, read in blocks."""

import errno
import os
import pathlib
import re
import shutil

import numpy as np
import soundfile

SAMPLE_RATE = 16_000
MIN_SECONDS, MAX_SECONDS = 0.1, 600
HIGHEST_RATE = 192_000  # with MAX_SECONDS: at most 0.5 GB of samples, whatever a header says
LOUDEST = 100.0  # full scale is 1
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_CUT = re.compile(r"^ ?(?:data|SSND)\s*: (\d+) \(should be \d+\)", re.MULTILINE)  # of libsndfile's log
_STREAMED = 0x7FFF0000  # lengths from here on mean: unknown when the header was written


class UnreadableSound(ValueError):
    """An audio file that cannot be decoded, or holds what the library does not take; the message names it."""


def sound_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The audio files below a folder, sorted; hidden ones are none (macOS leaves "._name" beside a file)."""
    found = sorted(pathlib.Path(folder).rglob("*"))
    return [path for path in found if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """An audio file as float32 [samples], mixed to mono and resampled to 16 kHz.

    Raises UnreadableSound when the file is missing, no audio, damaged, cut short, or lasts less than 0.1 s or more
    than ten minutes, and for values that are not finite or above 100.
    """
    return mono_16k(*read_mono(path, least=MIN_SECONDS))


def read_mono(path: str | os.PathLike, dtype: str = "float32", least: float = 0.0) -> tuple[np.ndarray, int]:
    """An audio file of `least` seconds to ten minutes as [frames], channels averaged, and its own sample rate."""
    header = check_header(path, least)
    parts = [np.zeros(0, dtype)]
    try:
        with soundfile.SoundFile(path) as stream:
            while len(block := stream.read(2**16, dtype, always_2d=True)):  # [frames, channels]
                parts.append(block.mean(axis=1))
    except soundfile.SoundFileError as error:
        raise UnreadableSound(f"{path}: broken audio ({error}); replace the file") from error
    mono = np.concatenate(parts)
    if len(mono) < max(0.98 * header.frames, least * header.samplerate):
        raise UnreadableSound(f"{path}: cut short, {len(mono)} of {header.frames} samples are there; replace the file")
    if not np.abs(mono).max(initial=0) <= LOUDEST:  # also false for NaN
        raise UnreadableSound(f"{path}: values that are not finite or above {LOUDEST:.0f}; full scale is 1")
    return mono, header.samplerate


def write_audio(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Write float [samples] as 16 bits at 16 kHz, in the format of the path's suffix. Raises OSError."""
    try:
        soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
    except (soundfile.SoundFileError, AssertionError) as error:  # the assertion: fewer samples were written than given
        full = shutil.disk_usage(pathlib.Path(path).parent).free < 4 * len(samples)
        raise OSError(errno.ENOSPC if full else errno.EIO, "disk full" if full else str(error), str(path)) from error


def mono_16k(mono: np.ndarray, rate: int) -> np.ndarray:
    """Float [frames] at `rate` Hz resampled to 16 kHz: [samples], of the same dtype.

    The rate is taken to the nearest 25 Hz (inaudible: 4 cents at 5.4 kHz, less above), because the resampling kernel
    of an odd one such as 44,101 Hz would need gigabytes.
    """
    import torch  # here: a decoded bank loads in a fraction of their import time
    import torchaudio

    rate = max(25, round(rate / 25) * 25)
    return torchaudio.functional.resample(torch.from_numpy(mono), rate, SAMPLE_RATE).numpy()


def check_header(path: str | os.PathLike, least: float = MIN_SECONDS):
    """soundfile's description of a file of at least so many seconds. Raises what read_audio does as far as it tells."""
    if not pathlib.Path(path).is_file():
        raise UnreadableSound(f"{path}: no such audio file")
    try:
        header = soundfile.info(path, verbose=True)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a file named .raw
        raise UnreadableSound(f"{path}: cannot be read as audio ({error}); convert it to WAV or FLAC") from error
    if header.frames > MAX_SECONDS * min(header.samplerate, HIGHEST_RATE):
        raise UnreadableSound(
            f"{path}: {header.frames} samples at {header.samplerate} Hz by its header; "
            f"{MAX_SECONDS // 60} minutes are the most, cut it into clips"
        )
    if (cut := _CUT.search(header.extra_info)) and int(cut[1]) < _STREAMED:
        raise UnreadableSound(f"{path}: cut short, its header announces {cut[1]} bytes of sound; replace the file")
    if (seconds := header.frames / header.samplerate) < least:
        raise UnreadableSound(f"{path}: {seconds:.3f} s of audio, {least} s is the least")
    return header
