import pytest
import torch
from toy_heads import features, heads

from atri_lib.losses import ml_clap_loss, pair_losses
from atri_lib.theory import model_functions
from atri_lib.theory.model_functions import Flat, Task

TAU = 0.2


@pytest.fixture
def task():
    return Task(Flat(heads()), TAU)


@pytest.fixture
def batch():
    clip_features, texts = features()
    return clip_features.double(), texts.double()


def moved(task, runs=2, size=0.1):
    noise = torch.randn(
        runs, len(task.flat.start), generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    return task.flat.start + size * noise


def pair_gradients(task, weights, batch):
    """Every grad l_ik by one backward pass each, [B, K, D]."""
    weights = weights.clone().requires_grad_()
    losses = pair_losses(*task.flat(task.flat.split(weights), *batch), TAU)
    rows = [torch.autograd.grad(loss, weights, retain_graph=True)[0] for loss in losses.flatten()]
    return torch.stack(rows).reshape(*losses.shape, -1)


@torch.no_grad()
def test_gradients_at_one_place_and_hessian_products_are_those_run_by_run(task, batch):
    generator = torch.Generator().manual_seed(2)
    drawn = torch.rand(4, 6, 3, generator=generator, dtype=torch.float64)
    weights = task.flat.start
    one_by_one = task.gradients(weights.expand(4, -1), drawn, batch)
    torch.testing.assert_close(task.gradients_at(weights, drawn, batch), one_by_one)
    vectors = torch.randn(4, len(weights), generator=generator, dtype=torch.float64)
    same = drawn[:1].expand(4, -1, -1)
    seen = task.gradients(weights + vectors, same, batch, anchor=weights)
    products = task.hessian_products(weights, drawn[0], batch, vectors)
    torch.testing.assert_close(products, seen - one_by_one[0])


def test_flat_view_computes_what_the_module_computes(batch):
    model = heads().double()
    view = Flat(model)
    for ours, theirs in zip(view(view.split(view.start), *batch), model(*batch), strict=True):
        assert torch.equal(ours, theirs)
    assert len(view.start) == sum(p.numel() for p in model.parameters())


def test_only_parameters_that_require_a_gradient_are_followed(batch):
    model = heads().requires_grad_(False)
    model.text[2].weight.requires_grad_(True)
    view = Flat(model)
    assert list(view.shapes) == ["text.2.weight"] and len(view.start) == 12
    assert pair_gradients(Task(view, TAU), view.start, batch).shape == (6, 3, 12)
    with pytest.raises(ValueError, match="no weights to follow"):
        Flat(model.requires_grad_(False))


def test_the_model_given_stays_as_it_was():
    model = heads().train()
    Flat(model)
    assert model.training and model.clips[0].weight.dtype == torch.float32


@torch.no_grad()
def test_pair_norms_and_language_spread_are_those_of_single_backward_passes(task, batch):
    weights = moved(task)
    with torch.enable_grad():
        each = torch.stack([pair_gradients(task, w, batch) for w in weights])  # [S, B, K, D]
    torch.testing.assert_close(task.pair_norms(weights[0], batch), each[0].norm(dim=-1))
    for drawn in (range(3), range(1, 3)):
        expected = each[:, :, list(drawn)].var(dim=2, correction=0).sum((1, 2))
        torch.testing.assert_close(task.language_spread(weights, batch, drawn), expected)


@torch.no_grad()
def test_coordinate_spread_is_the_language_spread_before_it_is_summed(task, batch):
    weights = moved(task, runs=1)
    with torch.enable_grad():
        each = pair_gradients(task, weights[0], batch)  # [B, K, D]
    got = task.coordinate_spread(weights[0], batch)
    torch.testing.assert_close(got, each.var(dim=1, correction=0).sum(0))
    total = task.language_spread(weights, batch, range(3))
    torch.testing.assert_close(got.sum(), total[0])


@torch.no_grad()
def test_gradients_are_weighted_sums_of_pair_gradients(task, batch):
    weights, distribution = moved(task), torch.rand(2, 6, 3, dtype=torch.float64)
    with torch.enable_grad():
        each = torch.stack([pair_gradients(task, w, batch) for w in weights])
    expected = (distribution[..., None] * each).sum((1, 2))
    torch.testing.assert_close(task.gradients(weights, distribution, batch), expected)


def test_mixed_gradient_is_that_of_practical_ml_clap(task, batch):
    languages = torch.tensor([[0, 2, 1, 1, 0, 2]])
    weights = task.flat.start.clone().requires_grad_()
    clips, texts = task.flat(task.flat.split(weights), *batch)
    ml_clap_loss(clips, texts[torch.arange(6), languages[0]], TAU).backward()
    with torch.no_grad():
        got = task.gradients(weights.detach()[None], languages, batch, task.mixed_loss)
    torch.testing.assert_close(got[0], weights.grad)


@torch.no_grad()
def test_pair_curvature_reaches_the_spectral_norm_from_below(task, batch):
    def loss(weights):
        return task.losses(task.flat.split(weights), batch)

    hessians = torch.func.hessian(loss)(task.flat.start)  # [B, K, D, D], for 56 weights only
    exact = torch.linalg.matrix_norm(hessians, ord=2)
    sizes = [task.pair_curvature(task.flat.start, batch, count) for count in (1, 3, 100)]
    assert (sizes[0] <= sizes[1]).all() and (sizes[1] <= sizes[2]).all()
    assert (sizes[2] <= exact * (1 + 1e-12)).all()
    torch.testing.assert_close(sizes[2], exact, rtol=0.02, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("mixed", [False, True])
def test_linear_gradients_err_by_the_square_of_the_distance(task, batch, mixed):
    drawn = (
        torch.tensor([[0, 2, 1, 1, 0, 2]])
        if mixed
        else torch.full((1, 6, 3), 1 / 18, dtype=torch.float64)
    )
    loss = task.mixed_loss if mixed else None
    errors = []
    for size in (1e-3, 1e-4):
        there = moved(task, runs=1, size=size)
        seen = task.gradients(there, drawn, batch, loss, anchor=task.flat.start)
        errors.append((seen - task.gradients(there, drawn, batch, loss)).norm().item())
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.1)


@torch.no_grad()
def test_chunks_change_nothing(task, batch, monkeypatch):
    weights, distribution = moved(task, runs=3), torch.full((3, 6, 3), 1 / 18, dtype=torch.float64)

    def everything():
        return (
            task.gradients(weights, distribution, batch),
            task.gradients(weights, distribution, batch, anchor=task.flat.start),
            task.pair_norms(weights[0], batch),
            task.language_spread(weights, batch, range(3)),
            task.pair_curvature(weights[0], batch, 2),
        )

    whole = everything()
    for size in (1, 400, 900):
        monkeypatch.setattr(model_functions, "WORKING_SET", size)
        torch.testing.assert_close(everything(), whole)
