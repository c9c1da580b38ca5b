import pytest
import torch

from atri_lib.theory.optimizers import SGD, Adam, Momentum, Runs

THEIRS = {
    SGD(0.1): lambda p: torch.optim.SGD([p], lr=0.1),
    Momentum(0.1, 0.8): lambda p: torch.optim.SGD([p], lr=0.1, momentum=0.8),
    Adam(0.01, 0.8, 0.95, 1e-6): lambda p: torch.optim.Adam(
        [p], lr=0.01, betas=(0.8, 0.95), eps=1e-6
    ),
}


def gradients(steps, *shape):
    return torch.randn(
        steps, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )


def begin(optimizer, weights, runs=1):
    stack = weights.repeat(runs, 1)
    return Runs(optimizer, stack, optimizer.start(stack))


@pytest.mark.parametrize("ours", THEIRS, ids=lambda optimizer: type(optimizer).__name__)
def test_steps_are_those_of_torch(ours):
    parameter = torch.nn.Parameter(gradients(1, 7)[0])
    theirs = THEIRS[ours](parameter)
    runs = begin(ours, parameter.detach())
    for gradient in gradients(6, 7):
        parameter.grad = gradient
        theirs.step()
        runs = runs.after(gradient[None])
        torch.testing.assert_close(runs.weights[0], parameter.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", THEIRS, ids=lambda optimizer: type(optimizer).__name__)
def test_a_stack_of_runs_is_its_runs(optimizer):
    start = gradients(1, 5)[0]
    stack = begin(optimizer, start, 3)
    singles = [begin(optimizer, start) for _ in range(3)]
    for step in gradients(4, 3, 5):
        stack = stack.after(step)
        singles = [run.after(gradient[None]) for run, gradient in zip(singles, step, strict=True)]
    assert torch.equal(stack.weights, torch.cat([run.weights for run in singles]))


@pytest.mark.parametrize("optimizer", THEIRS, ids=lambda optimizer: type(optimizer).__name__)
def test_joint_error_is_at_least_the_weight_error(optimizer):
    one, other = (begin(optimizer, gradients(1, 5)[0]) for _ in range(2))
    assert one.joint_error(other) == 0
    for a, b in zip(gradients(4, 5), gradients(4, 5).flip(0), strict=True):
        one, other = one.after(a[None]), other.after(b[None])
        assert one.joint_error(other) >= one.error(other) > 0


@pytest.mark.parametrize("optimizer", [Momentum(0.1, 0.8), Adam(0.01)], ids=["Momentum", "Adam"])
def test_second_block_of_the_coordinates_is_the_step_just_taken(optimizer):
    before = begin(optimizer, gradients(1, 5)[0]).after(gradients(1, 1, 5)[0])
    after = before.after(gradients(2, 1, 5)[1])
    block = after.coordinates[:, 5:10]
    torch.testing.assert_close(block, before.weights - after.weights)


def test_momentum_without_memory_is_sgd():
    weights, gradient = gradients(2, 1, 4)
    plain = begin(SGD(0.1), weights[0]).after(gradient)
    heavy = begin(Momentum(0.1, 0.0), weights[0]).after(gradient)
    assert torch.equal(plain.weights, heavy.weights)
