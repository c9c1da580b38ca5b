import pytest
import torch
from toy_heads import features, heads, moved, pair_gradients

from atri_lib.losses import ml_clap_loss
from atri_lib.theory import model_functions
from atri_lib.theory.model_functions import Task

TAU = 0.2


@pytest.fixture
def task():
    return Task(heads(), TAU)


@pytest.fixture
def batch():
    clip_features, texts = features()
    return clip_features.double(), texts.double()


@torch.no_grad()
def test_gradients_at_one_place_are_those_run_by_run(task, batch):
    drawn = torch.rand(4, 6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    one_by_one = task.gradients(task.start.expand(4, -1), drawn, batch)
    torch.testing.assert_close(task.gradients(task.start, drawn, batch), one_by_one)


@torch.no_grad()
def test_gradients_under_one_distribution_are_those_run_by_run(task, batch):
    weights = moved(task)
    drawn = torch.rand(6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    one_by_one = task.gradients(weights, drawn.expand(2, -1, -1), batch)
    torch.testing.assert_close(task.gradients(weights, drawn, batch), one_by_one)


def test_a_task_computes_what_the_module_computes(batch):
    model = heads().double()
    task = Task(model, TAU)
    for ours, theirs in zip(task.embed(task.start, batch), model(*batch), strict=True):
        assert torch.equal(ours, theirs)
    assert len(task.start) == sum(p.numel() for p in model.parameters())


def test_only_parameters_that_require_a_gradient_are_followed(batch):
    model = heads().requires_grad_(False)
    model.text[2].weight.requires_grad_(True)
    task = Task(model, TAU)
    assert list(task.shapes) == ["text.2.weight"] and len(task.start) == 12
    assert pair_gradients(task, task.start, batch).shape == (6, 3, 12)


def test_the_model_given_stays_as_it_was():
    model = heads().train()
    Task(model, TAU)
    assert model.training and model.clips[0].weight.dtype == torch.float32


@torch.no_grad()
def test_pair_norms_are_those_of_single_backward_passes(task, batch):
    weights = moved(task, runs=1)[0]
    with torch.enable_grad():
        each = pair_gradients(task, weights, batch)  # [B, K, D]
    lengths, _ = task.pair_constants(weights, batch, 0)
    torch.testing.assert_close(lengths, each.norm(dim=-1))


@torch.no_grad()
def test_gradients_are_weighted_sums_of_pair_gradients(task, batch):
    weights, distribution = moved(task), torch.rand(2, 6, 3, dtype=torch.float64)
    with torch.enable_grad():
        each = torch.stack([pair_gradients(task, w, batch) for w in weights])
    expected = (distribution[..., None] * each).sum((1, 2))
    torch.testing.assert_close(task.gradients(weights, distribution, batch), expected)


def test_mixed_gradient_is_that_of_practical_ml_clap(task, batch):
    languages = torch.tensor([0, 2, 1, 1, 0, 2])
    drawn = torch.nn.functional.one_hot(languages)[None] / 6
    weights = task.start.clone().requires_grad_()
    clips, texts = task.embed(weights, batch)
    ml_clap_loss(clips, texts[torch.arange(6), languages], TAU).backward()
    with torch.no_grad():
        got = task.gradients(weights.detach()[None], drawn, batch, task.mixed_loss)
    torch.testing.assert_close(got[0], weights.grad)


@torch.no_grad()
def test_pair_curvature_reaches_the_spectral_norm_from_below(task, batch):
    def loss(weights):
        return task.losses(weights, batch)

    hessians = torch.func.hessian(loss)(task.start)  # [B, K, D, D], for 56 weights only
    exact = torch.linalg.matrix_norm(hessians, ord=2)
    sizes = [task.pair_constants(task.start, batch, count)[1] for count in (1, 3, 100)]
    assert (sizes[0] <= sizes[1]).all() and (sizes[1] <= sizes[2]).all()
    assert (sizes[2] <= exact * (1 + 1e-12)).all()
    torch.testing.assert_close(sizes[2], exact, rtol=0.02, atol=0)


@torch.no_grad()
def test_chunks_change_nothing(task, batch, monkeypatch):
    weights, distribution = moved(task, runs=3), torch.full((3, 6, 3), 1 / 18, dtype=torch.float64)

    def everything():
        return (
            task.gradients(weights, distribution, batch),
            task.pair_constants(weights[0], batch, 2),
        )

    whole = everything()
    for size in (1, 400, 900):
        monkeypatch.setattr(model_functions, "WORKING_SET", size)
        torch.testing.assert_close(everything(), whole)
