"""Theorem A: what drawing languages does to an Adam run, from the ideal run and without a draw.

Language noise n_t has mean zero and, coordinate by coordinate, the variance

    s_d^2 = f |B|^-2 sum_i Var_k(d l_ik / d w_d),    f = (K - m) / (m (K - 1)).

Adam's second moment sees g^2 + s^2: the mean over draws is a run whose clock goes slower. A draw's
own part follows Adam's step linearised about that run: momentum noise with its preconditioner, and
what the noise does to the second moment. `symbolic.adam` derives both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atri_lib.theory.experiment import Experiment, Step
from atri_lib.theory.optimizers import Adam, Runs
from studies.mean_square_law import sampling_factor
from studies.task_derivatives import coordinate_spread, hessian_products


@dataclass(frozen=True)
class Prediction:
    """The displacement after one step, for every m asked for.

    systematic: the mean over draws of w'_t, minus w_t, [M, D]; own: root of the mean squared length
    of what one draw adds to that, [M], on flat ground; curved: the same with the ideal run's
    curvature, [M] (nan without probes).
    """

    step: int
    systematic: Tensor
    own: Tensor
    curved: Tensor


def predict(
    experiment: Experiment, optimizer: Adam, chosen: Sequence[int], probes: int = 0, seed: int = 0
) -> Iterator[Prediction]:
    """Predict ML-CLAP (m = 1) and m of K, one `Prediction` per step.

    chosen: the values of m. Only deterministic runs are made: the ideal one, which gives the
    variances, and for each m one run whose second moment is fed g^2 + s^2.

    probes: random vectors with the covariance of the noise, carried along the ideal run's Hessian
    and, beside it, on flat ground, where the answer is known. The ratio of both squared lengths
    corrects the known one.
    """
    factors = [sampling_factor(experiment.languages, m) for m in chosen]
    shares = torch.tensor(factors, dtype=experiment.dtype)[:, None]
    mean = experiment.begin(optimizer, len(chosen))
    own = OwnPart.start(mean.weights)
    probed = _Probes(experiment, optimizer, shares, probes, seed)
    for step, ideal, gradient, after in experiment.ideal_run(optimizer, "Adam without draws"):
        total = coordinate_spread(experiment.task, ideal.weights[0], step.data)
        spread = shares * total / len(step.clips) ** 2  # [M, D]
        gradients = experiment.task.gradients(mean.weights, step.even, step.data)
        state = optimizer.update(mean.state, gradients, spread)
        mean = Runs(optimizer, mean.weights - optimizer.move(state), state)
        linear = Linearised.about(optimizer, gradients, spread, state)
        own = own.after(linear)
        ratio = probed.advance(step, ideal.weights[0], gradient, linear)
        systematic = mean.weights - after.weights
        yield Prediction(step.index, systematic, own.length, own.length * ratio)


@dataclass(frozen=True)
class Linearised:
    """One step of Adam, linear in what a draw has beside the mean run, coordinate by coordinate.

    A draw differs by z (its weights, first and second moment minus the mean run's) and is fed the
    noise n and what the square of its gradient has beyond the mean. gradient: the mean run's;
    spread: variance of n; of_first: how far the weights move back by one unit of the first moment;
    of_second: how far forth by one of the second; all [M, D]. `symbolic.adam` has the maps
    (`own_maps`) and the covariance of what is fed (`noise_covariance`).
    """

    optimizer: Adam
    gradient: Tensor
    spread: Tensor
    of_first: Tensor
    of_second: Tensor

    @classmethod
    def about(cls, optimizer: Adam, gradient: Tensor, spread: Tensor, state: tuple) -> "Linearised":
        """About a run that has just taken a step with this gradient and now has this state.

        The derivatives of a step of length eta direction / scale, the first with its sign turned.
        """
        direction, scale = optimizer.corrected(state)
        rate = optimizer.rate
        steps = state[-1]
        young_first = 1 - optimizer.beta1**steps
        young_second = 1 - optimizer.beta2**steps
        of_first = rate / young_first / scale
        root = scale - optimizer.eps
        change = rate * direction / (2 * root * scale**2) / young_second
        of_second = torch.where(root > 0, change, 0.0)
        return cls(optimizer, gradient, spread, of_first, of_second)

    def apply(self, z: Sequence[Tensor], noise: Tensor, square: Tensor) -> tuple[Tensor, ...]:
        """z one step later; noise, square: what gradient and squared gradient have beyond the mean
        run's.
        """
        weights, first, second = z
        beta1 = self.optimizer.beta1
        beta2 = self.optimizer.beta2
        first = beta1 * first + (1 - beta1) * noise
        second = beta2 * second + (1 - beta2) * square
        weights = weights - self.of_first * first + self.of_second * second
        return weights, first, second

    def square(self, noise: Tensor) -> Tensor:
        """What the square of a gradient with this noise has beyond its mean."""
        return 2 * self.gradient * noise + noise.square() - self.spread


@dataclass(frozen=True)
class OwnPart:
    """Covariance over draws of z, on flat ground: [3, 3, M, D], coordinate by coordinate."""

    covariance: Tensor

    @classmethod
    def start(cls, weights: Tensor) -> "OwnPart":
        return cls(weights.new_zeros(3, 3, *weights.shape))

    def after(self, linear: Linearised) -> "OwnPart":
        """One step later: P <- A P A' + b C b', C the covariance of noise and squared gradient.

        A acts on rows, then on columns. The noise of a step adds up that of many clips, so that its
        third and fourth moments are taken as those of a normal variable.
        """
        still = torch.zeros_like(linear.spread)
        one = torch.ones_like(linear.spread)
        nowhere = (still, still, still)
        rows = torch.stack(linear.apply(self.covariance.unbind(0), still, still))
        both = torch.stack(linear.apply(rows.unbind(1), still, still), dim=1)
        by_noise = torch.stack(linear.apply(nowhere, one, 2 * linear.gradient))
        by_square = torch.stack(linear.apply(nowhere, still, one))
        covariance = both + linear.spread * by_noise[:, None] * by_noise
        covariance += 2 * linear.spread**2 * by_square[:, None] * by_square
        return OwnPart(covariance)

    @property
    def length(self) -> Tensor:
        """Root of the mean squared length of the own part of the weights, [M]."""
        squares = self.covariance[0, 0].sum(-1)
        return squares.sqrt()


class _Probes:
    """Random vectors with the covariance of the noise, carried on curved and on flat ground."""

    def __init__(
        self, experiment: Experiment, optimizer: Adam, shares: Tensor, count: int, seed: int
    ) -> None:
        self.task = experiment.task
        self.shares = shares
        self.count = count
        self.generator = torch.Generator().manual_seed(seed)
        size = (count, len(shares), len(self.task.start))
        nowhere = torch.zeros(size, dtype=experiment.dtype)
        self.curved = (nowhere, nowhere, nowhere)
        self.flat = self.curved

    def advance(self, step: Step, anchor: Tensor, gradient: Tensor, linear: Linearised) -> Tensor:
        """Take one step; returns length on curved / length on flat ground, [M].

        anchor: the ideal run's weights before the step, [D]; gradient: its gradient there, [1, D].
        """
        if self.count == 0:
            return torch.full((len(self.shares),), torch.nan, dtype=anchor.dtype)
        drawn = self._noise(step, anchor)[:, None]
        noise = self.shares.sqrt() * drawn  # [count, M, D]
        bent = self._curvature(step, anchor)
        square = linear.square(noise)
        bent_square = 2 * linear.gradient * bent
        self.curved = linear.apply(self.curved, noise + bent, square + bent_square)
        self.flat = linear.apply(self.flat, noise, square)
        on_curved = self.curved[0].square().sum((0, 2))
        on_flat = self.flat[0].square().sum((0, 2))
        return (on_curved / on_flat).sqrt()

    def _noise(self, step: Step, anchor: Tensor) -> Tensor:
        """Gradients of random weights of pairs: mean 0, covariance |B|^-2 sum_i Cov_k(grad l_ik),
        [count, D].
        """
        clips, languages = step.even.shape
        size = (self.count, clips, languages)
        normal = torch.randn(size, generator=self.generator, dtype=anchor.dtype)
        # sum_k z_k (g_k - mean g) / sqrt(K) has the covariance of one g_k drawn at random.
        centred = normal - normal.mean(-1, keepdim=True)
        weights = centred / (clips * languages**0.5)
        return self.task.gradients(anchor, weights, step.data)

    def _curvature(self, step: Step, anchor: Tensor) -> Tensor:
        """The Hessian of the ideal loss times each own part, [count, M, D]."""
        own, *_ = self.curved
        vectors = own.flatten(0, 1)
        changes = hessian_products(self.task, anchor, step.even, step.data, vectors)
        return changes.unflatten(0, own.shape[:2])
