"""One covariance for all schedules: what a scheme's draws add up to over epochs, from
`scheme.covariance` alone.

Two forms: for gradients that stand still (`growth`), and for those of an ideal run, whose steps
carry every error along (`carried`, `predict`); no run of the scheme is made for either.
"""

import itertools

import numpy as np
import torch

from atri_lib.schemes import Scheme
from atri_lib.theory.experiment import Experiment
from atri_lib.theory.optimizers import SGD
from studies.scheme_noise import biased
from studies.task_derivatives import hessian_products


def growth(scheme: Scheme, epochs: int, gram: np.ndarray | None = None) -> np.ndarray:
    """E||noise summed over the first 1 ... epochs epochs||^2 / that of epoch 0, gradients fixed:
    float64 [epochs].

    gram: inner products of a clip's language gradients [K, K] (or their sum over clips); the
    identity, which is the average over all ways to name the languages, unless given. nan where
    nothing is random.
    """
    if gram is None:
        gram = np.eye(scheme.k)
    products = np.einsum("efkl,kl->ef", covariances(scheme, epochs), gram)
    summed = products.cumsum(0).cumsum(1)
    with np.errstate(invalid="ignore"):
        return summed.diagonal() / products[0, 0]


@torch.no_grad()
def carried(
    experiment: Experiment, rate: float, probes: int | None = None, seed: int = 0
) -> np.ndarray:
    """What the language gradients of the ideal run have become in the weights by the end of every
    epoch, as products, once per probe.

    y_ik^(e) = P_(T,t) grad l_ik(w_(t-1)) / |B_t|, with t the step at which epoch e visits clip i,
    and P_(T,t) = A_T ... A_(t+1), A_s = I - eta H_s, H_s the Hessian of L_p on the batch of step s
    at w_(s-1). Returns sum_i <y_ik^(e), y_il^(f)>, float64 [R, T, e, f, k, l]: after epoch T, all
    from 0; 0 for later e, f.

    probes: None computes it exactly (R = 1), with N E K vectors of D numbers. Otherwise the clips
    are added up with R draws of random signs, each of which leaves the same sum in expectation: R E
    K vectors. Their mean estimates the sum, and their scatter says how well (`probe_error`).
    """
    task = experiment.task
    languages = experiment.languages
    signs = _signs(experiment, probes, seed)
    groups, count = signs.shape[:2]
    signs = signs.flatten(0, 1)  # [n, N]
    size = len(task.start)
    each = torch.eye(languages, dtype=experiment.dtype)
    left = torch.zeros(len(signs), experiment.epochs, languages, size, dtype=experiment.dtype)
    products = []
    run = experiment.ideal_run(SGD(rate), "one covariance")
    for epoch, steps in itertools.groupby(run, key=_epoch_of):
        begun = left[:, : epoch + 1]  # a view: what is changed here is changed in `left`
        for step, ideal, _, _ in steps:
            weights = ideal.weights[0]
            errors = begun.flatten(0, 2)
            changes = hessian_products(task, weights, step.even, step.data, errors)
            begun -= rate * changes.unflatten(0, begun.shape[:3])
            of_clips = signs[:, None, step.clips, None]
            pairs = of_clips * each[:, None]  # [n, K, B, K]
            pairs = pairs.flatten(0, 1) / len(step.clips)
            fresh = task.gradients(weights, pairs, step.data)
            left[:, epoch] += fresh.unflatten(0, (len(signs), languages))
        of_groups = left.unflatten(0, (groups, count))
        product = torch.einsum("rnekd,rnfld->refkl", of_groups, of_groups)
        products.append(product.numpy())
    return np.stack(products, axis=1).astype(np.float64)


def _epoch_of(taken: tuple) -> int:
    """Of a step of `Experiment.ideal_run`."""
    step, *_ = taken
    return step.epoch


def _signs(experiment: Experiment, probes: int | None, seed: int) -> torch.Tensor:
    """With which factors clips are added up, [R, n, N]: each alone, or R times all with random
    signs.
    """
    clips = len(experiment.texts)
    if probes is None:
        return torch.eye(clips, dtype=experiment.dtype)[None]
    generator = np.random.default_rng(seed)
    drawn = generator.choice([-1.0, 1.0], size=(probes, 1, clips))
    return torch.as_tensor(drawn, dtype=experiment.dtype)


def predict(products: np.ndarray, scheme: Scheme, rate: float) -> np.ndarray:
    """RMS weight error of an unbiased scheme under SGD after every epoch, [epochs]: `weight_error`
    of its covariances.

    Raises ValueError for a biased scheme, and for one whose clips share their draws.
    """
    if biased(scheme):
        raise ValueError(f"{scheme.name} is biased: this sum does not contain its mean")
    if not scheme.independent_clips:
        raise ValueError(f"clips of {scheme.name} share their draws, and this sum is over clips")
    epochs = products.shape[1]
    return weight_error(products, covariances(scheme, epochs), rate)


def weight_error(products: np.ndarray, covariances: np.ndarray, rate: float) -> np.ndarray:
    """RMS weight error after every epoch, to first order, [epochs].

    products: of `carried`, at the same rate, the mean over its probes is taken; covariances: C_ef,
    [epochs, epochs, K, K]. It is eta^2 sum_(s,t) tr(P_(T,s) C_(s,t) P_(T,t)'), with C_(s,t) the
    covariance of the gradient noise of two steps, sorted by clip and by pairs of epochs.
    """
    squares = _squares(products, covariances)
    mean = squares.mean(0)
    return rate * np.sqrt(mean.clip(0))


def probe_error(products: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Relative standard error of `weight_error` by the scatter of its probes, [epochs]; nan for one
    probe.
    """
    if len(products) == 1:
        return np.full(products.shape[1], np.nan)
    squares = _squares(products, covariances)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = squares.std(0, ddof=1) / np.sqrt(len(squares))
        return error / (2 * squares.mean(0))  # d sqrt(x) / sqrt(x) = dx / 2x


def _squares(products: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Of every probe, [R, epochs]."""
    return np.einsum("rTefkl,efkl->rT", products, covariances)


def covariances(scheme: Scheme, epochs: int) -> np.ndarray:
    """C_ef for all pairs of epochs, [epochs, epochs, K, K]."""
    epoch = np.arange(epochs)
    return scheme.covariance(epoch[:, None], epoch)
