"""The twin-run experiment: how far a scheme's weights stray from the ideal run's, and what bounds
and laws say.

Twin runs share start, mini-batches and optimiser; the ideal run w uses every language of every
clip, the other run w' what its scheme drew. The mean run uses the scheme's mean distribution: it is
w unless the scheme is biased (CACL).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from atri_lib.theory import bounds
from atri_lib.theory.experiment import ARMS, Arm, Draws, Experiment, Step
from atri_lib.theory.optimizers import SGD, SLOW, Optimizer, Runs, distance

PILOT_SEEDS = 10_000  # pilots draw from seeds that no measured draw uses


@torch.no_grad()
def run(
    experiment: Experiment,
    optimizer: Optimizer = SLOW,
    arms: Sequence[Arm] = ARMS,
    draws: int = 8,
    pilots: int = 3,
    power_iterations: int | None = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Run every arm beside the ideal run; measure the weight error and everything the bounds and
    the law need.

    draws: measured runs per arm, seeds seed ... seed + draws - 1 (one run if the arm has no
    randomness). pilots: further runs on seeds of their own, from which alone the mean-square law's
    constants come; 0 leaves the law out (nan), which a scheme whose clips share draws (`block`)
    needs. power_iterations: for lambda; None leaves the published bound out (nan). Either saves
    much of the cost.

    Returns one row per (scheme, step, draw), step from 1 (the error after that step):
    - measured: ||w_t - w'_t||; joint: the same in the optimiser's coordinates (equal for SGD).
    - published: the published bound (SGD only, else nan). lipschitz: the larger of
      sum p' lambda_(a,t), with the pairs' spectral norms at w_(t-1) by power iteration, and the
      quotient ||grad L_p'(w) - grad L_p'(w')|| / ||delta||. Neither exceeds the sum of the true
      Lipschitz constants on the segment from w to w', and with the second alone the inequality
      holds, so the bound is certified although power iteration converges from below. gradient_max:
      g_max(w_(t-1)); distribution_error: D_t on the batch. mixed_negatives: for arms with mixed
      negatives ||grad L_p'(w) - gradient used at w||, which the published bound lacks and is added
      to D_t g_max here; else 0.
    - quotient: that quotient alone; certified: the published bound with it in place of lipschitz,
      the least that the inequality allows (both left out, or nan, without power_iterations).
    - trajectory: bound on joint (so on measured). rho, forcing: its constants, measured on this
      draw; xi: ||grad L_p(w') - gradient used||, so that forcing = eta xi for SGD.
    - mean_square: RMS over draws by sqrt(bias^2 + law). A prediction where draws are independent
      of earlier ones. Where a scheme remembers earlier epochs (Latin) all three constants are the
      pilots' own, so that it returns the pilots' own RMS: a check of consistency, no prediction
      (`studies.schedules` predicts such schemes without pilots).
      bias: ||w_t - mean run||. amplification: E||one ideal step on the error||^2 / E||error||^2 of
      w' - mean run, and sigma: root of sigma_t^2 at w', from every language's gradients, both
      averages over the pilots. memory: twice the mean product of the error carried along and the
      new noise: 0 for independent draws by theory, measured on the pilots where a scheme remembers
      earlier epochs (Latin). There the noise is measured on them too (sigma: nan), as w' knows
      which languages are to come, and so is Adam's, which is not linear in the gradient; it is
      taken as unbiased. What mixed negatives add is ignored.
    - what they compete with. trivial: the bound ||w_t - w_0|| + ||w'_t - w_0||, the two distances
      travelled. pilots: the RMS error of the pilots themselves (where nothing is random: of the
      run). sqrt_steps: mean_square of step 1, which every run takes from the same weights, times
      sqrt(t).

    Raises FloatingPointError if a run diverges, ValueError for arms that do not fit the data.
    """
    if draws < 1 or pilots < 0:
        raise ValueError(
            f"need at least one measured draw, and no pilots or more, got {draws} and {pilots}"
        )
    ensembles = [_Ensemble(experiment, optimizer, arm, draws, pilots, seed) for arm in arms]
    for step, ideal, _, after in experiment.ideal_run(optimizer, "twin runs"):
        pairs = None
        if isinstance(optimizer, SGD) and power_iterations is not None:
            weights = ideal.weights[0]
            curvature = experiment.task.pair_curvature(weights, step.data, power_iterations)
            gradient_max = experiment.task.pair_norms(weights, step.data).max().item()
            pairs = curvature, gradient_max
        for ensemble in ensembles:
            ensemble.advance(step, ideal, after, pairs)
    return pd.concat([ensemble.table() for ensemble in ensembles], ignore_index=True)


class _Ensemble:
    """One arm's measured runs and pilots in one stack, its reference run, and what each step
    measured.
    """

    def __init__(
        self,
        experiment: Experiment,
        optimizer: Optimizer,
        arm: Arm,
        draws: int,
        pilots: int,
        seed: int,
    ) -> None:
        self.experiment = experiment
        self.task = experiment.task
        self.arm = arm
        first_pilot = seed + PILOT_SEEDS
        seeds = [*range(seed, seed + draws), *range(first_pilot, first_pilot + pilots)]
        self.draws = Draws(experiment, arm, seeds)
        self.scheme = self.draws.schemes[0]
        if pilots and not self.scheme.independent_clips:
            raise ValueError(
                f"{arm.name}: its clips share their draws, so the mean-square law cannot predict "
                "it: pilots=0 leaves the law out"
            )
        self.measured = slice(draws)
        # Where nothing is random, the one run is its own pilot.
        self.pilots = slice(draws, None) if self.scheme.noise_share else slice(None)
        self.runs = experiment.begin(optimizer, len(self.draws))
        self.start = experiment.begin(optimizer)
        self.reference = self.start
        self.records: list[dict[str, np.ndarray | float]] = []  # per step: [draws], or for all

    def advance(
        self, step: Step, ideal: Runs, ideal_after: Runs, pairs: tuple[Tensor, float] | None
    ) -> None:
        """Take one step with every run and record what it measured.

        pairs: what the published bound asks of the pairs at w: lambda of every one, [B, K], and
        g_max.
        """
        runs = self.runs
        realised = self.draws.distribution(step)
        used = self.draws.gradients(runs.weights, realised, step)
        full = self._everywhere(step.even, step)
        after = runs.after(used)
        after_full = runs.after(full)
        if not torch.isfinite(after.weights).all():
            raise FloatingPointError(
                f"{self.arm.name} diverged in step {step.index}: lower the rate"
            )
        every_run = {
            "measured": after.error(ideal_after),
            "joint": after.joint_error(ideal_after),
            "rho": _ratio(after_full.joint_error(ideal_after), runs.joint_error(ideal)),
            "forcing": after.joint_error(after_full),
            "xi": distance(used, full),
            "trivial": ideal_after.error(self.start) + after.error(self.start),
        }
        mine = self.measured
        record = {"step": step.index, "epoch": step.epoch}
        record |= {name: values[mine] for name, values in every_run.items()}
        if pairs is not None:
            record |= self._published(step, ideal, realised[mine], used[mine], *pairs)
        record |= self._law(step, ideal, ideal_after, after, after_full)
        self.records.append(record)
        self.runs = after

    def _everywhere(self, distribution: Tensor, step: Step) -> Tensor:
        """The gradient of every run under one distribution [1, B, K]."""
        same = distribution.expand(len(self.draws), -1, -1)
        return self.task.gradients(self.runs.weights, same, step.data)

    def _published(
        self,
        step: Step,
        ideal: Runs,
        realised: Tensor,
        used: Tensor,
        curvature: Tensor,
        gradient_max: float,
    ) -> dict[str, np.ndarray | float]:
        """The published bound's constants for the measured draws."""
        at_ideal = ideal.weights[0]
        anchored = self.draws.gradients_at(at_ideal, realised, step)
        delta = distance(ideal.weights, self.runs.weights[self.measured])
        quotient = _ratio(distance(anchored, used), delta, default=0.0)
        mixed_negatives = 0.0
        if self.arm.mixed:
            unmixed = self.task.gradients_at(at_ideal, realised, step.data)
            mixed_negatives = distance(anchored, unmixed)
        of_pairs = (realised * curvature).sum((1, 2)).numpy()
        return {
            "lipschitz": np.maximum(of_pairs, quotient),
            "quotient": quotient,
            "distribution_error": (realised - step.even).abs().sum((1, 2)).numpy(),
            "gradient_max": gradient_max,
            "mixed_negatives": mixed_negatives,
        }

    def _law(
        self, step: Step, ideal: Runs, ideal_after: Runs, after: Runs, after_full: Runs
    ) -> dict[str, float]:
        """The mean-square law's constants from the pilots (nan without), and the reference run's
        step.
        """
        reference, reference_after, after_expected = ideal, ideal_after, after_full
        if self.scheme.biased:
            mean = self.experiment.on_batch(self.scheme.mean_distribution(), step.clips)[None]
            reference = self.reference
            gradient = self.task.gradients(reference.weights, mean, step.data)
            reference_after = reference.after(gradient)
            after_expected = self.runs.after(self._everywhere(mean, step))
            self.reference = reference_after
        law = dict.fromkeys(("pilots", "amplification", "variance", "sigma", "memory"), np.nan)
        law["bias"] = reference_after.error(ideal_after)[0]
        errors = after.error(ideal_after)[self.pilots]
        if len(errors) == 0:
            return law
        law["pilots"] = np.sqrt(np.square(errors).mean())
        law["memory"] = 0.0
        if self.scheme.noise_share == 0:
            return law | {"amplification": 1.0, "variance": 0.0, "sigma": 0.0}
        carried = np.square(after_expected.error(reference_after)[self.pilots]).sum()
        before = np.square(self.runs.error(reference)[self.pilots]).sum()
        law["amplification"] = float(_ratio(carried, before))
        remembers = self.scheme.remembers(step.epoch)
        if remembers:  # an epoch's languages depend on earlier ones: kept and noise do, too
            kept = reference_after.weights - after_expected.weights
            noise = after_expected.weights - after.weights
            products = (kept * noise).sum(1)[self.pilots]
            law["memory"] = 2 * products.mean().item()
        gain = self.runs.optimizer.gain
        if remembers or gain is None:
            noise_lengths = after.error(after_expected)[self.pilots]
            law["variance"] = np.square(noise_lengths).mean()
        else:
            law["sigma"] = self._sigma(step)
            law["variance"] = (gain * law["sigma"]) ** 2
        return law

    def _sigma(self, step: Step) -> float:
        """Root of the pilots' mean gradient variance, in single precision: half the time, seven
        digits.
        """
        clip_features, texts = step.data
        weights = self.runs.weights[self.pilots].float()
        batch = clip_features.float(), texts.float()
        spread = self.task.language_spread(weights, batch, self.scheme.chance)
        variance = self.scheme.noise_share * spread.mean().item()
        return np.sqrt(variance) / len(step.clips)

    def table(self) -> pd.DataFrame:
        """All steps and draws of this arm, with the bounds and the law worked out."""
        draws = self.records[0]["measured"].shape
        columns = {}  # each [draws, T]
        for name in self.records[0]:
            values = [np.broadcast_to(record[name], draws) for record in self.records]
            columns[name] = np.stack(values, axis=1)
        shape = columns["measured"].shape
        columns["draw"] = np.indices(shape)[0]
        columns["trajectory"] = bounds.trajectory(columns["rho"], columns["forcing"])
        columns["published"] = columns["certified"] = np.full(shape, np.nan)
        if "lipschitz" in columns:
            rate = self.runs.optimizer.rate
            gradient_max = columns["gradient_max"]
            error = columns["distribution_error"] + columns["mixed_negatives"] / gradient_max
            for name, constant in (("published", "lipschitz"), ("certified", "quotient")):
                columns[name] = bounds.published(columns[constant], error, gradient_max, rate)
        variance = columns.pop("variance") + columns["memory"]
        law = bounds.mean_square(columns["amplification"], variance)
        columns["mean_square"] = np.hypot(columns["bias"], law)
        columns["sqrt_steps"] = columns["mean_square"][:, :1] * np.sqrt(columns["step"])
        first = ["step", "epoch", "draw", "measured", "published", "trajectory", "mean_square"]
        order = first + sorted(columns.keys() - first)
        table = pd.DataFrame({name: columns[name].T.ravel() for name in order})
        table.insert(0, "scheme", self.arm.name)
        return table


def _ratio(top: np.ndarray, bottom: np.ndarray, default: float = 1.0) -> np.ndarray:
    """top / bottom, and `default` where there is nothing to divide (equal runs)."""
    equal = np.full(np.shape(top), default)
    return np.divide(top, bottom, out=equal, where=np.asarray(bottom) > 0)
