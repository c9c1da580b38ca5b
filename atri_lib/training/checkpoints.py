"""Checkpoints: safetensors only, written atomically, checked when read, exact enough to resume bit
for bit.
"""

import json
import pathlib

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from atri_lib import storage
from atri_lib.encoders.dual import DualEncoder
from atri_lib.hub import check_fit


def write_checkpoint(
    path: pathlib.Path, model: DualEncoder, optimizer: torch.optim.Optimizer, history: list
) -> None:
    """Write weights, optimizer state, history and a checksum of them to one safetensors file,
    atomically.
    """
    tensors = {f"model.{name}": value for name, value in trained_state(model).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()
        }
    tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
    note = json.dumps(history, allow_nan=False)
    with storage.atomic_path(path) as partial:
        save_file(tensors, partial, {"history": note, "checksum": _checksum(tensors, note)})


def read_checkpoint(
    path: pathlib.Path, model: DualEncoder, optimizer: torch.optim.Optimizer
) -> tuple[list, int]:
    """Restore what write_checkpoint wrote and return (history, epochs done); ([], 0) when there is
    no file.

    Raises ValueError for a file that is damaged or of another architecture.
    """
    if not path.exists():
        return [], 0
    try:
        with safe_open(storage.regular(path), "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}
            note, expected = (stored.metadata()[name] for name in ("history", "checksum"))
        if _checksum(tensors, note) != expected:
            raise ValueError("its content does not match its checksum")
        history = json.loads(note)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path}: damaged checkpoint ({error}); delete it to begin this run anew"
        ) from error
    load_state(
        model,
        {name[6:]: value for name, value in tensors.items() if name.startswith("model.")},
        str(path),
    )
    state = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, entry = name.split(".", 2)
            state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    return history, len(history)


def _checksum(tensors: dict[str, Tensor], note: str) -> str:
    about = [[name, str(value.dtype), list(value.shape)] for name, value in sorted(tensors.items())]
    values = (value.reshape(-1).view(torch.uint8).numpy() for _, value in sorted(tensors.items()))
    return storage.checksum(note, about, *values)


def trained_state(model: DualEncoder) -> dict[str, Tensor]:
    """The tensors a run changes: trainable parameters, projections, and the buffers of opened
    towers.
    """
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    frozen = {name for name, _ in model.named_parameters()} - trainable
    keep = lambda name: name not in frozen or not name.startswith(("audio_tower", "text_tower"))  # noqa: E731
    return {name: value for name, value in model.state_dict().items() if keep(name)}


def load_state(model: DualEncoder, tensors: dict[str, Tensor], origin: str) -> None:
    """Load a run's tensors; raises ValueError listing those that are missing, unexpected, misshapen
    or not finite.
    """
    check_fit(trained_state(model), tensors, origin)
    if wrong := [name for name, value in tensors.items() if not value.isfinite().all()]:
        raise ValueError(
            f"{origin}: values that are not finite in {', '.join(sorted(wrong))}; train this run anew"
        )
    model.load_state_dict(tensors, strict=False)
