"""A model and its data as functions of one flat weight vector.

Losses, gradients and curvature, per pair and per run.

Memory is linear in the number of weights D: Hessians appear only as products with a vector, and
where many gradients of D numbers are needed they are made and reduced in chunks of at most
WORKING_SET numbers.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vjp, vmap

from atri_lib.losses import info_nce, pair_losses

# Numbers held at once per chunk of gradients: 64 MiB in float64, a few times that with temporaries.
WORKING_SET = 2**23

Batch = tuple[Tensor, Tensor]  # clip features [B, ...], text features [B, K, ...]
Loss = Callable[[Tensor, Tensor, Batch], Tensor]  # weights [D], what was drawn, batch; to a scalar


class Flat:
    """A module as a function of the weights that may change, joined into one vector.

    model: maps (clip features [B, ...], text features [B, K, ...]) to unit vectors (clips [B, d],
    texts [B, K, d]), each language on its own. It is copied, converted to dtype, put in evaluation
    mode (no dropout, frozen buffers).
    .start: the values of the parameters that require a gradient, [D]. Raises ValueError if there is
    none.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float64):
        self.model = copy.deepcopy(model).to(dtype).eval()
        moving = {
            name: value.detach()
            for name, value in self.model.named_parameters()
            if value.requires_grad
        }
        if not moving:
            raise ValueError("no weights to follow: no parameter requires a gradient")
        self.shapes = {name: value.shape for name, value in moving.items()}
        self.start = torch.cat([value.flatten() for value in moving.values()])

    def split(self, weights: Tensor) -> tuple[Tensor, ...]:
        """[D] to one tensor per parameter."""
        shapes = self.shapes.values()
        pieces = weights.split([shape.numel() for shape in shapes])
        return tuple(map(torch.reshape, pieces, shapes))

    def __call__(
        self, parts: tuple[Tensor, ...], clip_features: Tensor, texts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The model's two outputs with these parameters in place."""
        named = dict(zip(self.shapes, parts, strict=True))
        return functional_call(self.model, named, (clip_features, texts))


@dataclass(frozen=True)
class Task:
    """Contrastive learning of a `Flat` model: losses and derivatives at any weights and batch."""

    flat: Flat
    temperature: float

    def losses(self, parts: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Pair losses l_ik, nats, [B, K]; negatives in the same language."""
        clips, texts = self.flat(parts, *batch)
        return pair_losses(clips, texts, self.temperature)

    def weighted_loss(self, weights: Tensor, distribution: Tensor, batch: Batch) -> Tensor:
        """L_p' at weights [D] for p' on the batch, [B, K]."""
        losses = self.losses(self.flat.split(weights), batch)
        return (distribution * losses).sum()

    def mixed_loss(self, weights: Tensor, languages: Tensor, batch: Batch) -> Tensor:
        """Practical ML-CLAP's loss at weights [D]: one caption per clip, its language int64 [B];
        negatives mix.
        """
        clip_features, texts = batch
        drawn = texts[torch.arange(len(texts)), languages]  # [B, ...]
        parts = self.flat.split(weights)
        clips, text = self.flat(parts, clip_features, drawn[:, None])
        return info_nce(clips, text[:, 0], self.temperature)

    def gradients(
        self,
        weights: Tensor,
        drawn: Tensor,
        batch: Batch,
        loss: Loss | None = None,
        anchor: Tensor | None = None,
    ) -> Tensor:
        """Gradient of every run's loss, [S, D], at weights [S, D].

        drawn: what the loss takes beside weights and batch, [S, ...]; loss: `weighted_loss` unless
        given. anchor: [D], for the gradient as seen from there: the anchor's gradient plus its
        Hessian times the way.
        """
        loss = loss or self.weighted_loss

        def of_run(w: Tensor, use: Tensor) -> Tensor:
            def slope(u: Tensor) -> Tensor:
                return grad(loss)(u, use, batch)

            if anchor is None:
                return slope(w)
            at_anchor, change = jvp(slope, (anchor,), (w - anchor,))
            return at_anchor + change

        at_once = _rows(len(self.flat.start))
        return vmap(of_run, chunk_size=at_once)(weights, drawn)

    def gradients_at(self, weights: Tensor, distributions: Tensor, batch: Batch) -> Tensor:
        """grad L_q at the same weights [D] for distributions q on the batch, [S, B, K]: [S, D].

        What `gradients` gives, in less than its time: the losses are computed once, and only their
        weights differ.
        """
        _, pull_back = vjp(lambda *parts: self.losses(parts, batch), *self.flat.split(weights))

        def of_distribution(distribution: Tensor) -> Tensor:
            return torch.cat([part.flatten() for part in pull_back(distribution)])

        return vmap(of_distribution, chunk_size=_rows(len(weights)))(distributions)

    def hessian_products(
        self, weights: Tensor, distribution: Tensor, batch: Batch, vectors: Tensor
    ) -> Tensor:
        """The Hessian of L_p' at weights [D], p' on the batch [B, K], times every vector [S, D]:
        [S, D].

        A Hessian is symmetric: pulling back through the gradient is the product, and what does not
        depend on the vector is computed once.
        """

        def slope(w: Tensor) -> Tensor:
            return grad(self.weighted_loss)(w, distribution, batch)

        _, pull_back = vjp(slope, weights)

        def product(vector: Tensor) -> Tensor:
            return pull_back(vector)[0]

        return vmap(product, chunk_size=_rows(4 * len(weights)))(vectors)

    def pair_norms(self, weights: Tensor, batch: Batch) -> Tensor:
        """||grad l_ik|| at weights [D], [B, K]."""
        rows = self._pair_rows(weights, batch)

        def one_clip(clip: Tensor) -> Tensor:
            return torch.stack([_square(row(clip)) for row in rows])

        clips = _one_hot(batch[0])
        return vmap(one_clip, chunk_size=self._clips(batch))(clips).sqrt()

    def language_spread(self, weights: Tensor, batch: Batch, drawn: Sequence[int]) -> Tensor:
        """sum_i Var_k(grad l_ik) over the languages k in `drawn`, exact. [S, D] to [S].

        The variance is the population variance.
        """
        clip_features, texts = batch
        batch = clip_features, texts[:, list(drawn)]
        clips = _one_hot(clip_features)
        at_once = self._clips(batch)
        runs = min(len(weights), at_once)

        def one_run(w: Tensor) -> Tensor:
            rows = self._pair_rows(w, batch)

            def one_clip(clip: Tensor) -> Tensor:
                pieces = [row(clip) for row in rows]
                mean = tuple(sum(part) / len(rows) for part in zip(*pieces, strict=True))
                mean_square = sum(map(_square, pieces)) / len(rows)
                return mean_square - _square(mean)

            clips_at_once = max(1, at_once // runs)
            variances = vmap(one_clip, chunk_size=clips_at_once)(clips)
            return variances.clamp_min(0).sum()

        return vmap(one_run, chunk_size=runs)(weights)

    def coordinate_spread(self, weights: Tensor, batch: Batch) -> Tensor:
        """sum_i Var_k(d l_ik / d w_d) over all languages, for every coordinate d, exact. [D] to
        [D].

        The variance is the population variance; the sum over d is `language_spread`.
        """
        rows = self._pair_rows(weights, batch)
        spread = torch.zeros_like(weights)
        for clips in _one_hot(batch[0]).split(self._clips(batch)):
            by_language = []
            for row in rows:
                pieces = [piece.flatten(1) for piece in vmap(row)(clips)]
                by_language.append(torch.cat(pieces, dim=1))
            each = torch.stack(by_language)  # [K, clips, D]
            spread += each.var(0, correction=0).sum(0)
        return spread

    def pair_curvature(self, weights: Tensor, batch: Batch, iterations: int) -> Tensor:
        """Spectral norm of every pair's Hessian at weights [D], [B, K].

        By power iteration from the pair's gradient. Converges from below: after any number of
        iterations it is at most the Lipschitz constant of grad l_ik.
        """
        clip_features, texts = batch
        parts = self.flat.split(weights)
        clips = _one_hot(clip_features)
        at_once = _rows(4 * len(weights))

        def one_language(text: Tensor) -> Tensor:
            def one_clip(clip: Tensor) -> Tensor:
                def pair_loss(p: tuple[Tensor, ...]) -> Tensor:
                    return (clip * self._language_losses(clip_features, text, *p)).sum()

                # A Hessian is symmetric: pulling back through the gradient is the product, at half
                # the cost of forward mode, because what lies below is kept between iterations.
                vector, pull = vjp(grad(pair_loss), parts)
                size = torch.zeros_like(clip[0])
                for _ in range(iterations):
                    scale = _square(vector).sqrt().clamp_min(torch.finfo(size.dtype).tiny)
                    unit = tuple(piece / scale for piece in vector)
                    (vector,) = pull(unit)
                    size = torch.maximum(size, _square(vector).sqrt())
                return size

            return vmap(one_clip, chunk_size=at_once)(clips)

        by_language = [one_language(text) for text in texts.unbind(1)]
        return torch.stack(by_language, dim=1)

    def _pair_rows(self, weights: Tensor, batch: Batch) -> list[Callable]:
        """One pull-back per language: a one-hot clip [B] to the gradient of that clip's pair loss,
        in parts.

        Languages apart, because a pair's gradient never passes through another language's captions.
        """
        clip_features, texts = batch
        parts = self.flat.split(weights)
        rows = []
        for text in texts.unbind(1):
            losses = functools.partial(self._language_losses, clip_features, text)
            _, pull_back = vjp(losses, *parts)
            rows.append(pull_back)
        return rows

    def _language_losses(self, clip_features: Tensor, text: Tensor, *parts: Tensor) -> Tensor:
        """The pair losses of one language, [B]; text: [B, ...]."""
        return self.losses(parts, (clip_features, text[:, None]))[:, 0]

    def _clips(self, batch: Batch) -> int:
        """How many clips' gradients in all languages to hold at once."""
        return _rows(batch[1].shape[1] * len(self.flat.start))


def _rows(numbers: int) -> int:
    """How many rows of that many numbers fit the working set."""
    return max(1, WORKING_SET // numbers)


def _one_hot(rows: Tensor) -> Tensor:
    return torch.eye(len(rows), dtype=rows.dtype, device=rows.device)


def _square(parts: tuple[Tensor, ...]) -> Tensor:
    # A dot product leaves no temporary of D numbers behind; square().sum() would.
    return sum(part.flatten() @ part.flatten() for part in parts)
