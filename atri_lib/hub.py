"""Published checkpoints: found on disk or on the model hub, read without running code, loaded key
by key.
"""

import contextlib
import os
import pathlib
import re
import textwrap
from collections.abc import Mapping

import torch
from safetensors.torch import load_file
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

    An id is looked for in the hub's cache (HF_HOME names it). The hub is asked only when told to,
    by ATRI_HUB=1, and only for a commit: the id's own, or that of REVISIONS. ATRI_OFFLINE=1 and
    HF_HUB_OFFLINE=1 forbid it. Raises ModelUnavailable for a path that is not there, and for an id
    that cannot be had.
    """
    path = pathlib.Path(model).expanduser()
    if path.exists():
        return path
    from huggingface_hub import constants, snapshot_download

    name, _, commit = str(model).partition("@")
    commit = commit or REVISIONS.get(name)
    pinned = commit and re.fullmatch("[0-9a-f]{40}", commit)
    asked = pinned and storage.switched_on("ATRI_HUB") and not storage.offline()

    def found(local_files_only: bool) -> pathlib.Path:
        for weights in WEIGHTS:
            snapshot = snapshot_download(
                name,
                allow_patterns=[*SETTINGS, weights],
                revision=commit,
                local_files_only=local_files_only,
            )
            folder = pathlib.Path(snapshot)
            if _weight_files(folder):
                return folder
        raise FileNotFoundError("the repository holds no weights")

    try:
        with contextlib.suppress(FileNotFoundError):
            return found(local_files_only=True)
        return found(local_files_only=not asked)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelUnavailable(
            f"{model}: no such file or folder, and no weights in the hub's cache "
            f"{constants.HF_HUB_CACHE} ({textwrap.shorten(str(error), 200)}). It is downloaded "
            "only with ATRI_HUB=1, without ATRI_OFFLINE and HF_HUB_OFFLINE, and at a commit: "
            "name owner/name@COMMIT. "
            f"Or run `hf download {name} --revision {commit or 'COMMIT'}` where the hub can be "
            "reached and copy its cache here (HF_HOME names it), or give the path of a local copy."
        ) from error


def read_state_dict(source: Mapping[str, Tensor] | str | os.PathLike) -> dict[str, Tensor]:
    """Tensors by key, on the CPU: from a mapping, a .safetensors, .bin or .pt file, a folder of
    them, or a hub id.

    Pickled files are read with weights_only=True; a file of {"model": ...} or {"state_dict": ...}
    is unwrapped. Raises CheckpointError for a file or folder that holds no tensors, or other
    things.
    """
    if isinstance(source, Mapping):
        return dict(source)
    state = {}
    for file in _weight_files(model_path(source)):
        state |= _read(file)
    for wrapper in ("model", "state_dict"):
        if isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(
            f"{source}: not a state dict; it holds no tensors, or other things "
            f"(in a folder, {', '.join(WEIGHTS)} are looked for)"
        )
    return state


def _weight_files(path: pathlib.Path) -> list[pathlib.Path]:
    """The file itself, or those of a folder, all by one of WEIGHTS; [] for none."""
    if path.is_file():
        return [path]
    found = (sorted(path.glob(pattern)) for pattern in WEIGHTS)
    return next(filter(None, found), [])


def _read(file: pathlib.Path) -> dict:
    storage.regular(file)
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return dict(torch.load(file, map_location="cpu", weights_only=True))
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
    """Raises CheckpointError listing, as far as 2,000 characters go, what is missing, unexpected,
    or has another shape than is expected.
    """
    ours = {f"{key} {list(value.shape)}" for key, value in expected.items()}
    theirs = {f"{key} {list(value.shape)}" for key, value in state.items()}
    if ours != theirs:
        said = (
            f"these weights, of another architecture, do not fit {name}: "
            f"missing: {sorted(ours - theirs)}, unexpected: {sorted(theirs - ours)}"
        )
        raise CheckpointError(textwrap.shorten(said, 2000))
