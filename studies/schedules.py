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


def growth(scheme: Scheme, epochs: int, gram: np.ndarray | None = None) -> np.ndarray:
    """E||noise summed over the first 1 ... epochs epochs||^2 / that of epoch 0, gradients fixed:
    float64 [epochs].

    gram: inner products of a clip's language gradients [K, K] (or their sum over clips); the
    identity, which is the average over all ways to name the languages, unless given. nan where
    nothing is random.
    """
    products = np.einsum(
        "efkl,kl->ef", covariances(scheme, epochs), np.eye(scheme.k) if gram is None else gram
    )
    with np.errstate(invalid="ignore"):
        return products.cumsum(0).cumsum(1).diagonal() / products[0, 0]


@torch.no_grad()
def carried(
    experiment: Experiment, rate: float, probes: int | None = None, seed: int = 0
) -> np.ndarray:
    """What the language gradients of the ideal run have become in the weights by the end of every
    epoch, as products.

    y_ik^(e) = P_(T,t) grad l_ik(w_(t-1)) / |B_t|, with t the step at which epoch e visits clip i,
    and P_(T,t) = A_T ... A_(t+1), A_s = I - eta H_s, H_s the Hessian of L_p on the batch of step s
    at w_(s-1). Returns sum_i <y_ik^(e), y_il^(f)>, float64 [T, e, f, k, l]: after epoch T, all from
    0; 0 for later e, f.

    probes: None computes it exactly, with N E K vectors of D numbers. Otherwise the clips are added
    up with that many draws of random signs, which leaves the same sum in expectation: probes E K
    vectors.
    """
    clips, languages = experiment.texts.shape[:2]
    task, epochs, each = (
        experiment.task,
        experiment.epochs,
        torch.eye(languages, dtype=experiment.dtype),
    )
    signs = torch.eye(clips, dtype=experiment.dtype)
    if probes is not None:
        drawn = np.random.default_rng(seed).choice([-1.0, 1.0], size=(probes, clips))
        signs = torch.as_tensor(drawn / np.sqrt(probes), dtype=experiment.dtype)
    left = torch.zeros(len(signs), epochs, languages, len(task.flat.start), dtype=experiment.dtype)
    products, run = [], experiment.ideal_run(SGD(rate), "one covariance")
    for epoch, steps in itertools.groupby(run, key=lambda moment: moment[0].epoch):
        for step, ideal, gradient, _ in steps:
            weights, here = ideal.weights[0], left[:, : epoch + 1].flatten(0, 2)
            seen = task.gradients(
                weights + here, step.even.expand(len(here), -1, -1), step.data, anchor=weights
            )
            left[:, : epoch + 1] -= rate * (seen - gradient).unflatten(
                0, (len(signs), epoch + 1, languages)
            )
            pairs = (signs[:, None, step.clips, None] * each[:, None]).flatten(0, 1) / len(
                step.clips
            )  # [n K, B, K]
            fresh = task.gradients(ideal.weights.expand(len(pairs), -1), pairs, step.data)
            left[:, epoch] += fresh.unflatten(0, (len(signs), languages))
        products.append(torch.einsum("nekd,nfld->efkl", left, left).numpy())
    return np.stack(products).astype(np.float64)


def predict(products: np.ndarray, scheme: Scheme, rate: float) -> np.ndarray:
    """RMS weight error of an unbiased scheme under SGD after every epoch, [epochs]: `weight_error`
    of its covariances.

    Raises ValueError for a biased scheme.
    """
    if scheme.biased:
        raise ValueError(
            f"{scheme.name} is biased: its mean leaves the ideal run, which this sum does not contain"
        )
    return weight_error(products, covariances(scheme, len(products)), rate)


def weight_error(products: np.ndarray, covariances: np.ndarray, rate: float) -> np.ndarray:
    """RMS weight error after every epoch, to first order, [epochs].

    products: of `carried`, at the same rate; covariances: C_ef, [epochs, epochs, K, K]. It is eta^2
    sum_(s,t) tr(P_(T,s) C_(s,t) P_(T,t)'), with C_(s,t) the covariance of the gradient noise of two
    steps, sorted by clip and by pairs of epochs.
    """
    return rate * np.sqrt(np.einsum("Tefkl,efkl->T", products, covariances).clip(0))


def covariances(scheme: Scheme, epochs: int) -> np.ndarray:
    """C_ef for all pairs of epochs, [epochs, epochs, K, K]."""
    epoch = np.arange(epochs)
    return scheme.covariance(epoch[:, None], epoch)
