"""CED: the published keys and shapes, the published forward pass, clips of any length."""

import math
import pickle

import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from atri_lib.encoders.ced import CED, CHUNK, HOP, SIZES
from atri_lib.hub import CheckpointError, ModelUnavailable


def published_shapes(width: int, form: str) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the released files, written down from the authors' code and the hub's, not
    from ours.
    """
    top, norm = {"authors": ("", "init_bn.1"), "hub": ("encoder.", "encoder.init_bn")}[form]
    shapes = {f"{norm}.{name}": (64,) for name in ("weight", "bias", "running_mean", "running_var")}
    shapes[f"{norm}.num_batches_tracked"] = ()
    shapes[f"{top}patch_embed.proj.weight"] = (width, 1, 16, 16)
    shapes[f"{top}patch_embed.proj.bias"] = (width,)
    shapes[f"{top}time_pos_embed"] = (1, width, 1, 63)
    shapes[f"{top}freq_pos_embed"] = (1, width, 4, 1)
    for block in range(12):
        for name, rows, columns in (
            ("attn.qkv", 3, 1),
            ("attn.proj", 1, 1),
            ("mlp.fc1", 4, 1),
            ("mlp.fc2", 1, 4),
        ):
            shapes[f"{top}blocks.{block}.{name}.weight"] = (rows * width, columns * width)
            shapes[f"{top}blocks.{block}.{name}.bias"] = (rows * width,)
        for name in ("norm1", "norm2"):
            shapes |= {
                f"{top}blocks.{block}.{name}.{part}": (width,) for part in ("weight", "bias")
            }
    shapes |= {f"{top}norm.{part}": (width,) for part in ("weight", "bias")}
    shapes |= {f"outputlayer.0.{part}": (width,) for part in ("weight", "bias")}
    shapes |= {"outputlayer.1.weight": (527, width), "outputlayer.1.bias": (527,)}
    if form == "authors":
        shapes |= {"front_end.0.spectrogram.window": (512,), "front_end.0.mel_scale.fb": (257, 64)}
    return shapes


def released(width: int, form: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random checkpoint in a released form."""
    generator = torch.Generator().manual_seed(seed)
    shapes = published_shapes(width, form)
    state = {key: 0.1 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    state = {
        key: value.abs() + 0.5 if "running_var" in key else value for key, value in state.items()
    }
    return {key: torch.tensor(7) if "num_batches" in key else value for key, value in state.items()}


@pytest.fixture(scope="module")
def tiny() -> CED:
    return CED("tiny").load_published(released(192, "hub")).eval()


def clip(seconds: float, seed: int = 0, clips: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(
        clips, round(16000 * seconds), generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("size", SIZES)
def test_published_keys_and_shapes_load_for_every_size(size, monkeypatch):
    monkeypatch.setattr(
        nn.init, "trunc_normal_", lambda *_, **__: None
    )  # slow, and overwritten at once
    encoder = CED(size)
    for form, value in (("authors", 0.25), ("hub", 0.5)):
        shapes = published_shapes(SIZES[size][0], form)
        encoder.load_published(
            {key: torch.tensor(value).expand(shape) for key, shape in shapes.items()}
        )
        assert all(bool((parameter == value).all()) for parameter in encoder.parameters())


def test_both_released_forms_give_the_same_encoder():
    hub, authors = released(192, "hub"), released(192, "authors")
    authors |= {
        key.removeprefix("encoder.").replace("init_bn.", "init_bn.1."): value
        for key, value in hub.items()
    }
    first, second = CED("tiny").load_published(hub), CED("tiny").load_published(authors)
    assert first.fingerprint == second.fingerprint != CED("tiny").fingerprint


def test_missing_and_unexpected_keys_are_listed_and_nothing_is_loaded():
    state = released(192, "hub")
    del state["encoder.blocks.3.mlp.fc1.weight"]
    state["encoder.blocks.12.norm1.bias"] = torch.zeros(192)
    encoder = CED("tiny")
    before = encoder.fingerprint
    missing = r"missing: \['blocks\.3\.mlp\.fc1\.weight .*'\]"
    expected = missing + r", unexpected: \['blocks\.12\.norm1\.bias .*'\]"
    with pytest.raises(CheckpointError, match=expected):
        encoder.load_published(state)
    assert encoder.fingerprint == before


def test_a_checkpoint_of_another_size_is_named():
    expected = r"CED\('mini'\) \(they look like CED\('tiny'\)\): missing: .*proj\.bias \[256\]"
    with pytest.raises(CheckpointError, match=expected):
        CED("mini").load_published(released(192, "authors"))


@pytest.mark.parametrize("form", ["released.pt", "model.safetensors", "folder", "wrapped.pt"])
def test_weights_load_from_every_kind_of_file(tmp_path, tiny, form):
    state = released(192, "hub")
    if form.endswith(".pt"):
        torch.save({"model": state} if form == "wrapped.pt" else state, tmp_path / form)
    else:
        save_file(state, tmp_path / "model.safetensors")
    path = tmp_path if form == "folder" else tmp_path / form
    assert CED.pretrained("tiny", path).fingerprint == tiny.fingerprint


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").mkdir, ())

    (tmp_path / "bad.pt").write_bytes(pickle.dumps({"model": Malicious()}, protocol=2))
    with pytest.raises(CheckpointError, match=r"bad\.pt: cannot be read as plain tensors"):
        CED("tiny").load_published(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


def test_without_a_hub_the_error_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelUnavailable, match=r"mispeech/ced-base: no such .*HF_HUB_OFFLINE.*HF_HOME"
    ):
        CED.pretrained("base")
    with pytest.raises(ModelUnavailable, match=r"nowhere/ced\.pt: no such file"):
        CED("tiny").load_published("nowhere/ced.pt")


def test_front_end_is_torchaudios_for_one_clip_and_ignores_the_rest_of_the_batch(tiny):
    mel = torchaudio.transforms.MelSpectrogram(
        16000, 512, 512, 160, f_min=0.0, f_max=8000.0, n_mels=64, center=True
    )
    decibel = torchaudio.transforms.AmplitudeToDB(top_db=120)
    quiet, loud = 1e-4 * torch.sin(torch.arange(8000) * 0.3), torch.sin(torch.arange(8000) * 0.9)
    expected = torch.stack([decibel(mel(wave)) for wave in (quiet, loud)])
    together = tiny.decibels(torch.stack([quiet, loud]))
    torch.testing.assert_close(together, expected, rtol=0, atol=1e-3)
    as_published = decibel(
        mel(torch.stack([quiet, loud]))
    )  # one floor for the batch: the loud clip's
    assert (as_published[0] - expected[0]).abs().max() > 5


def slow_forward(state: dict, waveform: torch.Tensor, heads: int) -> torch.Tensor:
    """Token states [4, T, dim] of one short clip, one obvious step at a time, in float64."""
    w = {key.removeprefix("encoder."): value.double() for key, value in state.items()}
    mel = torchaudio.transforms.MelSpectrogram(
        16000, 512, 512, 160, f_max=8000.0, n_mels=64
    ).double()
    x = torchaudio.transforms.AmplitudeToDB(top_db=120)(mel(waveform.double()))  # [64, frames]
    mean, variance = w["init_bn.running_mean"][:, None], w["init_bn.running_var"][:, None]
    x = (x - mean) / (variance + 1e-5).sqrt() * w["init_bn.weight"][:, None] + w["init_bn.bias"][
        :, None
    ]
    tokens = []
    for row in range(4):
        for column in range(x.shape[1] // 16):
            patch = x[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            token = (w["patch_embed.proj.weight"][:, 0] * patch).sum((1, 2)) + w[
                "patch_embed.proj.bias"
            ]
            tokens.append(
                token + w["freq_pos_embed"][0, :, row, 0] + w["time_pos_embed"][0, :, 0, column]
            )
    x = torch.stack(tokens)

    def norm(name: str, values: torch.Tensor) -> torch.Tensor:
        centred = values - values.mean(-1, keepdim=True)
        scale = (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(name: str, values: torch.Tensor) -> torch.Tensor:
        return values @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    for block in range(12):
        at = f"blocks.{block}"
        query, key, value = linear(f"{at}.attn.qkv", norm(f"{at}.norm1", x)).chunk(3, dim=-1)
        width, out = x.shape[1] // heads, []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            weights = (query[:, part] @ key[:, part].T / math.sqrt(width)).softmax(-1)
            out.append(weights @ value[:, part])
        x = x + linear(f"{at}.attn.proj", torch.cat(out, -1))
        x = x + linear(
            f"{at}.mlp.fc2", nn.functional.gelu(linear(f"{at}.mlp.fc1", norm(f"{at}.norm2", x)))
        )
    return norm("norm", x).reshape(4, -1, x.shape[1])


def test_forward_equals_a_slow_oracle():
    state = released(192, "hub", seed=3)
    encoder = CED("tiny").load_published(state).double().eval()
    waveform = clip(0.7, seed=4)
    expected = slow_forward(state, waveform[0], heads=3)
    with torch.no_grad():
        rows = encoder(waveform.double())
    torch.testing.assert_close(rows[0], expected.mean(0), rtol=1e-8, atol=1e-8)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40000))
def test_a_clip_of_any_length_gives_one_row_per_16_frames(tiny, samples):
    with torch.no_grad():
        rows = tiny(clip(samples / 16000))
    assert rows.shape == (1, max(1, (1 + samples // HOP) // 16), 192) and rows.isfinite().all()


@pytest.mark.parametrize(
    "frames, chunks", [(CHUNK, 1), (CHUNK + 1, 2), (2 * CHUNK, 2), (2 * CHUNK + 1, 3)]
)
def test_long_clips_are_the_chunks_of_their_mels(tiny, frames, chunks):
    waveform = clip((frames - 1) * HOP / 16000, clips=2)
    with torch.no_grad():
        mels = tiny.init_bn(tiny.decibels(waveform)[:, :, None]).transpose(
            1, 2
        )  # [2, 1, 64, frames]
        assert mels.shape[-1] == frames
        mels = nn.functional.pad(mels, (0, chunks * CHUNK - frames))
        expected = torch.cat([tiny.encode(part) for part in mels.split(CHUNK, dim=-1)], dim=1)
        torch.testing.assert_close(tiny(waveform), expected, rtol=1e-4, atol=1e-4)


def test_the_last_chunk_counts_at_an_exact_multiple(tiny):
    waveform = clip((2 * CHUNK - 1) * HOP / 16000)
    changed = waveform.clone()
    changed[:, -16000:] = 0
    with torch.no_grad():
        assert (tiny(waveform) - tiny(changed)).mean(1).abs().max() > 1e-3


def test_empty_or_flat_input_is_refused(tiny):
    for shape in ((1, 0), (16000,), (1, 1, 16000)):
        with pytest.raises(ValueError, match="expected \\[clips, samples\\]"):
            tiny(torch.zeros(shape))


def test_training_reaches_every_parameter_and_keeps_clips_independent():
    encoder = CED("tiny").load_published(released(192, "hub")).train()
    statistics = encoder.init_bn.running_mean.clone()
    waveforms = clip(0.5, clips=3)
    rows = encoder(waveforms)
    torch.testing.assert_close(rows[1:2], encoder(waveforms[1:2]), rtol=1e-4, atol=1e-4)
    rows.square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters()
    )
    assert torch.equal(encoder.init_bn.running_mean, statistics)
    assert len(encoder.blocks) == 12
