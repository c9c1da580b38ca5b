"""The four constants between the published bound's factor and the least one that its inequality
allows.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import grad, vjp, vmap

from atri_lib.theory.experiment import Arm, Draws, Experiment, Step
from atri_lib.theory.optimizers import SGD, Runs

CHUNK = 64  # Hessians that are followed at once
NAMES = ("sum of norms", "norm of the sum", "sum of quotients", "quotient of the sum")


@torch.no_grad()
def four(
    experiment: Experiment,
    arm: Arm,
    rate: float,
    every: int = 5,
    iterations: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Curvature that one draw of an arm meets, in four ways, every few steps after the first.

    With p' the drawn weights of pairs, H_ik the Hessian of a pair at the ideal weights w and delta
    = w' - w: sum p' |H_ik|; |sum p' H_ik|; sum p' |grad l_ik(w') - grad l_ik(w)| / |delta|; |sum p'
    (grad l_ik(w') - grad l_ik(w))| / |delta|. Norms are spectral, by power iteration, from below.
    Returns a row per step, columns NAMES.
    """
    optimizer = SGD(rate)
    drawn = Draws(experiment, arm, [seed])
    run = experiment.begin(optimizer)
    rows = {}
    for step, ideal, _, _ in experiment.ideal_run(optimizer, "four constants"):
        realised = drawn.distribution(step)
        if step.index > 1 and (step.index - 1) % every == 0:
            weights = ideal.weights[0]
            rows[step.index] = _of_step(experiment, step, realised[0], weights, run, iterations)
        run = run.after(drawn.gradients(run.weights, realised, step))
    return pd.DataFrame(rows, index=NAMES).T.rename_axis("step")


def _of_step(
    experiment: Experiment,
    step: Step,
    realised: Tensor,
    weights: Tensor,
    run: Runs,
    iterations: int,
) -> list[float]:
    task = experiment.task
    used = realised.nonzero()  # [n, 2]
    pairs = torch.zeros(len(used), *realised.shape, dtype=realised.dtype)
    pairs[torch.arange(len(used)), used[:, 0], used[:, 1]] = 1
    at_ideal, at_scheme = (
        task.gradients_at(place, pairs, step.data) for place in (weights, run.weights[0])
    )
    apart = at_scheme - at_ideal
    share = realised[used[:, 0], used[:, 1]]
    delta = run.weights[0] - weights
    norms = spectral_norms(experiment, step, pairs, weights, apart, iterations)
    whole = spectral_norms(experiment, step, realised[None], weights, delta[None], iterations)
    return [
        float(share @ norms),
        float(whole[0]),
        float(share @ apart.norm(dim=1) / delta.norm()),
        float((share @ apart).norm() / delta.norm()),
    ]


def spectral_norms(
    experiment: Experiment,
    step: Step,
    distributions: Tensor,
    weights: Tensor,
    starts: Tensor,
    iterations: int,
) -> Tensor:
    """Of the Hessians of L_q at weights [D], one for each q [n, B, K], by power iteration from
    `starts` [n, D]: [n], from below.
    """
    loss = experiment.task.weighted_loss

    def largest(distribution: Tensor, vector: Tensor) -> Tensor:
        def slope(w: Tensor) -> Tensor:
            return grad(loss)(w, distribution, step.data)

        _, pull_back = vjp(slope, weights)  # its products with vectors are the Hessian's
        size = torch.zeros_like(vector[0])
        for _ in range(iterations):
            unit = torch.nn.functional.normalize(vector, dim=0)
            (vector,) = pull_back(unit)
            size = torch.maximum(size, vector.norm())
        return size

    return vmap(largest, chunk_size=CHUNK)(distributions, starts)


def shares(constants: pd.DataFrame) -> pd.Series:
    """Of the logarithm of first / last constant, median step: what is due to taking norms instead
    of quotients, and what to the triangle inequality over pairs; each the mean over both orders.
    """
    logs = np.log(constants.median())
    sum_norm, norm_sum, sum_quotient, quotient_sum = (logs[name] for name in NAMES)
    whole = sum_norm - quotient_sum
    direction = (sum_norm - sum_quotient + norm_sum - quotient_sum) / 2
    triangle = (sum_norm - norm_sum + sum_quotient - quotient_sum) / 2
    found = {
        "norms instead of quotients": direction,
        "triangle inequality over pairs": triangle,
    }
    return pd.Series(found) / whole
