"""Linear response of the models that are really trained: full projections, Adam, schedule, dropout,
mixed negatives.

`response.respond` asks what a scheme does to small heads in float64. Here the ideal run is a KCL
run of `training` itself, step by step: its weights, its order of clips, its learning rates and its
dropout masks.
"""

from collections.abc import Callable, Iterator
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
class Moment:
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


def moments(config: TrainConfig, source: Source) -> Iterator[Moment]:
    """Every step of a run in its order; the same for all schemes, which only choose the
    languages.
    """
    batch = min(config.batch_size, len(source))
    steps = len(source) // batch
    for epoch in range(config.epochs):
        order, captions = _epoch_order(config.seed, epoch, source)
        for step in range(steps):
            number = epoch * steps + step
            rate = config.learning_rate * _schedule(
                config.schedule, number / (config.epochs * steps)
            )
            rows = order[step * batch : (step + 1) * batch]
            seed = config.seed * 1_000_003 + number
            yield Moment(epoch, rate, seed, rows, captions[rows], step + 1 == steps)


class _Pairs(nn.Module):
    """Both encodings of a model, clips [B, ...] and captions [m B, ...], so that `functional_call`
    can swap weights.
    """

    def __init__(self, model: DualEncoder):
        super().__init__()
        self.model = model

    def forward(self, audio: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode_audio(audio), self.model.encode_text(text)


class Trainee:
    """A config's model as a function of one flat weight vector [D], float32, with the losses that
    training uses.

    Raises ValueError for towers that are open or a learned temperature: only projections are
    followed.
    """

    def __init__(self, config: TrainConfig, data: TrainingData):
        if config.unfreeze or config.learn_temperature:
            raise ValueError(
                "only projections on cached features are followed: leave unfreeze and learn_temperature"
            )
        self.config, self.data, self.source = config, data, data.splits["train"]
        self.model = build_model(config, data).train()
        self.pairs = _Pairs(self.model)
        self.shapes = {
            name: p.shape for name, p in self.pairs.named_parameters() if p.requires_grad
        }
        self.start = torch.cat(
            [self.pairs.get_parameter(name).detach().flatten() for name in self.shapes]
        )
        self._languages: dict[tuple, np.ndarray] = {}

    def parts(self, weights: Tensor) -> dict[str, Tensor]:
        """[D] to the model's parameters by name."""
        pieces = weights.split([shape.numel() for shape in self.shapes.values()])
        return {
            name: piece.view(shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def scheme(self, name: str, seed: int | None = None, **settings) -> Scheme:
        """A scheme over the training clips; with the config's seed it draws as `train` would."""
        config = self.config.replace(
            scheme=name, seed=self.config.seed if seed is None else seed, **settings
        )
        return config.build_scheme(len(self.source))

    def loss(self, scheme: Scheme, moment: Moment) -> Callable[[Tensor], Tensor]:
        """What a step of training minimises, dropout included: weights [D] to nats."""
        clips, texts = self.source.clips(moment.rows), self._texts(scheme, moment)

        def at(weights: Tensor) -> Tensor:
            torch.manual_seed(moment.seed)
            audio, encoded = functional_call(
                self.pairs, self.parts(weights), (clips, torch.cat(texts))
            )
            encoded = encoded.unflatten(0, (len(texts), -1)).transpose(0, 1)  # [B, m, d]
            return scheme.loss(audio, encoded, self.config.temperature)

        return at

    def slope(self, weights: Tensor, scheme: Scheme, moment: Moment) -> Tensor:
        """The gradient [D] that a step of training follows."""
        return grad(self.loss(scheme, moment))(weights)

    def slope_from(self, anchor: Tensor, weights: Tensor, scheme: Scheme, moment: Moment) -> Tensor:
        """The gradient at `weights` as seen from `anchor`: the anchor's, plus its Hessian times the
        way.
        """
        return sum(jvp(grad(self.loss(scheme, moment)), (anchor,), (weights - anchor,)))

    def optimizer(self, weights: Tensor) -> torch.optim.Optimizer:
        """The run's optimiser on a flat copy of the weights, which it will change in place."""
        return _optimizer(self.config, [nn.Parameter(weights.clone())])

    def load(self, weights: Tensor) -> DualEncoder:
        """The model with these weights, in evaluation mode; always the same object."""
        with torch.no_grad():
            for name, piece in self.parts(weights).items():
                self.pairs.get_parameter(name).copy_(piece)
        return self.model.eval()

    def _texts(self, scheme: Scheme, moment: Moment) -> list[Tensor]:
        key = (id(scheme), moment.epoch)
        if key not in self._languages:
            self._languages = {
                known: value for known, value in self._languages.items() if known[1] == moment.epoch
            }
            self._languages[key] = scheme.languages(moment.epoch)  # [N, m]
        columns = torch.from_numpy(self._languages[key][moment.rows.numpy()]).T
        return [self.source.captions(moment.captions, column) for column in columns]


class Follower:
    """One run's weights and optimiser, moved by gradients that it is given."""

    def __init__(self, trainee: Trainee):
        self.optimizer = trainee.optimizer(trainee.start)
        (self.parameter,) = self.optimizer.param_groups[0]["params"]

    @property
    def weights(self) -> Tensor:
        """The present weights [D], to be read at once: the next step changes them in place."""
        return self.parameter.detach()

    def step(self, gradient: Tensor, rate: float) -> None:
        """Follow a gradient [D] with this step size."""
        self.optimizer.param_groups[0]["lr"] = rate
        self.parameter.grad = gradient
        self.optimizer.step()


class Split(Follower):
    """Adam whose direction comes from one gradient and whose second moment, the scale of its steps,
    from another.
    """

    def __init__(self, trainee: Trainee):
        super().__init__(trainee)
        self.first, self.second, self.count = (
            torch.zeros_like(self.weights),
            torch.zeros_like(self.weights),
            0,
        )

    def step_split(self, direction: Tensor, scale: Tensor, rate: float) -> None:
        """Follow `direction` [D], divided by the root of the second moment of `scale` [D]."""
        group = self.optimizer.param_groups[0]
        (beta1, beta2), self.count = group["betas"], self.count + 1
        self.first.lerp_(direction, 1 - beta1)
        self.second.mul_(beta2).addcmul_(scale, scale, value=1 - beta2)
        root = (self.second / (1 - beta2**self.count)).sqrt_().add_(group["eps"])
        self.parameter.data.addcdiv_(self.first, root, value=-rate / (1 - beta1**self.count))


def walk(
    trainee: Trainee,
    measured: dict[str, Scheme],
    predicted: dict[str, Scheme] | None = None,
    ideal: str = "kcl",
) -> Iterator[tuple[int, Tensor, dict[str, Tensor], dict[str, Tensor]]]:
    """Go along the ideal run; train with some schemes beside it, and predict others from it.

    All share start, order of clips and dropout masks. A predicted run follows grad L(w) + H(w) (w'
    - w), its own loss seen from the ideal run's weights w; what the optimiser makes of it is kept
    as it is, and no weights but the ideal run's are visited. Yields after each epoch (from 1): the
    ideal weights [D], and the measured and the predicted ones by name; to be read at once, for the
    next step changes them in place.
    """
    even, lead = trainee.scheme(ideal), Follower(trainee)
    runs = {name: Follower(trainee) for name in measured}
    guesses = {name: Follower(trainee) for name in predicted or {}}
    for moment in moments(trainee.config, trainee.source):
        with torch.random.fork_rng():
            for name, run in runs.items():
                run.step(trainee.slope(run.weights, measured[name], moment), moment.rate)
            for name, run in guesses.items():
                seen = trainee.slope_from(lead.weights, run.weights, predicted[name], moment)
                run.step(seen, moment.rate)
            lead.step(trainee.slope(lead.weights, even, moment), moment.rate)
        if moment.last:
            found, guessed = (
                {name: run.weights for name, run in group.items()} for group in (runs, guesses)
            )
            yield moment.epoch + 1, lead.weights, found, guessed
