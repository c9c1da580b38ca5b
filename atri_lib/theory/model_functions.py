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

from atri_lib.losses import pair_losses

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
    .start: its present weights; .sizes: how many of them each parameter has.
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
        self.sizes = list(map(len, pieces))
        self.start = torch.cat(pieces)

    def embed(self, weights: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The model's two outputs with these weights [D] in place."""
        placed = map(torch.reshape, weights.split(self.sizes), self.shapes.values())
        named = dict(zip(self.shapes, placed, strict=True))
        return functional_call(self.model, named, batch)

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
        return self.losses(weights, (clip_features, drawn[:, None])).mean()

    def gradients(
        self, weights: Tensor, distribution: Tensor, batch: Batch, loss: Loss | None = None
    ) -> Tensor:
        """Gradients of S losses, [S, D]: of every run, for every p', or for pairs of both.

        weights: [S, D], or [D] for all; distribution: p' on the batch, [S, B, K], or [B, K] for
        all. At the same weights the losses of pairs are computed once, which saves most of the
        time. loss: `weighted_loss` unless given.
        """
        slope = grad(loss or self.weighted_loss)
        runs = 0 if weights.ndim == 2 else None
        draws = 0 if distribution.ndim == 3 else None
        at_once = rows(weights.shape[-1])
        of_all = vmap(slope, in_dims=(runs, draws, None), chunk_size=at_once)
        return of_all(weights, distribution, batch)

    def pair_constants(
        self, weights: Tensor, batch: Batch, iterations: int
    ) -> tuple[Tensor, Tensor]:
        """||grad l_ik|| and the spectral norm of the Hessian of l_ik at weights [D], [B, K] each.

        The second by power iteration from the gradient. It converges from below: after any number
        of iterations it is at most the Lipschitz constant of grad l_ik.
        """
        clip_features, texts = batch
        pairs = torch.eye(len(texts), dtype=weights.dtype)[..., None]  # one clip each, [B, B, 1]
        at_once = rows(4 * len(weights))

        def one_pair(alone: Batch, pair: Tensor) -> Tensor:
            # A Hessian is symmetric: pulling back through the gradient is the product, at half
            # the cost of forward mode, because what lies below is kept between iterations.
            slope = functools.partial(grad(self.weighted_loss), distribution=pair, batch=alone)
            vector, pull_back = vjp(slope, weights)
            length = vector.norm()
            size = torch.zeros_like(length)
            for _ in range(iterations):
                unit = nn.functional.normalize(vector, dim=0)
                (vector,) = pull_back(unit)
                size = torch.maximum(size, vector.norm())
            return torch.stack([length, size])

        # Languages apart: a pair's gradient never passes through another language's captions.
        each = vmap(one_pair, in_dims=(None, 0), chunk_size=at_once)
        by_language = [each((clip_features, alone), pairs) for alone in texts.split(1, dim=1)]
        return torch.stack(by_language, dim=1).unbind(-1)


def rows(numbers: int) -> int:
    """How many rows of that many numbers fit the working set."""
    return max(1, WORKING_SET // numbers)
