"""A model and its data as functions of one flat weight vector.

Losses, gradients and curvature, per pair and per run.

Memory is linear in the number of weights D: Hessians appear only as products with a vector, and
where many gradients of D numbers are needed they are made and reduced in chunks of at most
WORKING_SET numbers.
"""

import copy
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vjp, vmap

from atri_lib.losses import info_nce, pair_losses

# Numbers held at once per chunk of gradients: 64 MiB in float64, a few times that with temporaries.
WORKING_SET = 2**23

Batch = tuple[Tensor, Tensor]  # clip features [B, ...], text features [B, K, ...]
Loss = Callable[[Tensor, Tensor, Batch], Tensor]  # weights [D], p' [B, K], batch; to a scalar


class Task:
    """Contrastive learning of a model: losses and derivatives at any weights and batch.

    Weights are the values of all parameters that require a gradient, joined into one vector [D].

    model: maps (clip features [B, ...], text features [B, K, ...]) to unit vectors (clips [B, d],
    texts [B, K, d]), each language on its own. It is copied, converted to dtype, put in evaluation
    mode (no dropout, frozen buffers).
    .start: its present weights. Raises ValueError if no parameter requires a gradient.
    """

    def __init__(
        self, model: nn.Module, temperature: float, dtype: torch.dtype = torch.float64
    ) -> None:
        self.model = copy.deepcopy(model).to(dtype).eval()
        self.temperature = temperature
        self.shapes = {}
        pieces = []
        for name, value in self.model.named_parameters():
            if value.requires_grad:
                self.shapes[name] = value.shape
                pieces.append(value.detach().flatten())
        if not pieces:
            raise ValueError("no weights to follow: no parameter requires a gradient")
        self.start = torch.cat(pieces)

    def embed(self, weights: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The model's two outputs with these weights [D] in place."""
        placed = map(torch.reshape, self.split(weights), self.shapes.values())
        named = dict(zip(self.shapes, placed, strict=True))
        return functional_call(self.model, named, batch)

    def split(self, weights: Tensor) -> tuple[Tensor, ...]:
        """[D] to one piece per parameter, in one dimension each."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        return weights.split(sizes)

    def losses(self, weights: Tensor, batch: Batch) -> Tensor:
        """Pair losses l_ik at weights [D], nats, [B, K]; negatives in the same language."""
        clips, texts = self.embed(weights, batch)
        return pair_losses(clips, texts, self.temperature)

    def weighted_loss(self, weights: Tensor, distribution: Tensor, batch: Batch) -> Tensor:
        """L_p' at weights [D] for p' on the batch, [B, K]."""
        losses = self.losses(weights, batch)
        return (distribution * losses).sum()

    def mixed_loss(self, weights: Tensor, distribution: Tensor, batch: Batch) -> Tensor:
        """Practical ML-CLAP's loss at weights [D]: one caption per clip, in the language that has
        all of the clip's p'; negatives mix.
        """
        clip_features, texts = batch
        languages = distribution.argmax(-1)
        drawn = texts[torch.arange(len(texts)), languages]  # [B, ...]
        clips, text = self.embed(weights, (clip_features, drawn[:, None]))
        return info_nce(clips, text[:, 0], self.temperature)

    def gradients(
        self, weights: Tensor, distribution: Tensor, batch: Batch, loss: Loss | None = None
    ) -> Tensor:
        """Gradient of every run's loss, [S, D], at weights [S, D], for p' on the batch [S, B, K].

        loss: `weighted_loss` unless given.
        """
        slope = grad(loss or self.weighted_loss)
        at_once = rows(weights.shape[1])
        of_runs = vmap(slope, in_dims=(0, 0, None), chunk_size=at_once)
        return of_runs(weights, distribution, batch)

    def gradients_at(self, weights: Tensor, distributions: Tensor, batch: Batch) -> Tensor:
        """grad L_q at the same weights [D] for distributions q on the batch, [S, B, K]: [S, D].

        What `gradients` gives, in less than its time: the losses are computed once, and only their
        weights differ.
        """
        losses = functools.partial(self.losses, batch=batch)
        _, pull_back = vjp(losses, weights)
        at_once = rows(len(weights))
        (gradients,) = vmap(pull_back, chunk_size=at_once)(distributions)
        return gradients

    def pair_norms(self, weights: Tensor, batch: Batch) -> Tensor:
        """||grad l_ik|| at weights [D], [B, K]."""
        pull_backs = self.pair_gradients(weights, batch)

        def one_clip(clip: Tensor) -> Tensor:
            gradients = [pull_back(clip)[0] for pull_back in pull_backs]
            return torch.stack(gradients).norm(dim=1)

        at_once = rows(len(pull_backs) * len(weights))
        return vmap(one_clip, chunk_size=at_once)(one_hot(batch))

    def pair_gradients(self, weights: Tensor, batch: Batch) -> list[Callable]:
        """One function per language: a one-hot clip [B] to (the gradient of that clip's pair loss,
        [D],).

        Languages apart, because a pair's gradient never passes through another language's captions.
        """
        pull_backs = []
        for k in range(batch[1].shape[1]):
            losses = functools.partial(self._language_losses, batch, k)
            _, pull_back = vjp(losses, weights)
            pull_backs.append(pull_back)
        return pull_backs

    def pair_curvature(self, weights: Tensor, batch: Batch, iterations: int) -> Tensor:
        """Spectral norm of every pair's Hessian at weights [D], [B, K].

        By power iteration from the pair's gradient. Converges from below: after any number of
        iterations it is at most the Lipschitz constant of grad l_ik.
        """

        def one_pair(k: int, clip: Tensor) -> Tensor:
            def pair_loss(w: Tensor) -> Tensor:
                return clip @ self._language_losses(batch, k, w)

            # A Hessian is symmetric: pulling back through the gradient is the product, at half
            # the cost of forward mode, because what lies below is kept between iterations.
            vector, pull_back = vjp(grad(pair_loss), weights)
            size = clip.new_zeros(())
            for _ in range(iterations):
                unit = nn.functional.normalize(vector, dim=0)
                (vector,) = pull_back(unit)
                size = torch.maximum(size, vector.norm())
            return size

        at_once = rows(4 * len(weights))
        by_language = []
        for k in range(batch[1].shape[1]):
            one_clip = functools.partial(one_pair, k)
            sizes = vmap(one_clip, chunk_size=at_once)(one_hot(batch))
            by_language.append(sizes)
        return torch.stack(by_language, dim=1)

    def _language_losses(self, batch: Batch, k: int, weights: Tensor) -> Tensor:
        """The pair losses of language k, [B]."""
        clip_features, texts = batch
        one = clip_features, texts[:, k, None]
        return self.losses(weights, one)[:, 0]


def rows(numbers: int) -> int:
    """How many rows of that many numbers fit the working set."""
    return max(1, WORKING_SET // numbers)


def one_hot(batch: Batch) -> Tensor:
    """The clips of a batch as rows [B, B]."""
    clip_features, _ = batch
    return torch.eye(len(clip_features), dtype=clip_features.dtype)
