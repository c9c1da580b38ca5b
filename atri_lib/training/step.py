"""One training step: the loss on gathered embeddings, its gradient pushed back into the encoders.

The loss is computed on *leaves*: detached embeddings of the whole global batch, the same on every
process. Its gradient with respect to a process's own rows is then sent through that process's
graph. So negatives come from all processes with exact gradients and no communication in the
backward pass, and texts can be encoded in chunks whose activations are computed again when their
gradient is known (gradient caching: Gao et al. 2021).
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from atri_lib.encoders.text import joined
from atri_lib.schemes import Scheme

Captions = Tensor | dict[str, Tensor]  # features [n, D], or tokens by name [n, L]


def backward(
    model: nn.Module,
    scheme: Scheme,
    clip_inputs: Tensor | list,
    text_inputs: Sequence[Captions],
    text_chunk: int = 0,
) -> Tensor:
    """Add the gradient of the global batch's loss to `.grad` of every parameter; return the loss in
    nats, detached.

    clip_inputs: this process's clips; text_inputs: for each of the m drawn languages, this
    process's captions. text_chunk: captions per forward pass of the text side; 0 encodes all m
    languages at once. Any chunk gives the same gradients. With several processes, average the
    gradients afterwards (`average_gradients`). Nothing here waits for the device.
    """
    clips = model.encode_clips(clip_inputs)
    leaf = _leaf(clips)
    groups = [slice(None)]
    if text_chunk and not scheme.together:
        # A language is encoded, contrasted and freed before the next.
        groups = [slice(j, j + 1) for j in range(len(text_inputs))]
    losses = []
    for columns in groups:
        parts = _encode_texts(model, text_inputs[columns], len(clips), text_chunk)
        texts = torch.cat(parts).unflatten(0, (-1, len(clips)))  # [m, n, d]
        text_leaf = _leaf(texts.transpose(0, 1))  # [n, m, d]
        loss = scheme.loss(leaf, text_leaf, model.temperature, columns)
        loss.backward()
        gradient = _own_gradient(text_leaf, len(clips)).transpose(0, 1)
        rows = gradient.flatten(0, 1)  # [m n, d], as encoded
        lengths = [len(part) for part in parts]
        for part, own in zip(parts, rows.split(lengths), strict=True):
            part.backward(own)
        losses.append(loss.detach())
    clips.backward(_own_gradient(leaf, len(clips)))
    return torch.stack(losses).sum()


def _encode_texts(
    model: nn.Module, inputs: Sequence[Captions], rows: int, chunk: int
) -> list[Tensor]:
    """Embeddings of m languages' captions of `rows` clips by chunk, [m rows, d] in all. Of a chunk
    no activations are kept: they are computed again, with the same dropout masks, when its gradient
    is known.
    """
    if not chunk or chunk >= rows * len(inputs):
        return [model.encode_text(_join(inputs))]
    parts = []
    for captions in inputs:
        for begin in range(0, rows, chunk):
            piece = _piece(captions, slice(begin, begin + chunk))
            parts.append(checkpoint(model.encode_text, piece, use_reentrant=False))
    return parts


def _processes() -> tuple[int, int]:
    """This process's number, and how many there are."""
    if dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _leaf(embeddings: Tensor) -> Tensor:
    """All processes' rows of a detached embedding, as a leaf that collects gradient."""
    _, world = _processes()
    rows = embeddings.detach()
    if rows.dtype == torch.bfloat16:
        rows = rows.float()
    if world > 1:
        rows = rows.contiguous()
        gathered = [torch.empty_like(rows) for _ in range(world)]
        dist.all_gather(gathered, rows)
        rows = torch.cat(gathered)
    return rows.requires_grad_()


def _own_gradient(leaf: Tensor, rows: int) -> Tensor:
    """This process's part, times the number of processes, since gradients are averaged
    afterwards.
    """
    rank, world = _processes()
    return leaf.grad[rank * rows : (rank + 1) * rows] * world


def average_gradients(model: nn.Module) -> None:
    """Average `.grad` over processes, one message per parameter; no-op on one process."""
    _, world = _processes()
    if world == 1:
        return
    for parameter in model.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= world


def _piece(captions: Captions, rows: slice) -> Captions:
    if isinstance(captions, Tensor):
        return captions[rows]
    return {name: values[rows] for name, values in captions.items()}


def _join(inputs: Sequence[Captions]) -> Captions:
    """Captions of m languages behind each other; tokens are padded to the longest with zeros."""
    if isinstance(inputs[0], Tensor):
        return torch.cat(list(inputs))
    return joined(inputs)
