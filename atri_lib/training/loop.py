"""The training loop: the same for projections on cached features and for whole towers on many
GPUs.
"""

import math
import pathlib
import time

import numpy as np
import torch
from torch import Tensor

from atri_lib.encoders.dual import DualEncoder
from atri_lib.progress import progress
from atri_lib.training.checkpoints import read_checkpoint, write_checkpoint
from atri_lib.training.config import TrainConfig
from atri_lib.training.processes import agreed, processes
from atri_lib.training.scoring import score
from atri_lib.training.sources import Source, TrainingData
from atri_lib.training.step import average_gradients, backward


class TrainingDiverged(RuntimeError):
    """The loss or a weight became NaN or infinite; the last good checkpoint is kept."""


def train(
    config: TrainConfig,
    data: TrainingData,
    model: DualEncoder,
    checkpoint: pathlib.Path,
    epochs: int | None = None,
) -> list[dict]:
    """Train `model` in place and return the history: one row an epoch (loss, seconds, validation
    summary).

    Goes on from `checkpoint` if it exists and writes it every config.checkpoint_every epochs,
    atomically. Every step seeds the generators from (seed, step), and data order from (seed,
    epoch), so a resumed run repeats the uninterrupted one bit for bit on one process and the CPU.
    Raises TrainingDiverged at the first NaN, and ValueError for a batch that the processes cannot
    share evenly, processes that do not share the run's folder, features that are not finite and
    fewer than two clips to train on. epochs: stop after so many of config.epochs; the step size
    follows config.epochs all the same.
    """
    launch = processes()
    source = data.splits["train"]
    _check_data(data)
    model.to(source.device)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = _optimizer(config, parameters)
    scheme = config.build_scheme(len(source))
    history, begin = read_checkpoint(checkpoint, model, optimizer)
    if begin != agreed(begin):
        raise ValueError(
            f"{checkpoint.parent} is not the same folder for all processes: give one that they share"
        )
    together = min(config.batch_size, len(source))
    if together % launch.num_processes:
        raise ValueError(
            f"{launch.num_processes} processes cannot share a batch of {together} clips evenly: change batch_size"
        )
    batch = together // launch.num_processes
    steps = len(source) // (batch * launch.num_processes)
    label = f"{config.scheme} seed {config.seed}"
    end = epochs or config.epochs
    bar = progress(range(begin, end), label, total=end, unit="epoch", initial=begin)
    for epoch in bar:
        started, losses = time.perf_counter(), []
        order, captions = _epoch_order(config.seed, epoch, source)
        languages = torch.from_numpy(scheme.languages(epoch))  # [N, m]
        model.train()
        for step in range(steps):
            number = epoch * steps + step
            own = config.seed * 1_000_003 + number * launch.num_processes + launch.process_index
            torch.manual_seed(own)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * _schedule(
                    config.schedule, number / (config.epochs * steps)
                )
            first = (step * launch.num_processes + launch.process_index) * batch
            rows = order[first : first + batch]
            clips = source.clips(rows)
            if step + 1 < steps:
                source.prefetch(order[first + together : first + together + batch])
            texts = [source.captions(captions[rows], column) for column in languages[rows].T]
            optimizer.zero_grad(set_to_none=True)
            # Chunks encode twice, first without gradient: autocast must not reuse the weights it
            # cast then.
            cast = {"enabled": config.precision == "bf16", "cache_enabled": not config.text_chunk}
            with torch.autocast(source.device.type, torch.bfloat16, **cast):
                losses.append(backward(model, scheme, clips, texts, config.text_chunk))
            average_gradients(model)
            optimizer.step()
        losses = (
            torch.stack(losses).double().cpu()
        )  # once an epoch, so that no step waits for the device
        if not losses.isfinite().all():
            first = int((~losses.isfinite()).nonzero()[0])
            raise _diverged(f"the loss is {losses[first]}", config, epoch, first, checkpoint)
        if not all(parameter.isfinite().all() for parameter in parameters):
            raise _diverged("a weight is not finite", config, epoch, steps, checkpoint)
        row = {
            "epoch": epoch + 1,
            "loss": losses.mean().item(),
            "seconds": time.perf_counter() - started,
        }
        last = epoch + 1 == config.epochs
        if last or (epoch + 1) % config.evaluate_every == 0:
            row |= {
                f"val_{name}": value
                for name, value in score(model, data.splits["val"]).summary.items()
            }
        history.append(row)
        bar.set_postfix(loss=f"{row['loss']:.3f}")
        if launch.is_main_process and not last and (epoch + 1) % config.checkpoint_every == 0:
            write_checkpoint(checkpoint, model, optimizer, history)
    return history


def _check_data(data: TrainingData) -> None:
    """Raises ValueError for what no loss can be computed of."""
    if len(data.splits["train"]) < 2:
        raise ValueError(
            "there is 1 training clip, and a contrastive loss needs at least 2: give more clips"
        )
    for split, source in data.splits.items():
        for side, features in {"audio": source.audio, "text": source.text}.items():
            if features is not None and not features.isfinite().all():
                raise ValueError(
                    f"the {side} features of split {split} are not finite: the encoder's weights or its input are "
                    "damaged; mend them, and delete `features` in the cache"
                )


def _diverged(
    what: str, config: TrainConfig, epoch: int, step: int, checkpoint: pathlib.Path
) -> TrainingDiverged:
    kept = "no checkpoint was written yet"
    if checkpoint.exists():
        kept = f"the last good checkpoint is {checkpoint}"
    if epoch == step == 0:
        advice = "No step was taken yet: its input or the weights it starts from are too large"
    else:
        advice = f"Try a smaller learning rate than {config.learning_rate:g}"
    return TrainingDiverged(f"{what} in epoch {epoch + 1}, step {step + 1}; {kept}. {advice}.")


def _optimizer(config: TrainConfig, parameters: list) -> torch.optim.Optimizer:
    if not parameters:
        raise ValueError(
            "nothing to train: every parameter is frozen; give unfreeze or keep the projections"
        )
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=config.learning_rate)
    return torch.optim.Adam(parameters, lr=config.learning_rate)


def _schedule(name: str, done: float) -> float:
    return 1.0 if name == "constant" else 0.5 * (1 + math.cos(math.pi * done))


def _epoch_order(seed: int, epoch: int, source: Source) -> tuple[Tensor, Tensor]:
    """A permutation of the clips, and for every clip one of its captions; both from (seed,
    epoch).
    """
    generator = np.random.default_rng((seed, epoch))
    owner = source.owner.cpu().numpy()
    first = np.searchsorted(owner, np.arange(len(source)))
    count = np.bincount(owner, minlength=len(source))
    order = generator.permutation(len(source))  # = schemes.clip_order
    captions = first + generator.integers(0, count)
    return torch.from_numpy(order), torch.from_numpy(captions)
