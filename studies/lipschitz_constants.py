"""The four constants between the published bound's factor and the least one that its inequality
allows.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import grad, vjp, vmap

from atri_lib.theory.experiment import Arm, Draws, Experiment, Step
from atri_lib.theory.optimizers import SGD

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
        before = step.index - 1
        if before > 0 and before % every == 0:
            places = (ideal.weights[0], run.weights[0])
            rows[step.index] = _of_step(experiment, step, realised[0], *places, iterations)
        run = run.after(drawn.gradients(run.weights, realised, step))
    return pd.DataFrame(rows, index=NAMES).T.rename_axis("step")


def _of_step(
    experiment: Experiment,
    step: Step,
    realised: Tensor,
    weights: Tensor,
    moved: Tensor,
    iterations: int,
) -> list[float]:
    task = experiment.task
    clips, languages = realised.nonzero(as_tuple=True)  # [n] each
    pairs = realised.new_zeros(len(clips), *realised.shape)
    pairs[torch.arange(len(clips)), clips, languages] = 1
    at_ideal = task.gradients(weights, pairs, step.data)
    at_scheme = task.gradients(moved, pairs, step.data)
    apart = at_scheme - at_ideal
    share = realised[clips, languages]
    delta = moved - weights
    distance = delta.norm()
    norms = spectral_norms(experiment, step, pairs, weights, apart, iterations)
    whole = spectral_norms(experiment, step, realised[None], weights, delta[None], iterations)
    quotients = share @ apart.norm(dim=1) / distance
    quotient = (share @ apart).norm() / distance
    return [float(value) for value in (share @ norms, whole[0], quotients, quotient)]


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
            unit = nn.functional.normalize(vector, dim=0)
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
    found = {"norms instead of quotients": direction}
    found["triangle inequality over pairs"] = triangle
    return pd.Series(found) / whole
