"""Published checkpoints: found on disk or on the model hub, read without running code, loaded key
by key.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from atri_lib import storage

# A repository often holds the same weights twice: the first pattern that matches is used.
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin", "*.safetensors", "*.pt")
SETTINGS = ("*.json", "*.model", "*.txt", "*.spm")  # configuration, tokenizer
# Commits that are downloaded: of other ids the user names one. Add what you have looked up and
# tried.
REVISIONS = {"facebook/nllb-200-distilled-600M": "f8d333a098d19b4fd9a8b18f94170487ad3f821d"}


class ModelUnavailable(OSError):
    """A model that is neither on disk nor in the hub's cache, while the hub cannot be asked."""


class CheckpointError(ValueError):
    """Weights of another architecture or size: the message lists the keys."""


def model_path(model: str | os.PathLike) -> pathlib.Path:
    """A model's folder or weights file: a path that exists, else a hub id, owner/name or
    owner/name@COMMIT.

    An id is looked for in the hub's cache (HF_HOME names it). It is downloaded only when asked, by
    ATRI_HUB=1, and only at a commit: the id's own, or that of REVISIONS. ATRI_OFFLINE=1 and
    HF_HUB_OFFLINE=1 forbid downloads. Raises FileNotFoundError for a path that is not there,
    ModelUnavailable for an id that cannot be had.
    """
    path = pathlib.Path(model).expanduser()
    if path.exists():
        return path
    match = re.fullmatch(r"([\w-][\w.-]*/[\w.-]+?)(?:@([0-9a-f]{40}))?", str(model))
    if not match or path.suffix in (".pt", ".bin", ".safetensors"):
        raise FileNotFoundError(
            f"{model}: no such file or folder (and not a hub id, owner/name or owner/name@COMMIT)"
        )
    name = match[1]
    commit = match[2] or REVISIONS.get(name)
    why = _not_allowed(name, commit)
    with contextlib.suppress(FileNotFoundError):
        return _snapshot(name, commit, local_files_only=True)
    if not why:
        try:
            return _snapshot(name, commit, local_files_only=False)
        except (OSError, ValueError, RuntimeError) as error:
            why = f"the download failed ({str(error).splitlines()[0]})"
    from huggingface_hub import constants

    raise ModelUnavailable(
        f"{model}: no such folder, not in the hub's cache {constants.HF_HUB_CACHE}, and {why}. "
        f"Or run `hf download {name} --revision {commit or 'COMMIT'}` where the hub can be reached "
        "and copy its cache here (HF_HOME names it), or give the path of a local copy."
    )


def _not_allowed(name: str, commit: str | None) -> str | None:
    """Why a model may not be downloaded, or None."""
    for switch in ("ATRI_OFFLINE", "HF_HUB_OFFLINE"):
        if storage.switched_on(switch):
            return f"{switch} is set, which forbids the network"
    if not storage.switched_on("ATRI_HUB"):
        return "downloads are made only when asked: set ATRI_HUB=1"
    if not commit:
        return (
            f"no commit is pinned: give {name}@COMMIT (40 digits, from its page's history) "
            "or add it to hub.REVISIONS"
        )
    return None


def _snapshot(name: str, commit: str | None, local_files_only: bool) -> pathlib.Path:
    """The folder of a hub's model. Raises FileNotFoundError when it is not there or holds no
    weights.
    """
    from huggingface_hub import snapshot_download

    for weights in WEIGHTS:
        patterns = [*SETTINGS, weights]
        folder = pathlib.Path(
            snapshot_download(
                name,
                allow_patterns=patterns,
                revision=commit,
                local_files_only=local_files_only,
            )
        )
        if any(folder.glob(weights)):
            return folder
    raise FileNotFoundError("the repository holds no weights")


def read_state_dict(source: Mapping[str, Tensor] | str | os.PathLike) -> dict[str, Tensor]:
    """Tensors by key, on the CPU: from a mapping, a .safetensors, .bin or .pt file, a folder of
    them, or a hub id.

    Pickled files are read with weights_only=True; a mapping wrapped as {"model": ...} or
    {"state_dict": ...} is unwrapped. Raises CheckpointError for anything that holds no tensors.
    """
    if isinstance(source, Mapping):
        name, state = "the mapping", source
    else:
        name, state = source, {}
        for file in _weight_files(model_path(source)):
            state |= _read(file)
    for wrapper in ("model", "state_dict"):
        if isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    wrong = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong or not state:
        what = f"values that are no tensors: {_listed(wrong)}" if wrong else "it is empty"
        raise CheckpointError(f"{name}: not a state dict, {what}")
    return dict(state)


def _weight_files(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_file():
        return [path]
    for pattern in WEIGHTS:
        if files := sorted(path.glob(pattern)):
            return files
    raise CheckpointError(f"{path}: no weights here; expected one of {', '.join(WEIGHTS)}")


def _read(file: pathlib.Path) -> dict:
    try:
        storage.regular(file)
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # safetensors and the unpickler each have their own types
        raise CheckpointError(
            f"{file}: cannot be read as plain tensors; it is damaged, or not weights"
        ) from error


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Copy a state dict into a module that has exactly its keys and shapes; else check_fit raises,
    before any copy.
    """
    check_fit(module.state_dict(), state, name)
    module.load_state_dict(state)


def check_fit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], name: str) -> None:
    """Raises CheckpointError listing missing keys, unexpected keys, and shapes that differ (a few
    are enough).
    """
    other = []
    for key in sorted(expected.keys() & state.keys()):
        ours = list(expected[key].shape)
        theirs = list(state[key].shape)
        if ours != theirs:
            other.append(f"{key} is {theirs}, expected {ours}")
    parts = {
        "missing keys": sorted(expected.keys() - state.keys()),
        "unexpected keys": sorted(state.keys() - expected.keys()),
        "other shapes": other,
    }
    wrong = [f"{len(keys)} {label}: {_listed(keys)}" for label, keys in parts.items() if keys]
    if wrong:
        said = f"these weights, of another architecture, do not fit {name}"
        raise CheckpointError(f"{said}: {'; '.join(wrong)}")


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - 20} more" if len(keys) > 20 else ""
    return ", ".join(keys[:20]) + more
