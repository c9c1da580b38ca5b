"""CED: a vision transformer over mel patches, distilled from an ensemble of AudioSet taggers.

Source: Dinkel et al., "CED: Consistent ensemble distillation for audio tagging", 2023 (arXiv
2308.11957). Parameters carry the names of the published checkpoints; see `CED.load_published`
for the few that differ.
"""

import os
from collections.abc import Mapping

import torch
import torchaudio.functional as audio
from torch import Tensor, nn

from atri_lib.audio import SAMPLE_RATE
from atri_lib.encoders.waveforms import at_least
from atri_lib.encoders.weights import fingerprint
from atri_lib.hub import load_exactly, read_state_dict

SIZES = {"tiny": (192, 3), "mini": (256, 4), "small": (384, 6), "base": (768, 12)}  # width, heads
DEPTH = 12
FFT = 512  # samples
HOP = 160
MELS = 64
MEL_HIGH = 8000.0  # hertz
TOP_DB = 120.0
PATCH = 16  # mels and frames
CHUNK = 1012  # frames: 10.12 s, 63 patches; the last 4 frames of a full chunk fill no patch
SHORTEST = (PATCH - 1) * HOP  # samples that give one patch of frames


class Block(nn.Module):
    """Pre-norm transformer block: self-attention, query, key and value from one matrix; MLP four
    times the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.Module()
        self.attn.qkv = nn.Linear(width, 3 * width)
        self.attn.proj = nn.Linear(width, width)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(width, 4 * width)
        self.mlp.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        joint = self.attn.qkv(self.norm1(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = joint.permute(2, 0, 3, 1, 4)  # each [N, heads, L, d]
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.attn.proj(mixed.transpose(1, 2).flatten(2))
        wide = self.mlp.fc1(self.norm2(tokens))
        return tokens + self.mlp.fc2(nn.functional.gelu(wide))


class CED(nn.Module):
    """Audio encoder: waveforms at 16 kHz to one vector per 160 ms.

    size: tiny, mini, small or base (5.5, 9.6, 22, 86 million parameters). Weights are random until
    `load_published`. The mel statistics of the batch norm stay those of the checkpoint, also in
    training: a clip's features never depend on its batch, so chunked and distributed steps equal
    the plain one.
    """

    fingerprint = property(fingerprint)

    def __init__(self, size: str = "base") -> None:
        super().__init__()
        self.size = size
        self.name = f"ced-{size}"
        self.dim, heads = SIZES[size]
        mels = audio.melscale_fbanks(FFT // 2 + 1, 0.0, MEL_HIGH, MELS, SAMPLE_RATE)
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.register_buffer("mels", mels, persistent=False)
        self.init_bn = nn.BatchNorm2d(MELS)
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(1, self.dim, PATCH, PATCH)
        self.freq_pos_embed = nn.Parameter(torch.randn(1, self.dim, MELS // PATCH, 1) * 0.02)
        self.time_pos_embed = nn.Parameter(torch.randn(1, self.dim, 1, CHUNK // PATCH) * 0.02)
        self.blocks = nn.ModuleList(Block(self.dim, heads) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(self.dim, eps=1e-6)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def train(self, mode: bool = True) -> "CED":
        """As nn.Module.train, but the mel statistics keep the checkpoint's values."""
        super().train(mode)
        self.init_bn.eval()
        return self

    def forward(self, waveform: Tensor) -> Tensor:
        """Embed the time steps of clips: waveform [N, S] in [-1, 1] -> [N, P, dim], one row per 160
        ms.

        A clip of up to 1012 frames (10.12 s) gives P = frames // 16 rows; a longer one is cut into
        chunks of 1012 frames, the last filled up with mean-level mels as published, and gives 63
        rows a chunk. Clips shorter than one patch are extended with silence. Raises ValueError for
        an empty clip, another shape or integers.
        """
        waveform = at_least(SHORTEST, waveform)
        mels = self.init_bn(self.decibels(waveform)[:, :, None])  # [N, mels, 1, frames]
        if mels.shape[-1] > CHUNK:
            whole = nn.functional.pad(mels, (0, -mels.shape[-1] % CHUNK))
            chunks = whole.unflatten(-1, (-1, CHUNK)).movedim(3, 1)
            mels = chunks.flatten(0, 1)  # [N * chunks, mels, 1, CHUNK]
        encoded = self.encode(mels.transpose(1, 2))
        return encoded.reshape(len(waveform), -1, self.dim)

    def decibels(self, waveform: Tensor) -> Tensor:
        """Waveforms [N, S] -> decibels [N, 64, 1 + S // 160], each clip floored 120 dB below its
        own maximum.
        """
        # A Fourier transform needs full precision.
        with torch.autocast(waveform.device.type, enabled=False):
            # The channel axis makes the floor a clip's own; without it the loudest clip of a batch
            # would set it.
            channel = waveform.to(self.window.dtype)[:, None]
            power = audio.spectrogram(channel, 0, self.window, FFT, HOP, FFT, 2.0, False)
            energy = self.mels.T @ power  # [N, 1, mels, frames]
            return audio.amplitude_to_DB(energy, 10.0, 1e-10, 0.0, TOP_DB)[:, 0]

    def encode(self, mels: Tensor) -> Tensor:
        """Normalised mels of one chunk each [M, 1, 64, frames] -> [M, frames // 16, dim], averaged
        over frequency.
        """
        patches = self.patch_embed.proj(mels)  # [M, dim, 4, T]
        patches = patches + self.time_pos_embed[..., : patches.shape[-1]] + self.freq_pos_embed
        tokens = patches.flatten(2).transpose(1, 2)  # [M, 4 T, dim], frequency-major
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).unflatten(1, (MELS // PATCH, -1)).mean(1)

    def load_published(self, source: Mapping[str, Tensor] | str | os.PathLike) -> "CED":
        """Load a published checkpoint, in place: a state dict, a .pt or .safetensors file, a
        folder, or a hub id.

        The authors' files hold the encoder at top level with `init_bn.1.*` and the front end's
        constants `front_end.0.*`; the hub's hold it under `encoder.*` with `init_bn.*`. Both add
        the 527-class tagging head `outputlayer.*`. Constants and head are left out. Raises
        CheckpointError listing keys that are missing, unexpected or of another shape; OSError
        naming the path, or the cache and variables of the hub, when it cannot be had.
        """
        # A counter that nobody reads; old files lack it.
        state = {"init_bn.num_batches_tracked": torch.tensor(0)}
        for key, value in read_state_dict(source).items():
            if not key.startswith(("front_end.", "outputlayer.")):
                state[key.removeprefix("encoder.").replace("init_bn.1.", "init_bn.")] = value
        name = f"CED({self.size!r})"
        found = len(state.get("norm.weight", ()))
        for size, (width, _) in SIZES.items():
            if width == found and size != self.size:
                name = f"{name} (they look like CED({size!r}))"
        load_exactly(self, state, name)
        return self

    @classmethod
    def pretrained(cls, size: str = "base", source: str | os.PathLike | None = None) -> "CED":
        """The published encoder of a size, from `source` or from the hub (mispeech/ced-SIZE); see
        load_published.
        """
        return cls(size).load_published(source or f"mispeech/ced-{size}").eval()
