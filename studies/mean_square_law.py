"""The mean-square law beside twin runs: how large weight error is on average where draws are
unbiased, with constants that pilots measure.

Pilots are runs on seeds of their own. The mean run uses the scheme's mean distribution: it is the
ideal run unless the scheme is biased (CACL).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from atri_lib.theory import bounds, twin_runs
from atri_lib.theory.experiment import Arm, Experiment
from atri_lib.theory.optimizers import Adam, Optimizer, Runs
from atri_lib.theory.twin_runs import Taken, ratio
from studies.scheme_noise import biased, chance, noise_share, remembers
from studies.small_projections import ARMS, SLOW
from studies.task_derivatives import language_spread

PILOT_SEEDS = 10_000  # pilots draw from seeds that no measured draw uses


def mean_square(amplification: ArrayLike, variance: ArrayLike) -> np.ndarray:
    """The mean-square law: RMS weight error from M_t = amplification_t M_(t-1) + variance_t, equal
    starts.

    amplification: E[rho_t^2 ||delta||^2] / E||delta||^2; variance: E||noise of step t||^2 (SGD:
    eta^2 sigma_t^2), plus twice its mean product with the error carried along where draws remember
    earlier ones; both [..., T]. Returns sqrt(M_t), [..., T].
    """
    return np.sqrt(bounds.unroll(amplification, variance).clip(0))


def sampling_factor(languages: int, m: int) -> float:
    """(K - m) / (m (K - 1)): variance of the mean of m of K values without replacement, in units of
    their variance.

    The variance is the population variance over the K values. m = 1 gives 1, m = K gives 0 (K = 1
    too). Raises ValueError unless 1 <= m <= K.
    """
    if not 1 <= m <= languages:
        raise ValueError(f"m of K languages needs 1 <= m <= K, got m={m}, K={languages}")
    if m == languages:
        return 0.0
    return (languages - m) / (m * (languages - 1))


@torch.no_grad()
def run(
    experiment: Experiment,
    optimizer: Optimizer = SLOW,
    arms: Sequence[Arm] = ARMS,
    draws: int = 8,
    pilots: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """`twin_runs.run` without the published bound, and the law with what it competes with.

    pilots: further runs on seeds of their own, from which alone the law's constants come; 0 leaves
    the law out (nan), which a scheme whose clips share draws (`block`) needs.

    Adds to the columns of `twin_runs.run`:
    - mean_square: RMS over draws by sqrt(bias^2 + law). A prediction where draws are independent
      of earlier ones. Where a scheme remembers earlier epochs (Latin) all three constants are the
      pilots' own, so that it returns the pilots' own RMS: a check of consistency, no prediction
      (`schedules` predicts such schemes without pilots).
      bias: ||w_t - mean run||. amplification: E||one ideal step on the error||^2 / E||error||^2 of
      w' - mean run, and sigma: root of sigma_t^2 at w', from every language's gradients, both
      averages over the pilots. memory: twice the mean product of the error carried along and the
      new noise: 0 for independent draws by theory, measured on the pilots where a scheme remembers
      earlier epochs (Latin). There the noise is measured on them too (sigma: nan), as w' knows
      which languages are to come, and so is Adam's, which is not linear in the gradient; it is
      taken as unbiased. What mixed negatives add is ignored.
    - pilots: the RMS error of the pilots themselves (where nothing is random: of the run).
      sqrt_steps: mean_square of step 1, which every run takes from the same weights, times sqrt(t).

    Raises as `twin_runs.run`, and ValueError for pilots of schemes whose clips share draws.
    """
    first_pilot = seed + PILOT_SEEDS
    measured = range(seed, seed + draws)
    seeds = [*measured, *range(first_pilot, first_pilot + pilots)]
    laws = [_Law(experiment, optimizer, arm, draws, pilots) for arm in arms]
    for every in twin_runs.taken_steps(experiment, optimizer, arms, seeds):
        for law, taken in zip(laws, every, strict=True):
            law.advance(taken)
    return pd.concat([law.table() for law in laws], ignore_index=True)


class _Law:
    """One arm's mean run, and what each step measured."""

    def __init__(
        self, experiment: Experiment, optimizer: Optimizer, arm: Arm, draws: int, pilots: int
    ) -> None:
        self.experiment = experiment
        self.arm = arm
        clips = len(experiment.texts)
        self.scheme = arm.draw(clips, experiment.languages, seed=0)
        if pilots and not self.scheme.independent_clips:
            raise ValueError(
                f"{arm.name}: its clips share their draws, so the mean-square law cannot predict "
                "it: pilots=0 leaves the law out"
            )
        self.draws = draws
        # Where nothing is random, the one run is its own pilot.
        self.pilots = slice(draws, None) if noise_share(self.scheme) else slice(None)
        self.linear = not isinstance(optimizer, Adam)  # in the gradient's noise
        self.mean_run = experiment.begin(optimizer)
        self.records = []

    def advance(self, taken: Taken) -> None:
        """Take the step with the mean run too, and record what the measured runs and the pilots
        say.
        """
        record = {}
        for name, values in taken.measured().items():
            record[name] = values[: self.draws] if np.ndim(values) else values
        mean_run, mean_after, after_expected = taken.ideal, taken.ideal_after, taken.after_full
        if biased(self.scheme):
            mean_run = self.mean_run
            mean_after, after_expected = self._mean_step(taken)
            self.mean_run = mean_after
        record["bias"] = mean_after.error(taken.ideal_after)[0]
        record |= self._constants(taken, mean_run, mean_after, after_expected)
        self.records.append(record)

    def _mean_step(self, taken: Taken) -> tuple[Runs, Runs]:
        """Where the mean distribution's gradient leads the mean run, and every run."""
        step = taken.step
        mean = self.experiment.on_batch(self.scheme.mean_distribution(), step.clips)
        of_mean = taken.task.gradients(self.mean_run.weights, mean, step.data)
        of_runs = taken.task.gradients(taken.runs.weights, mean, step.data)
        return self.mean_run.after(of_mean), taken.runs.after(of_runs)

    def _constants(
        self, taken: Taken, mean_run: Runs, mean_after: Runs, after_expected: Runs
    ) -> dict:
        """The law's constants from the pilots; nan without."""
        law = dict.fromkeys(("pilots", "amplification", "variance", "sigma", "memory"), np.nan)
        errors = taken.after.error(taken.ideal_after)[self.pilots]
        if len(errors) == 0:
            return law
        law["pilots"] = np.sqrt(np.square(errors).mean())
        law["memory"] = 0.0
        if noise_share(self.scheme) == 0:
            return law | {"amplification": 1.0, "variance": 0.0, "sigma": 0.0}
        carried = np.square(after_expected.error(mean_after)[self.pilots]).sum()
        before = np.square(taken.runs.error(mean_run)[self.pilots]).sum()
        law["amplification"] = float(ratio(carried, before))
        remembered = remembers(self.scheme, taken.step.epoch)
        if remembered:  # an epoch's languages depend on earlier ones: kept and noise do, too
            kept = mean_after.weights - after_expected.weights
            noise = after_expected.weights - taken.after.weights
            products = (kept * noise).sum(1)[self.pilots]
            law["memory"] = 2 * products.mean().item()
        if remembered or not self.linear:
            noise_lengths = taken.after.error(after_expected)[self.pilots]
            law["variance"] = np.square(noise_lengths).mean()
        else:
            law["sigma"] = self._sigma(taken)
            law["variance"] = (taken.runs.optimizer.rate * law["sigma"]) ** 2
        return law

    def _sigma(self, taken: Taken) -> float:
        """Root of the pilots' mean gradient variance, in single precision: half the time, seven
        digits.
        """
        clip_features, texts = taken.step.data
        weights = taken.runs.weights[self.pilots].float()
        batch = clip_features.float(), texts.float()
        spread = language_spread(self.experiment.task, weights, batch, chance(self.scheme))
        variance = noise_share(self.scheme) * spread.mean().item()
        clips = len(taken.step.clips)
        return np.sqrt(variance) / clips

    def table(self) -> pd.DataFrame:
        """All steps and draws of this arm, with the law worked out."""
        rows = twin_runs.table(self.arm, self.records)
        variance = rows.pop("variance") + rows["memory"]
        law = twin_runs.over_steps(mean_square, rows, rows.amplification, variance)
        rows["mean_square"] = np.hypot(rows.bias, law)
        first = rows.mean_square.iloc[0]
        rows["sqrt_steps"] = first * np.sqrt(rows.step)
        return rows
