"""One training step: the loss on gathered embeddings, its gradient pushed back into the encoders.

The loss is computed on *leaves*: detached embeddings of the whole global batch, the same on every process. Its
gradient with respect to a process's own rows is then sent through that process's graph. So negatives come from all
processes with exact gradients and no communication in the backward pass, and the texts of one language can be
encoded, contrasted and freed before the next (gradient caching: Gao et al. 2021).
"""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from atri_lib.losses import cacl_loss, info_nce, kcl_loss, ml_clap_loss


def batch_loss(scheme: str, audio: Tensor, texts: Tensor, temperature: Tensor | float) -> Tensor:
    """The scheme's objective for audio [N, d] and the texts it drew [N, m, d]; nats.

    ml_clap, latin and english contrast the one text of each clip, cacl audio, English and the other language in a
    triangle, kcl and m_of_k average the contrast over the m texts.
    """
    if scheme in ("ml_clap", "latin", "english"):
        return ml_clap_loss(audio, texts[:, 0], temperature)
    if scheme == "cacl":
        return cacl_loss(audio, texts[:, 0], texts[:, 1], temperature)
    if scheme in ("kcl", "m_of_k"):
        return kcl_loss(audio, texts, temperature)
    raise ValueError(f"no loss for scheme {scheme!r}")


def backward(
    model: nn.Module, scheme: str, audio_input: Tensor | list, text_inputs: Sequence, text_chunk: int = 0
) -> float:
    """Add the gradient of the global batch's loss to `.grad` of every parameter; return the loss in nats.

    audio_input: this process's clips; text_inputs: for each of the m drawn languages, this process's captions.
    text_chunk: captions per forward pass of the text side; 0 encodes all m languages at once. Any chunk gives the
    same gradients. With several processes, average the gradients afterwards (`average_gradients`).
    """
    audio = model.encode_audio(audio_input)
    leaf = _leaf(audio)
    if text_chunk and scheme in ("kcl", "m_of_k"):
        loss = 0.0
        for text_input in text_inputs:
            loss += _encode_and_push(
                model, [text_input], text_chunk,
                lambda texts: info_nce(leaf, texts[:, 0], model.temperature) / len(text_inputs),
            )  # fmt: skip
    else:
        loss = _encode_and_push(
            model, text_inputs, 0, lambda texts: batch_loss(scheme, leaf, texts, model.temperature)
        )
    if audio.requires_grad:
        audio.backward(_own_rows(leaf.grad, len(audio)))
    return loss


def _encode_and_push(model: nn.Module, inputs: Sequence, chunk: int, loss_of: Callable[[Tensor], Tensor]) -> float:
    """Encode captions, take the loss of their leaf [N, m, d], send its gradient into the text encoder."""
    rows = _length(inputs[0])
    if not chunk or chunk >= rows:
        texts = model.encode_text(_join(inputs)).unflatten(0, (len(inputs), rows)).transpose(0, 1)  # [n, m, d]
        leaf = _leaf(texts)
        loss = loss_of(leaf)
        loss.backward()
        if texts.requires_grad:
            texts.backward(_own_rows(leaf.grad, rows))
        return loss.item()
    starts, states, parts = range(0, rows, chunk), [], []
    with torch.no_grad():
        for start in starts:
            states.append(_random_state())
            parts.append(model.encode_text(_rows(inputs[0], start, start + chunk)))
    leaf = _leaf(torch.cat(parts).unsqueeze(1))
    loss = loss_of(leaf)
    loss.backward()
    gradient, after = _own_rows(leaf.grad, rows).squeeze(1), _random_state()
    for start, state in zip(starts, states, strict=True):
        _set_random_state(state)  # the same dropout masks as in the pass without gradient
        part = model.encode_text(_rows(inputs[0], start, start + chunk))
        if part.requires_grad:
            part.backward(gradient[start : start + chunk])
    _set_random_state(after)
    return loss.item()


def _processes() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def _leaf(embeddings: Tensor) -> Tensor:
    """All processes' rows of a detached embedding, as a leaf that collects gradient."""
    rank, world = _processes()
    rows = embeddings.detach().float() if embeddings.dtype == torch.bfloat16 else embeddings.detach()
    if world > 1:
        gathered = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world)]
        dist.all_gather(gathered, rows.contiguous())
        rows = torch.cat(gathered)
    return rows.clone().requires_grad_(True)


def _own_rows(gradient: Tensor, rows: int) -> Tensor:
    """This process's part, times the number of processes, since gradients are averaged afterwards."""
    rank, world = _processes()
    return gradient[rank * rows : (rank + 1) * rows] * world


def average_gradients(model: nn.Module) -> None:
    """Average `.grad` over processes, one message per parameter; no-op on one process."""
    _, world = _processes()
    if world == 1:
        return
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
            parameter.grad /= world


def _length(text_input: Tensor | dict[str, Tensor]) -> int:
    return len(text_input) if isinstance(text_input, Tensor) else len(next(iter(text_input.values())))


def _rows(text_input: Tensor | dict[str, Tensor], start: int, stop: int) -> Tensor | dict[str, Tensor]:
    if isinstance(text_input, Tensor):
        return text_input[start:stop]
    return {name: values[start:stop] for name, values in text_input.items()}


def _join(inputs: Sequence) -> Tensor | dict[str, Tensor]:
    """Captions of m languages behind each other; tokens are padded to the longest with zeros."""
    if isinstance(inputs[0], Tensor):
        return torch.cat(list(inputs))
    joined = {}
    for name in inputs[0]:
        longest = max(tokens[name].shape[1] for tokens in inputs)
        padded = [nn.functional.pad(tokens[name], (0, longest - tokens[name].shape[1])) for tokens in inputs]
        joined[name] = torch.cat(padded)
    return joined


def _random_state() -> tuple[Tensor, list[Tensor]]:
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _set_random_state(state: tuple[Tensor, list[Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
