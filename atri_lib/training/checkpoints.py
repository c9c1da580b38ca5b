"""Checkpoints: safetensors only, written atomically, checked when read, exact enough to resume bit
for bit.
"""

import json
import os
import pathlib
from collections import defaultdict

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from atri_lib import storage
from atri_lib.encoders.dual import DualEncoder
from atri_lib.hub import check_fit

MODEL = "model"  # how the names of weights begin in a checkpoint
OPTIMIZER = "optimizer"  # and those of the optimizer's state
TOWERS = ("audio_tower", "text_tower")


def write_checkpoint(
    path: pathlib.Path, model: DualEncoder, optimizer: torch.optim.Optimizer, history: list
) -> None:
    """Write weights, optimizer state, history and a checksum of them to one safetensors file,
    atomically.
    """
    tensors = {f"{MODEL}.{name}": value for name, value in trained_state(model).items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"{OPTIMIZER}.{index}.{name}"] = value.contiguous().cpu()
    note = json.dumps(history, allow_nan=False)
    metadata = {"history": note, "checksum": _checksum(tensors, note)}
    with storage.atomic_path(path) as partial:
        save_file(tensors, partial, metadata)


def read_checkpoint(
    path: pathlib.Path, model: DualEncoder, optimizer: torch.optim.Optimizer
) -> list[dict]:
    """Restore what write_checkpoint wrote and return the history; [] when there is no file.

    Raises ValueError for a file that is damaged or of another architecture.
    """
    if not path.exists():
        return []
    try:
        with safe_open(storage.regular(path), "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
            metadata = stored.metadata()
        if _checksum(tensors, metadata["history"]) != metadata["checksum"]:
            raise ValueError("its content does not match its checksum")
        history = json.loads(metadata["history"])
    except Exception as error:
        raise ValueError(
            f"{path}: damaged checkpoint ({error}); delete it to begin this run anew"
        ) from error
    weights = {}
    state = defaultdict(dict)
    for name, value in tensors.items():
        kind, rest = name.split(".", 1)
        if kind == MODEL:
            weights[rest] = value
        else:
            index, entry = rest.split(".")
            state[int(index)][entry] = value
    load_state(model, weights, path)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return history


def _checksum(tensors: dict[str, Tensor], note: str) -> str:
    about = []
    contents = []
    for name, value in sorted(tensors.items()):
        about.append([name, str(value.dtype), list(value.shape)])
        contents.append(value.reshape(-1).view(torch.uint8).numpy())
    return storage.checksum(note, about, *contents)


def trained_state(model: DualEncoder) -> dict[str, Tensor]:
    """The tensors a run changes, on the CPU: trainable parameters, projections, and the buffers of
    opened towers.
    """
    tensors = model.state_dict()
    for name, parameter in model.named_parameters():
        if name.startswith(TOWERS) and not parameter.requires_grad:
            del tensors[name]
    return {name: value.contiguous().cpu() for name, value in tensors.items()}


def load_state(model: DualEncoder, tensors: dict[str, Tensor], origin: str | os.PathLike) -> None:
    """Load a run's tensors; raises ValueError listing those that are missing, unexpected, misshapen
    or not finite.
    """
    check_fit(trained_state(model), tensors, origin)
    if not all(value.isfinite().all() for value in tensors.values()):
        raise ValueError(f"{origin}: values that are not finite; train this run anew")
    model.load_state_dict(tensors, strict=False)
