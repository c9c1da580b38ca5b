"""SGD, momentum and Adam as maps on (weights, state), free of any module, so that two runs can be
compared exactly.

They work elementwise on weights of any leading shape ([D], or [S, D] for a stack of runs) and
return new tensors. Each has `start`, the state before the first step; `update`, the state one step
later; `move`, how far back the weights go in a step that ends in this state; `coordinates`, the
joint state in the units of the weights, [..., a multiple of D], whose norm measures joint errors.
rate: eta.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Momentum:
    """v <- beta v + g; w <- w - eta v (heavy ball, as torch.optim.SGD). State: v; coordinates:
    (w, eta v).
    """

    rate: float
    beta: float = 0.9

    def start(self, weights: Tensor) -> Tensor:
        return torch.zeros_like(weights)

    def update(self, state: Tensor, gradient: Tensor) -> Tensor:
        return self.beta * state + gradient

    def move(self, state: Tensor) -> Tensor:
        return self.rate * state

    def coordinates(self, weights: Tensor, state: Tensor) -> Tensor:
        return torch.cat([weights, self.move(state)], dim=-1)


@dataclass(frozen=True)
class SGD(Momentum):
    """w <- w - eta g: momentum that forgets at once, so that the weights are all there is."""

    beta: float = 0.0

    def coordinates(self, weights: Tensor, state: Tensor) -> Tensor:
        return weights


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (as torch.optim.Adam, no weight decay). State: (m, v, t), t counts
    the steps.

    Coordinates: (w, eta m / scale, eta log scale) with m, v bias-corrected and scale = sqrt(v) +
    eps. The second block is the step the moments prescribe; the third changes by eta x when v alone
    would stretch that step by exp(-x).
    """

    rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def start(self, weights: Tensor) -> tuple:
        return torch.zeros_like(weights), torch.zeros_like(weights), 0

    def update(self, state: tuple, gradient: Tensor, spread: Tensor | float = 0.0) -> tuple:
        """The state one step later.

        spread: variance of the gradient per coordinate, which the second moment of a noisy run sees
        beside the square of its mean (theorem A, `adam_noise`).
        """
        first, second, steps = state
        first = self.beta1 * first + (1 - self.beta1) * gradient
        second = self.beta2 * second + (1 - self.beta2) * (gradient.square() + spread)
        return first, second, steps + 1

    def move(self, state: tuple) -> Tensor:
        direction, scale = self.corrected(state)
        return self.rate * direction / scale

    def coordinates(self, weights: Tensor, state: tuple) -> Tensor:
        _, scale = self.corrected(state)
        return torch.cat([weights, self.move(state), self.rate * scale.log()], dim=-1)

    def corrected(self, state: tuple) -> tuple[Tensor, Tensor]:
        """Direction and scale of a step, eta direction / scale: the moments without their bias."""
        first, second, steps = state
        steps = max(steps, 1)  # before the first step both moments are 0, whatever divides them
        direction = first / (1 - self.beta1**steps)
        scale = (second / (1 - self.beta2**steps)).sqrt() + self.eps
        return direction, scale


Optimizer = Momentum | Adam


@dataclass(frozen=True)
class Runs:
    """A stack of S runs under one optimiser: weights [S, D] and its state."""

    optimizer: Optimizer
    weights: Tensor
    state: Any

    @property
    def coordinates(self) -> Tensor:
        """The joint state in the optimiser's coordinates, [S, a multiple of D]."""
        return self.optimizer.coordinates(self.weights, self.state)

    def after(self, gradients: Tensor) -> "Runs":
        """The same runs one step later. gradients: [S, D]."""
        state = self.optimizer.update(self.state, gradients)
        return Runs(self.optimizer, self.weights - self.optimizer.move(state), state)

    def error(self, other: "Runs") -> np.ndarray:
        """How far the weights are apart, [S]."""
        return distance(self.weights, other.weights)

    def joint_error(self, other: "Runs") -> np.ndarray:
        """How far the joint states are apart, in the optimiser's coordinates, [S]."""
        return distance(self.coordinates, other.coordinates)


def distance(a: Tensor, b: Tensor) -> np.ndarray:
    """||a - b|| along the last axis."""
    return torch.linalg.vector_norm(a - b, dim=-1).numpy()
