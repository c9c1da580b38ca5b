"""SGD, momentum and Adam as maps on (weights, state), free of any module, so that two runs can be compared exactly.

`step` works elementwise on weights of any leading shape ([D], or [S, D] for a stack of runs) and returns new tensors.
`coordinates` puts the joint state into the units of the weights: the norm in which joint errors are measured.
`gain`: how far a gradient's noise of length 1 moves the weights in the same step; None where that is not linear.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

State = tuple


class Optimizer(Protocol):
    rate: float
    gain: float | None

    def start(self, weights: Tensor) -> State: ...

    def step(self, weights: Tensor, state: State, gradient: Tensor) -> tuple[Tensor, State]: ...

    def coordinates(self, weights: Tensor, state: State) -> Tensor: ...


@dataclass(frozen=True)
class SGD:
    """w <- w - eta g. No state. rate: eta."""

    rate: float

    @property
    def gain(self) -> float:
        return self.rate

    def start(self, weights: Tensor) -> State:
        return ()

    def step(self, weights: Tensor, state: State, gradient: Tensor) -> tuple[Tensor, State]:
        return weights - self.rate * gradient, state

    def coordinates(self, weights: Tensor, state: State) -> Tensor:
        """The weights themselves, [..., D]."""
        return weights


@dataclass(frozen=True)
class Momentum:
    """v <- beta v + g; w <- w - eta v (heavy ball, as torch.optim.SGD). rate: eta; state: (v,)."""

    rate: float
    beta: float = 0.9

    @property
    def gain(self) -> float:
        return self.rate

    def start(self, weights: Tensor) -> State:
        return (torch.zeros_like(weights),)

    def step(self, weights: Tensor, state: State, gradient: Tensor) -> tuple[Tensor, State]:
        velocity = self.beta * state[0] + gradient
        return weights - self.rate * velocity, (velocity,)

    def coordinates(self, weights: Tensor, state: State) -> Tensor:
        """(w, eta v): the weights and the step the velocity prescribes, [..., 2 D]."""
        return torch.cat([weights, self.rate * state[0]], dim=-1)


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (as torch.optim.Adam, no weight decay). state: (m, v, t), t counts the steps."""

    rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    gain: ClassVar[None] = None

    def start(self, weights: Tensor) -> State:
        return torch.zeros_like(weights), torch.zeros_like(weights), 0

    def step(self, weights: Tensor, state: State, gradient: Tensor) -> tuple[Tensor, State]:
        first = self.beta1 * state[0] + (1 - self.beta1) * gradient
        second = self.beta2 * state[1] + (1 - self.beta2) * gradient.square()
        state = first, second, state[2] + 1
        direction, scale = self._corrected(state)
        return weights - self.rate * direction / scale, state

    def coordinates(self, weights: Tensor, state: State) -> Tensor:
        """(w, eta m / scale, eta log scale) with m, v bias-corrected and scale = sqrt(v) + eps, [..., 3 D].

        The second block is the step the moments prescribe; the third changes by eta x when the second moment alone
        would stretch that step by exp(-x).
        """
        direction, scale = self._corrected(state)
        return torch.cat([weights, self.rate * direction / scale, self.rate * scale.log()], dim=-1)

    def _corrected(self, state: State) -> tuple[Tensor, Tensor]:
        first, second, steps = state
        steps = max(steps, 1)  # before the first step both moments are 0, whatever divides them
        return first / (1 - self.beta1**steps), (second / (1 - self.beta2**steps)).sqrt() + self.eps


@dataclass(frozen=True)
class Runs:
    """A stack of S runs under one optimiser: weights [S, D] and its state."""

    optimizer: Optimizer
    weights: Tensor
    state: State

    @classmethod
    def begin(cls, optimizer: Optimizer, weights: Tensor, runs: int = 1) -> "Runs":
        """Equal runs that start at weights [D]."""
        stack = weights.repeat(runs, 1)
        return cls(optimizer, stack, optimizer.start(stack))

    def after(self, gradients: Tensor) -> "Runs":
        """The same runs one step later. gradients: [S, D]."""
        return Runs(self.optimizer, *self.optimizer.step(self.weights, self.state, gradients))

    def error(self, other: "Runs") -> np.ndarray:
        """How far the weights are apart, [S]."""
        return distance(self.weights, other.weights)

    def joint_error(self, other: "Runs") -> np.ndarray:
        """How far the joint states are apart, in the optimiser's coordinates, [S]."""
        mine, theirs = (runs.optimizer.coordinates(runs.weights, runs.state) for runs in (self, other))
        return distance(mine, theirs)


def distance(a: Tensor, b: Tensor) -> np.ndarray:
    """||a - b|| along the last axis."""
    return torch.linalg.vector_norm(a - b, dim=-1).numpy()
