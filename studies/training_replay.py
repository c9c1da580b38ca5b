"""Linear response of the models that are really trained: full projections, Adam, schedule, dropout,
mixed negatives.

`linear_response.respond` asks what a scheme does to small heads in float64. Here the ideal run is a
KCL run of `training` itself, step by step: its weights, its order of clips, its learning rates and
its dropout masks.
"""

import functools
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

from atri_lib.encoders.dual import DualEncoder
from atri_lib.schemes import Scheme
from atri_lib.training.config import TrainConfig
from atri_lib.training.loop import _epoch_order, _optimizer, _schedule
from atri_lib.training.sources import Source, TrainingData, build_model


@dataclass(frozen=True)
class TrainingStep:
    """One step of a run, as `training.loop` takes it on one process: who is in the batch, and what
    chance decides.

    epoch from 0; rate: the step size; seed: of the dropout masks; rows: clips [B]; captions: one of
    each clip's, [B].
    """

    epoch: int
    rate: float
    seed: int
    rows: Tensor
    captions: Tensor
    last: bool  # of its epoch


def training_steps(config: TrainConfig, source: Source) -> Iterator[TrainingStep]:
    """Every step of a run in its order; the same for all schemes that only choose the languages
    (`Scheme.ordered_as` is not followed).
    """
    batch = min(config.batch_size, len(source))
    per_epoch = len(source) // batch
    for epoch in range(config.epochs):
        order, captions = _epoch_order(config.seed, epoch, source)
        for place in range(per_epoch):
            number = epoch * per_epoch + place
            done = number / (config.epochs * per_epoch)
            start = place * batch
            rows = order[start : start + batch]
            yield TrainingStep(
                epoch=epoch,
                rate=config.learning_rate * _schedule(config.schedule, done),
                seed=config.seed * 1_000_003 + number,
                rows=rows,
                captions=captions[rows],
                last=place + 1 == per_epoch,
            )


class _Pairs(nn.Module):
    """Both encodings of a model, clips [B, ...] and captions [m B, ...], so that `functional_call`
    can swap weights.
    """

    def __init__(self, model: DualEncoder):
        super().__init__()
        self.model = model

    def forward(self, clips: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode_clips(clips), self.model.encode_text(text)


@functools.lru_cache(maxsize=64)  # more than the schemes that are followed at once
def _languages(scheme: Scheme, epoch: int) -> np.ndarray:
    return scheme.languages(epoch)


class ProjectionTraining:
    """A config's model as a function of one flat weight vector [D], float32, with the losses that
    training uses.

    Raises ValueError for towers that are open or a learned temperature: only projections are
    followed.
    """

    def __init__(self, config: TrainConfig, data: TrainingData):
        if config.unfreeze or config.learn_temperature:
            raise ValueError("only projections are followed: leave unfreeze, learn_temperature")
        self.config = config
        self.data = data
        self.source = data.splits["train"]
        self.model = build_model(config, data).train()
        self.pairs = _Pairs(self.model)
        named = {name: p for name, p in self.pairs.named_parameters() if p.requires_grad}
        self.shapes = {name: p.shape for name, p in named.items()}
        self.start = torch.cat([p.detach().flatten() for p in named.values()])

    @property
    def sizes(self) -> list[int]:
        """How many weights each parameter has; they add up to D."""
        return [shape.numel() for shape in self.shapes.values()]

    def parameters(self, weights: Tensor) -> dict[str, Tensor]:
        """[D] to the model's parameters by name."""
        pieces = zip(self.shapes.items(), weights.split(self.sizes), strict=True)
        return {name: piece.view(shape) for (name, shape), piece in pieces}

    def scheme(self, scheme: str, seed: int | None = None, **settings) -> Scheme:
        """A scheme over the training clips; with the config's seed it draws as `train` would."""
        if seed is None:
            seed = self.config.seed
        config = self.config.replace(scheme=scheme, seed=seed, **settings)
        return config.build_scheme(len(self.source))

    def loss(self, scheme: Scheme, step: TrainingStep) -> Callable[[Tensor], Tensor]:
        """What a step of training minimises, dropout included: weights [D] to nats."""
        given = self.source.clips(step.rows)
        texts = self._texts(scheme, step)

        def at(weights: Tensor) -> Tensor:
            torch.manual_seed(step.seed)
            inputs = (given, torch.cat(texts))
            clips, encoded = functional_call(self.pairs, self.parameters(weights), inputs)
            encoded = encoded.unflatten(0, (len(texts), -1)).transpose(0, 1)  # [B, m, d]
            return scheme.loss(clips, encoded, self.config.temperature)

        return at

    def gradient(self, weights: Tensor, scheme: Scheme, step: TrainingStep) -> Tensor:
        """The gradient [D] that a step of training follows."""
        return grad(self.loss(scheme, step))(weights)

    def linearised_gradient(
        self, anchor: Tensor, weights: Tensor, scheme: Scheme, step: TrainingStep
    ) -> Tensor:
        """The gradient at `weights` as seen from `anchor`: the anchor's, plus its Hessian times the
        displacement.
        """
        gradient = grad(self.loss(scheme, step))
        here, change = jvp(gradient, (anchor,), (weights - anchor,))
        return here + change

    def optimizer(self, weights: Tensor) -> torch.optim.Optimizer:
        """The run's optimiser on a flat copy of the weights, which it will change in place."""
        return _optimizer(self.config, [nn.Parameter(weights.clone())])

    def load(self, weights: Tensor) -> DualEncoder:
        """The model with these weights, in evaluation mode; always the same object."""
        with torch.no_grad():
            for name, piece in self.parameters(weights).items():
                self.pairs.get_parameter(name).copy_(piece)
        return self.model.eval()

    def _texts(self, scheme: Scheme, step: TrainingStep) -> list[Tensor]:
        chosen = _languages(scheme, step.epoch)[step.rows.numpy()]  # [B, m]
        columns = torch.from_numpy(chosen).T
        return [self.source.captions(step.captions, column) for column in columns]


class WeightTrajectory:
    """One run's weights and optimiser, moved by gradients that it is given."""

    def __init__(self, training: ProjectionTraining):
        self.optimizer = training.optimizer(training.start)
        (self.parameter,) = self.optimizer.param_groups[0]["params"]

    @property
    def weights(self) -> Tensor:
        """The present weights [D], to be read at once: the next step changes them in place."""
        return self.parameter.detach()

    def follow(self, gradient: Tensor, rate: float) -> None:
        """Take a step along a gradient [D] with this step size."""
        self.optimizer.param_groups[0]["lr"] = rate
        self.parameter.grad = gradient
        self.optimizer.step()


class SplitAdam(WeightTrajectory):
    """Adam whose direction comes from one gradient and whose second moment, the scale of its steps,
    from another.
    """

    def __init__(self, training: ProjectionTraining):
        super().__init__(training)
        self.first = torch.zeros_like(self.weights)
        self.second = torch.zeros_like(self.weights)
        self.count = 0

    def follow_split(self, direction: Tensor, scale: Tensor, rate: float) -> None:
        """Follow `direction` [D], divided by the root of the second moment of `scale` [D]."""
        group = self.optimizer.param_groups[0]
        beta1, beta2 = group["betas"]
        self.count += 1
        self.first.lerp_(direction, 1 - beta1)
        self.second.mul_(beta2).addcmul_(scale, scale, value=1 - beta2)
        corrected = self.second / (1 - beta2**self.count)
        root = corrected.sqrt_().add_(group["eps"])
        self.parameter.data.addcdiv_(self.first, root, value=-rate / (1 - beta1**self.count))


@dataclass(frozen=True)
class EpochEnd:
    """Weights [D] after an epoch (from 1): the ideal run's, and by name those of the measured and
    the predicted runs; to be read at once, for the next step changes them in place.
    """

    epoch: int
    ideal: Tensor
    measured: dict[Hashable, Tensor]
    predicted: dict[Hashable, Tensor]

    def measured_displacements(self) -> dict[Hashable, Tensor]:
        """How far the measured runs are from the ideal one."""
        return {name: weights - self.ideal for name, weights in self.measured.items()}

    def predicted_displacements(self) -> dict[Hashable, Tensor]:
        """How far the predicted runs are from the ideal one."""
        return {name: weights - self.ideal for name, weights in self.predicted.items()}


def trajectories(
    training: ProjectionTraining,
    measured: dict[Hashable, Scheme],
    predicted: dict[Hashable, Scheme],
) -> Iterator[EpochEnd]:
    """Go along the KCL run; train with some schemes beside it, and predict others from it.

    All share start, order of clips and dropout masks. A predicted run follows grad L(w) + H(w) (w'
    - w), its own loss seen from the ideal run's weights w; what the optimiser makes of it is kept
    as it is, and no weights but the ideal run's are visited. Yields after each epoch.
    """
    even = training.scheme("kcl")
    ideal = WeightTrajectory(training)
    trained = {name: WeightTrajectory(training) for name in measured}
    guessed = {name: WeightTrajectory(training) for name in predicted}
    for step in training_steps(training.config, training.source):
        with torch.random.fork_rng():
            for name, run in trained.items():
                gradient = training.gradient(run.weights, measured[name], step)
                run.follow(gradient, step.rate)
            for name, run in guessed.items():
                gradient = training.linearised_gradient(
                    ideal.weights, run.weights, predicted[name], step
                )
                run.follow(gradient, step.rate)
            gradient = training.gradient(ideal.weights, even, step)
            ideal.follow(gradient, step.rate)
        if step.last:
            yield EpochEnd(
                epoch=step.epoch + 1,
                ideal=ideal.weights,
                measured={name: run.weights for name, run in trained.items()},
                predicted={name: run.weights for name, run in guessed.items()},
            )
