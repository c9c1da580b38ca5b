import pytest
import torch

from atri_lib.theory import model_functions
from atri_lib.theory.model_functions import Task
from studies.task_derivatives import (
    coordinate_spread,
    gradients_seen_from,
    hessian_products,
    language_spread,
)
from tests.theory.toy_heads import features, heads, moved, pair_gradients


@pytest.fixture
def task():
    return Task(heads(), 0.2)


@pytest.fixture
def batch():
    clip_features, texts = features()
    return clip_features.double(), texts.double()


@torch.no_grad()
def test_hessian_products_are_what_gradients_seen_from_the_anchor_add(task, batch):
    generator = torch.Generator().manual_seed(2)
    drawn = torch.rand(6, 3, generator=generator, dtype=torch.float64)
    vectors = torch.randn(4, len(task.start), generator=generator, dtype=torch.float64)
    same = drawn.expand(4, -1, -1)
    there = task.start + vectors
    seen = gradients_seen_from(task.start, there, same, batch, task.weighted_loss)
    products = hessian_products(task, task.start, drawn, batch, vectors)
    here = task.gradients(task.start, drawn[None], batch)
    torch.testing.assert_close(products, seen - here)


@torch.no_grad()
@pytest.mark.parametrize("loss", ["weighted_loss", "mixed_loss"])
def test_linear_gradients_err_by_the_square_of_the_distance(task, batch, loss):
    drawn = torch.nn.functional.one_hot(torch.tensor([[0, 2, 1, 1, 0, 2]])) / 6.0
    loss = getattr(task, loss)
    errors = []
    for size in (1e-3, 1e-4):
        there = moved(task, runs=1, size=size)
        seen = gradients_seen_from(task.start, there, drawn, batch, loss)
        errors.append((seen - task.gradients(there, drawn, batch, loss)).norm().item())
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.1)


@torch.no_grad()
def test_spreads_are_those_of_single_backward_passes(task, batch):
    weights = moved(task)
    with torch.enable_grad():
        each = torch.stack([pair_gradients(task, w, batch) for w in weights])  # [S, B, K, D]
    for drawn in (range(3), range(1, 3)):
        expected = each[:, :, list(drawn)].var(dim=2, correction=0).sum((1, 2))
        torch.testing.assert_close(language_spread(task, weights, batch, drawn), expected)
    by_coordinate = coordinate_spread(task, weights[0], batch)
    torch.testing.assert_close(by_coordinate, each[0].var(dim=1, correction=0).sum(0))


@torch.no_grad()
def test_chunks_change_nothing(task, batch, monkeypatch):
    weights = moved(task, runs=3)
    even = torch.full((3, 6, 3), 1 / 18, dtype=torch.float64)

    def everything():
        return (
            gradients_seen_from(task.start, weights, even, batch, task.weighted_loss),
            hessian_products(task, task.start, even[0], batch, weights),
            language_spread(task, weights, batch, range(3)),
            coordinate_spread(task, weights[0], batch),
        )

    whole = everything()
    for size in (1, 400, 900):
        monkeypatch.setattr(model_functions, "WORKING_SET", size)
        torch.testing.assert_close(everything(), whole)
