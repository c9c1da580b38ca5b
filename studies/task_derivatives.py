"""Derivatives of a contrastive task that only studies need, made in chunks as `Task` makes its own.

Hessians appear as products with vectors; variances over languages are exact.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.func import grad, jvp, vjp, vmap

from atri_lib.theory.model_functions import Batch, Loss, Task, rows


def gradients_seen_from(
    anchor: Tensor, weights: Tensor, distribution: Tensor, batch: Batch, loss: Loss
) -> Tensor:
    """What `Task.gradients` gives, as seen from an anchor [D]: the anchor's gradient plus its
    Hessian times the way.

    weights: [S, D]; distribution: p' on the batch, [S, B, K]. Returns [S, D].
    """

    def of_run(w: Tensor, use: Tensor) -> Tensor:
        def slope(u: Tensor) -> Tensor:
            return grad(loss)(u, use, batch)

        at_anchor, change = jvp(slope, (anchor,), (w - anchor,))
        return at_anchor + change

    at_once = rows(len(anchor))
    return vmap(of_run, chunk_size=at_once)(weights, distribution)


def hessian_products(
    task: Task, weights: Tensor, distribution: Tensor, batch: Batch, vectors: Tensor
) -> Tensor:
    """The Hessian of L_p' at weights [D] times every vector [S, D]; p' on the batch, [B, K].

    A Hessian is symmetric: pulling back through the gradient is the product, and what does not
    depend on the vector is computed once. Returns [S, D].
    """

    def slope(w: Tensor) -> Tensor:
        return grad(task.weighted_loss)(w, distribution, batch)

    _, pull_back = vjp(slope, weights)
    at_once = rows(4 * len(weights))
    (products,) = vmap(pull_back, chunk_size=at_once)(vectors)
    return products


def language_spread(task: Task, weights: Tensor, batch: Batch, drawn: Sequence[int]) -> Tensor:
    """sum_i Var_k(grad l_ik) over the languages k in `drawn`, exact. [S, D] to [S].

    The variance is the population variance.
    """
    clip_features, texts = batch
    batch = clip_features, texts[:, list(drawn)]
    clips = _one_hot(batch)
    at_once = rows(len(drawn) * weights.shape[1])
    runs = min(len(weights), at_once)

    def one_run(w: Tensor) -> Tensor:
        pull_backs = _pair_gradients(task, w, batch)

        def one_clip(clip: Tensor) -> Tensor:
            gradients = [pull_back(clip)[0] for pull_back in pull_backs]
            mean = sum(gradients) / len(gradients)
            squares = [_square(task, gradient) for gradient in gradients]
            return sum(squares) / len(squares) - _square(task, mean)

        clips_at_once = max(1, at_once // runs)
        variances = vmap(one_clip, chunk_size=clips_at_once)(clips)
        return variances.clamp_min(0).sum()

    return vmap(one_run, chunk_size=runs)(weights)


def coordinate_spread(task: Task, weights: Tensor, batch: Batch) -> Tensor:
    """sum_i Var_k(d l_ik / d w_d) over all languages, for every coordinate d, exact. [D] to [D].

    The variance is the population variance; the sum over d is `language_spread`.
    """
    pull_backs = _pair_gradients(task, weights, batch)
    at_once = rows(len(pull_backs) * len(weights))
    spread = torch.zeros_like(weights)
    for clips in _one_hot(batch).split(at_once):
        each = [_all_at_once(pull_back, clips) for pull_back in pull_backs]
        gradients = torch.stack(each)  # [K, clips, D]
        spread += gradients.var(0, correction=0).sum(0)
    return spread


def _square(task: Task, gradient: Tensor) -> Tensor:
    """||gradient||^2, summed parameter by parameter."""
    return sum(piece @ piece for piece in gradient.split(task.sizes))


def _all_at_once(pull_back: Callable, clips: Tensor) -> Tensor:
    (gradients,) = vmap(pull_back)(clips)
    return gradients


def _pair_gradients(task: Task, weights: Tensor, batch: Batch) -> list[Callable]:
    """One function per language: a one-hot clip [B] to (the gradient of that clip's pair loss,
    [D],).

    Languages apart, because a pair's gradient never passes through another language's captions.
    """
    clip_features, texts = batch
    pull_backs = []
    for of_language in texts.split(1, dim=1):
        losses = partial(_losses_alone, task, (clip_features, of_language))
        _, pull_back = vjp(losses, weights)
        pull_backs.append(pull_back)
    return pull_backs


def _losses_alone(task: Task, batch: Batch, weights: Tensor) -> Tensor:
    """The pair losses of a batch in one language, [B]."""
    return task.losses(weights, batch)[:, 0]


def _one_hot(batch: Batch) -> Tensor:
    """The clips of a batch as rows [B, B]."""
    clip_features, _ = batch
    return torch.eye(len(clip_features), dtype=clip_features.dtype)
