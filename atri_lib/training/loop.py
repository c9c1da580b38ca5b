"""The training loop: the same for projections on cached features and for whole towers on many
GPUs.
"""

import math
import pathlib
import time

import numpy as np
import torch
from torch import Tensor

from atri_lib import storage
from atri_lib.encoders.dual import DualEncoder
from atri_lib.progress import progress
from atri_lib.schemes import Scheme, clip_order
from atri_lib.training.checkpoints import read_checkpoint, write_checkpoint
from atri_lib.training.config import TrainConfig
from atri_lib.training.processes import agreed, processes
from atri_lib.training.run_folder import CONFIG
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
    atomically, with the settings beside it. Every step seeds the generators from (seed, step), and
    data order from (seed, epoch), so a resumed run repeats the uninterrupted one bit for bit on one
    process and the CPU. Raises TrainingDiverged at the first NaN, and ValueError for a batch that
    the processes cannot share evenly, processes that do not share the run's folder, features that
    are not finite and fewer than two clips to train on. epochs: stop after so many of
    config.epochs; the step size follows config.epochs all the same.
    """
    _check(config, data)
    model.to(data.splits["train"].device)
    source = data.splits["train"].aligned(model)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = _optimizer(config, parameters)
    scheme = config.build_scheme(len(source))
    history = read_checkpoint(checkpoint, model, optimizer)
    begin = len(history)
    if begin != agreed(begin):
        raise ValueError(
            f"{checkpoint.parent} is not the same folder for all processes: "
            "give one that they share"
        )
    end = epochs or config.epochs
    label = f"{config.scheme} seed {config.seed}"
    bar = progress(range(begin, end), label, total=end, unit="epoch", initial=begin)
    for epoch in bar:
        started = time.perf_counter()
        losses = _train_epoch(config, model, scheme, optimizer, source, epoch)
        done = epoch + 1
        if not all(values.isfinite().all() for values in (losses, *parameters)):
            good = int(losses.isfinite().sum())
            raise TrainingDiverged(
                f"the loss or a weight is not finite in epoch {done}, after step {good}; the last "
                f"good checkpoint, if there is one, is {checkpoint}. Try a smaller learning rate "
                f"than {config.learning_rate:g}, or a smaller input"
            )
        row = {
            "epoch": done,
            "loss": losses.mean().item(),
            "seconds": time.perf_counter() - started,
        }
        if done == config.epochs or done % config.evaluate_every == 0:
            summary = score(model, data.splits["val"]).summary
            row |= {f"val_{name}": value for name, value in summary.items()}
        history.append(row)
        bar.set_postfix(loss=f"{row['loss']:.3f}")
        due = done < config.epochs and done % config.checkpoint_every == 0
        if due and processes().is_main_process:
            storage.write_json(checkpoint.parent / CONFIG, config.as_dict())
            write_checkpoint(checkpoint, model, optimizer, history)
    return history


def _train_epoch(
    config: TrainConfig,
    model: DualEncoder,
    scheme: Scheme,
    optimizer: torch.optim.Optimizer,
    source: Source,
    epoch: int,
) -> Tensor:
    """Take the steps of one epoch; returns their losses, float64 [steps] on the CPU."""
    captions = _epoch_order(config.seed, epoch, source)[1]
    order = torch.from_numpy(clip_order(len(source), config.seed, scheme.ordered_as(epoch)))
    languages = torch.from_numpy(scheme.languages(epoch))  # [N, m]
    launch = processes()
    together = min(config.batch_size, len(source))
    steps = len(source) // together
    shared = order[: steps * together].view(steps, launch.num_processes, -1)
    batches = shared[:, launch.process_index]  # clips of this process, [steps, n]
    # Chunks encode twice, first without gradient: autocast must not reuse the weights it cast then.
    cast = {"enabled": config.precision == "bf16", "cache_enabled": not config.text_chunk}
    # To look for other generators than the CPU's would take 3 % of a small step there.
    on_cpu = source.device.type == "cpu"
    seed = torch.default_generator.manual_seed if on_cpu else torch.manual_seed
    model.train()
    losses = []
    numbers = range(epoch * steps, (epoch + 1) * steps)
    for number, rows, clips in zip(numbers, batches, source.clip_batches(batches), strict=True):
        turn = number * launch.num_processes + launch.process_index
        seed(config.seed * 1_000_003 + turn)
        done = number / (config.epochs * steps)
        rate = config.learning_rate * _schedule(config.schedule, done)
        optimizer.param_groups[0]["lr"] = rate
        texts = [source.captions(captions[rows], column) for column in languages[rows].T]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(source.device.type, torch.bfloat16, **cast):
            loss = backward(model, scheme, clips, texts, config.text_chunk)
        losses.append(loss)
        average_gradients(model)
        optimizer.step()
    # To the CPU once an epoch, so that no step waits for the device.
    return torch.stack(losses).double().cpu()


def _check(config: TrainConfig, data: TrainingData) -> None:
    """Raises ValueError for what no loss can be computed of."""
    clips = len(data.splits["train"])
    if clips < 2:
        raise ValueError(
            "there is 1 training clip, and a contrastive loss needs at least 2: give more clips"
        )
    together = min(config.batch_size, clips)
    count = processes().num_processes
    if together % count:
        raise ValueError(
            f"{count} processes cannot share a batch of {together} clips evenly: change batch_size"
        )
    for split, source in data.splits.items():
        for features in (source.clip_features, source.text):
            if features is not None and not features.isfinite().all():
                raise ValueError(
                    f"features of split {split} are not finite: the encoder's weights or its input "
                    "are damaged; mend them, and delete `features` in the cache"
                )


def _optimizer(config: TrainConfig, parameters: list) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=config.learning_rate)
    return torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)


def _schedule(name: str, done: float) -> float:
    """The share of the learning rate after a share `done` of the run."""
    if name == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * done))


def _epoch_order(seed: int, epoch: int, source: Source) -> tuple[Tensor, Tensor]:
    """A permutation of the clips (`clip_order`), and for every clip one of its captions; both from
    (seed, epoch).
    """
    generator = np.random.default_rng((seed, epoch))
    owner = source.owner.numpy()
    first = np.searchsorted(owner, np.arange(len(source)))
    order = generator.permutation(len(source))
    captions = first + generator.integers(0, np.bincount(owner))
    return torch.from_numpy(order), torch.from_numpy(captions)
