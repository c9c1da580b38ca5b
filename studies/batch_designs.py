"""How the languages of the clips of one batch may be chosen together, and an estimate that takes
the languages' main effect out.

Gradients are language gradients of the clips of a batch, float64 [B, K, D].
"""

import numpy as np
import torch
from torch import Tensor

from atri_lib.theory.experiment import Arm, Draws, Experiment
from atri_lib.theory.model_functions import Batch, Task
from atri_lib.theory.optimizers import SGD

NOISE_WITHIN = 0.1  # of the formula, relative; committed before it was measured


@torch.no_grad()
def language_gradients(task: Task, weights: Tensor, batch: Batch) -> Tensor:
    """grad l_ik of every clip and language at weights [D]: [B, K, D]."""
    pairs = single_pairs(weights, batch)
    rows = task.gradients(weights, pairs, batch)
    return rows.unflatten(0, pairs.shape[1:])


def single_pairs(weights: Tensor, batch: Batch) -> Tensor:
    """Distributions that are one pair of a clip and a language each: [B K, B, K]."""
    clips, languages = batch[1].shape[:2]
    alone = torch.eye(clips * languages, dtype=weights.dtype)
    return alone.unflatten(1, (clips, languages))


def spread(gradients: Tensor) -> tuple[float, float]:
    """(V, A): mean over clips of Var_k of a clip's gradient, and Var_k of the batch-mean
    gradient.
    """
    of_clips = variance(gradients).mean()
    of_batch = variance(gradients.mean(0)[None])
    return of_clips.item(), of_batch.item()


def variance(gradients: Tensor) -> Tensor:
    """Var_k, summed over coordinates: [n, K, D] to [n]."""
    return gradients.var(1, correction=0).sum(-1)


def draw_independent(clips: int, languages: int, generator: np.random.Generator) -> np.ndarray:
    """A language per clip, int [B], each drawn alone."""
    return generator.integers(languages, size=clips)


def draw_block(clips: int, languages: int, generator: np.random.Generator) -> np.ndarray:
    """One language for all clips, int [B]."""
    return np.full(clips, generator.integers(languages))


def draw_even(clips: int, languages: int, generator: np.random.Generator) -> np.ndarray:
    """Every language equally often, int [B], else at random. Raises ValueError unless K divides
    B.
    """
    if clips % languages:
        raise ValueError(f"{languages} languages cannot come equally often in {clips} clips")
    return generator.permutation(np.arange(clips) % languages)


DESIGNS = {"independent": draw_independent}
DESIGNS["one language per batch"] = draw_block
DESIGNS["each language equally often"] = draw_even


def measured_noise(gradients: Tensor, design: str, draws: int, seed: int = 0) -> float:
    """Mean squared distance of the drawn batch gradient from the mean over all languages."""
    clips, languages = gradients.shape[:2]
    centred = gradients - gradients.mean(1, keepdim=True)
    generator = np.random.default_rng(seed)
    squares = []
    for _ in range(draws):
        drawn = DESIGNS[design](clips, languages, generator)
        chosen = centred[torch.arange(clips), torch.as_tensor(drawn)]
        noise = chosen.mean(0)
        squares.append(float(noise.square().sum()))
    return float(np.mean(squares))


@torch.no_grad()
def difference_shares(
    experiment: Experiment, rate: float, decay: float = 0.9, seed: int = 0
) -> np.ndarray:
    """Var_k(g_ik - z_k) / Var_k(g_ik), summed over the clips of a batch, for every step of one run
    of ML-CLAP: float64 [T].

    z_k: running mean of the gradients of the clips that drew language k, over earlier steps only,
    so that the estimate g_ik - z_k + mean_k z_k stays unbiased given the past. decay: of that mean
    per step in which the language occurs.
    """
    drawn = Draws(experiment, Arm("ML-CLAP", "ml_clap"), [seed])
    run = experiment.begin(SGD(rate))
    means = run.weights.new_zeros(experiment.languages, run.weights.shape[1])
    met = torch.zeros(experiment.languages, dtype=torch.bool)
    shares = []
    for step in experiment.steps("difference estimator"):
        gradients = language_gradients(experiment.task, run.weights[0], step.data)
        off = gradients - means
        left = variance(off).sum() / variance(gradients).sum()
        shares.append(left.item())
        realised = drawn.distribution(step)[0]  # [B, K]
        drawn_off = realised[..., None] * off
        estimate = drawn_off.sum((0, 1)) + means.mean(0)
        languages = realised.argmax(1)
        for k in range(experiment.languages):
            of_language = gradients[languages == k, k]
            if len(of_language) == 0:
                continue
            newest = of_language.mean(0)
            if met[k]:
                newest = decay * means[k] + (1 - decay) * newest
            means[k] = newest
            met[k] = True
        run = run.after(estimate[None])
    return np.array(shares)
