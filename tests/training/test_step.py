"""The step against plain autograd: any chunk, any scheme, two processes; same loss, same
gradients.
"""

import math
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from atri_lib.encoders.dual import DualEncoder
from atri_lib.losses import cacl_loss, kcl_loss, ml_clap_loss
from atri_lib.schemes import SCHEMES
from atri_lib.training.step import backward


class TokenTower(nn.Module):
    """Mean of embedded tokens under a mask, then a layer with dropout: the smallest thing shaped
    like a text tower.
    """

    def __init__(self, dim: int = 10) -> None:
        super().__init__()
        self.table, self.layer, self.dropout = (
            nn.Embedding(50, dim),
            nn.Linear(dim, dim),
            nn.Dropout(0.3),
        )
        self.blocks = [self.table, self.layer]

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[..., None].to(self.table.weight.dtype)
        return self.dropout(
            torch.tanh(self.layer((self.table(input_ids) * mask).sum(1) / mask.sum(1)))
        )


class WaveTower(nn.Module):
    """Frames of 8 samples through a layer: [N, S] -> [N, S // 8, 12]."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 12)
        self.blocks = [self.layer]

    def forward(self, waveform):
        return torch.tanh(self.layer(waveform.unflatten(1, (-1, 8))))


def model_and_batch(clips: int = 6, languages: int = 5, dropout: float = 0.2):
    torch.manual_seed(0)
    towers = {
        "audio_tower": WaveTower(),
        "text_tower": TokenTower(),
        "unfreeze": {"clips": "all", "text": "all"},
    }
    model = DualEncoder(
        12, 10, width=7, hidden=9, dropout=dropout, learn_temperature=True, **towers
    ).double()
    sounds = torch.randn(clips, 48, dtype=torch.float64)
    texts = [
        {
            "input_ids": torch.randint(50, (clips, 4 + k % 2)),
            "attention_mask": torch.ones(clips, 4 + k % 2),
        }
        for k in range(languages)
    ]
    return model, sounds, texts


def build(name, languages, **settings):
    m = 3 if SCHEMES[name].chooses_m else None
    return SCHEMES[name](clips=6, languages=languages, m=m, **settings)


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def plain(model, clip_inputs, text_inputs, seed: int):
    """The textbook step: every graph alive at once, one loss, one backward."""
    model.zero_grad()
    torch.manual_seed(seed)
    clips = model.encode_clips(clip_inputs)
    texts = torch.stack([model.encode_text(tokens) for tokens in text_inputs], dim=1)
    loss = kcl_loss(clips, texts, model.temperature)
    loss.backward()
    return loss.item(), gradients(model)


def chunked(model, clip_inputs, text_inputs, seed: int, chunk: int):
    model.zero_grad()
    torch.manual_seed(seed)
    loss = backward(model, build("kcl", len(text_inputs)), clip_inputs, text_inputs, chunk)
    return loss.item(), gradients(model)


@pytest.mark.parametrize("languages", [1, 2, 5, 16])
def test_cached_kcl_has_the_gradients_of_plain_kcl_with_dropout_on(languages):
    model, clips, texts = model_and_batch(languages=languages)
    loss, expected = plain(model, clips, texts, seed=3)
    cached_loss, found = chunked(model, clips, texts, seed=3, chunk=len(clips))
    assert cached_loss == pytest.approx(loss, rel=1e-12)
    assert set(found) == set(expected) == {name for name, _ in model.named_parameters()}
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-10 * gradient.norm(), name


@pytest.mark.parametrize("chunk", [1, 2, 4, 5, 100])
def test_any_chunk_size_gives_the_same_gradients(chunk):
    model, clips, texts = model_and_batch(dropout=0.0)
    model.text_tower.dropout.p = 0.0
    loss, expected = plain(model, clips, texts, seed=0)
    cached_loss, found = chunked(model, clips, texts, seed=0, chunk=chunk)
    assert cached_loss == pytest.approx(loss, rel=1e-12)
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-10 * gradient.norm(), name


def test_uneven_chunks_replay_their_dropout_masks():
    """Without the replay of the generator the second pass draws other masks, and this gradient
    check fails.
    """
    model, clips, texts = model_and_batch()
    model.zero_grad()
    torch.manual_seed(5)
    chunks = [slice(0, 4), slice(4, 6)]
    leaf_clips = model.encode_clips(clips)
    rows = []
    for tokens in texts:
        parts = [
            model.encode_text({name: values[part] for name, values in tokens.items()})
            for part in chunks
        ]
        rows.append(torch.cat(parts))
    kcl_loss(leaf_clips, torch.stack(rows, dim=1), model.temperature).backward()
    expected = gradients(model)
    _, found = chunked(model, clips, texts, seed=5, chunk=4)
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-10 * gradient.norm(), name


def test_gradients_of_other_dropout_masks_differ():
    """The negative control: the comparison above can fail."""
    model, clips, texts = model_and_batch()
    _, expected = plain(model, clips, texts, seed=3)
    _, found = chunked(model, clips, texts, seed=4, chunk=len(clips))
    assert any(
        (found[name] - gradient).norm() > 1e-3 * gradient.norm()
        for name, gradient in expected.items()
    )


LOSSES = {
    "ml_clap": lambda clips, texts, tau: ml_clap_loss(clips, texts[:, 0], tau),
    "latin": lambda clips, texts, tau: ml_clap_loss(clips, texts[:, 0], tau),
    "hold": lambda clips, texts, tau: ml_clap_loss(clips, texts[:, 0], tau),
    "block": lambda clips, texts, tau: ml_clap_loss(clips, texts[:, 0], tau),
    "english": lambda clips, texts, tau: ml_clap_loss(clips, texts[:, 0], tau),
    "cacl": lambda clips, texts, tau: cacl_loss(clips, texts[:, 0], texts[:, 1], tau),
    "cacl_unbiased": lambda clips, texts, tau: (
        2
        / 15
        * ml_clap_loss(
            clips, texts[:, 0], tau
        )  # K = 5: 1/5 of the two thirds of the clip-text part
        + 8 / 15 * ml_clap_loss(clips, texts[:, 1], tau)
        + 1 / 3 * ml_clap_loss(texts[:, 0], texts[:, 1], tau)
    ),
    "m_of_k": kcl_loss,
    "balanced": kcl_loss,
    "kcl": kcl_loss,
}


@pytest.mark.parametrize("chunk", [0, 4, 6, 8])
@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_steps_along_the_gradient_of_its_loss_in_any_chunks(name, chunk):
    model, clip_inputs, texts = model_and_batch(dropout=0.0)
    model.text_tower.dropout.p = 0.0
    scheme = build(name, languages=5)
    texts = texts[: scheme.m]
    encoded = torch.stack([model.encode_text(tokens) for tokens in texts], dim=1)
    loss = LOSSES[name](model.encode_clips(clip_inputs), encoded, model.temperature)
    loss.backward()
    expected = gradients(model)
    model.zero_grad()
    assert backward(model, scheme, clip_inputs, texts, chunk).item() == pytest.approx(
        loss.item(), rel=1e-12
    )
    for gradient, value in zip(gradients(model).values(), expected.values(), strict=True):
        torch.testing.assert_close(gradient, value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["ml_clap", "cacl", "cacl_unbiased", "kcl", "balanced"])
def test_no_forward_pass_takes_more_captions_than_a_chunk(name):
    model, clips, texts = model_and_batch()
    sizes, encode = [], model.encode_text
    model.encode_text = lambda tokens: sizes.append(len(tokens["input_ids"])) or encode(tokens)
    scheme = build(name, languages=5)
    backward(model, scheme, clips, texts[: scheme.m], text_chunk=4)
    assert sorted(sizes) == sorted(
        2 * scheme.m * [4, 2]
    )  # each chunk twice: for the loss, then for the gradient


class NeverWaits(TorchDispatchMode):
    """Refuses to read a value, as `.item()`, `bool()` and `float()` of a tensor do: on a GPU that
    waits for it.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise AssertionError("a value was read")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("chunk", [0, 4, 6])
@pytest.mark.parametrize("name", SCHEMES)
def test_a_step_never_waits_for_the_device(name, chunk):
    model, clips, texts = model_and_batch()
    scheme = build(name, languages=5)
    with NeverWaits():
        loss = backward(model, scheme, clips, texts[: scheme.m], chunk)
        with pytest.raises(AssertionError, match="a value was read"):
            loss.item()


def test_chunks_of_cacl_replay_their_dropout_masks():
    model, clips, texts = model_and_batch(languages=2)
    found = []
    for chunk in (6, 0):
        model.zero_grad()
        torch.manual_seed(5)
        if chunk:
            backward(model, build("cacl", 2), clips, texts, chunk)
        else:
            leaf = model.encode_clips(clips)
            cacl_loss(
                leaf, *(model.encode_text(tokens) for tokens in texts), model.temperature
            ).backward()
        found.append(gradients(model))
    for name, gradient in found[1].items():
        assert (found[0][name] - gradient).norm() <= 1e-10 * gradient.norm(), name


CASES = (("kcl", 0), ("kcl", 2), ("cacl", 0), ("cacl", 2), ("cacl_unbiased", 3))
WORKER = textwrap.dedent("""
    import os, sys, torch, torch.distributed as dist
    from safetensors.torch import save_file
    sys.path.insert(0, sys.argv[1])
    from test_step import CASES, build, gradients, model_and_batch
    from atri_lib.training.step import average_gradients, backward
    folder = sys.argv[2]
    other = os.fork()  # torch, once imported, is there for both
    rank = 0 if other else 1
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mine = slice(3 * rank, 3 * rank + 3)
    for scheme, chunk in CASES:
        model, clips, texts = model_and_batch(dropout=0.0)
        model.text_tower.dropout.p = 0.0
        tokens = [{name: values[mine] for name, values in text.items()} for text in texts[:2]]
        loss = backward(model, build(scheme, 2), clips[mine], tokens, chunk)
        average_gradients(model)
        if rank == 0:
            result = gradients(model) | {"loss": loss}
            save_file(result, f"{folder}/{scheme}-{chunk}")
    dist.destroy_process_group()
    if other:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))
""")


def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path):
    command = [sys.executable, "-c", WORKER, os.path.dirname(__file__), str(tmp_path)]
    subprocess.run(command, timeout=300, check=True)
    for scheme, chunk in CASES:
        found = load_file(tmp_path / f"{scheme}-{chunk}")
        model, clips, texts = model_and_batch(dropout=0.0)
        model.text_tower.dropout.p = 0.0
        loss = backward(model, build(scheme, 2), clips, texts[:2], 0)
        assert found.pop("loss").item() == pytest.approx(loss.item(), rel=1e-9)
        expected = gradients(model)
        assert set(found) == set(expected)
        for name, gradient in expected.items():
            assert (found[name] - gradient).norm() <= 1e-9 * gradient.norm(), (scheme, chunk, name)


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_learned_temperature_stays_at_its_floor_and_leaves_it_again(direction):
    model = DualEncoder(12, 10, width=7, hidden=9, temperature=0.02, learn_temperature=True)
    optimizer = torch.optim.SGD([model.log_temperature], lr=0.3)
    for _ in range(20):  # 20 steps down by 0.3 each would end at 0.00005
        optimizer.zero_grad()
        model.temperature.log().backward()
        optimizer.step()
        assert model.temperature.item() >= 0.01 * (1 - 1e-6)
    assert model.temperature.item() == pytest.approx(0.01)
    optimizer.zero_grad()
    (direction * model.temperature.log()).backward()
    optimizer.step()
    expected = 0.01 if direction > 0 else 0.01 * math.exp(0.3)
    assert model.temperature.item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [1e-3, 0.01, 0.1, 1.0])
def test_a_fixed_temperature_has_no_floor(temperature):
    model = DualEncoder(12, 10, width=7, hidden=9, temperature=temperature)
    before = model.log_temperature.clone()
    assert model.temperature.item() == pytest.approx(temperature)
    assert torch.equal(model.log_temperature, before)


@pytest.mark.parametrize("temperature", [1e-3, 0.01])
def test_a_learned_temperature_starts_at_the_floor_or_above(temperature):
    learned = DualEncoder(12, 10, temperature=temperature, learn_temperature=True)
    assert learned.temperature.item() == pytest.approx(0.01)
