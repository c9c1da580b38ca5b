"""What the part of a displacement that every draw shares may be: Adam's scale, slower progress,
pairs learned by heart, forgetting.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from atri_lib.schemes import Scheme
from atri_lib.training import TrainConfig, TrainingData
from studies import arms, rank_margins
from studies.displacement_effects import effect, mean_of
from studies.displacement_studies import drawn, last_epoch
from studies.results import recall_of
from studies.rotated_draws import cosine
from studies.training_replay import ProjectionTraining, SplitAdam, WeightTrajectory, training_steps
from studies.weight_displacement import read, take_apart


def candidates(config: TrainConfig, data: TrainingData, shorter: Sequence[int] = (2, 3)) -> dict:
    """What the systematic part may be: Adam's scale, slower progress, single pairs learned by
    heart, forgetting.
    """
    training = ProjectionTraining(config, data)
    schemes = list(drawn(training, {"ML-CLAP": 2}).values())
    ideal, runs, scaled = _with_noise_in_the_scale(training, schemes)
    before = read(training, ideal)
    draws = [weights - ideal for weights in runs]
    groups = {"ML-CLAP": draws}
    groups["KCL, noise in its scale"] = [weights - ideal for weights in scaled]
    rows = []
    for name, group in groups.items():
        row = {"run": name}
        row |= mean_of(effect(before, training, ideal, displacement) for displacement in group)
        row["cosine"] = take_apart(group).cosine
        others = reversed(draws)
        row["cosine_other_draw"] = float(np.mean(list(map(cosine, group, others))))
        rows.append(row)
    for epochs in shorter:
        short = ProjectionTraining(config.replace(epochs=epochs), data)
        displacement = last_epoch(short, {}, {}).ideal - ideal
        row = {"run": f"KCL, {epochs} epochs"}
        row |= effect(before, training, ideal, displacement)
        row["cosine_mean"] = cosine(displacement, torch.stack(draws).mean(0))
        rows.append(row)
    recalled = memory(training, {"KCL": ideal, "ML-CLAP": runs[0]}, schemes[0])
    return {"kcl": before.summary(), "runs": rows, "memory": recalled}


def _with_noise_in_the_scale(
    training: ProjectionTraining, schemes: Sequence[Scheme]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The last weights of KCL, of the schemes, and of KCL with each scheme's noise in Adam's
    scale.
    """
    kcl = training.scheme(**arms.KCL)
    ideal = WeightTrajectory(training)
    runs = [WeightTrajectory(training) for _ in schemes]
    scaled = [SplitAdam(training) for _ in schemes]
    with torch.random.fork_rng():
        for step in training_steps(training.config, training.source):
            for scheme, run, split in zip(schemes, runs, scaled, strict=True):
                gradient = training.gradient(run.weights, scheme, step)
                run.follow(gradient, step.rate)
                even = training.gradient(split.weights, kcl, step)
                noise = training.gradient(split.weights, scheme, step) - even
                scale = torch.hypot(even, noise)  # never less than KCL's
                split.follow_split(even, scale, step.rate)
            gradient = training.gradient(ideal.weights, kcl, step)
            ideal.follow(gradient, step.rate)
    drawn_weights = [run.weights for run in runs]
    scaled_weights = [split.weights for split in scaled]
    return ideal.weights, drawn_weights, scaled_weights


def memory(
    training: ProjectionTraining, runs: dict[str, Tensor], scheme: Scheme, clips: int = 500
) -> dict:
    """Ranks among the first training clips: pairs by the epochs since a clip was last met in that
    language by the scheme, and by the times that it was.
    """
    epochs = range(training.config.epochs)
    history = np.stack([scheme.languages(epoch)[:clips, 0] for epoch in epochs])  # [E, n]
    met = history[..., None] == np.arange(len(training.config.languages))  # [E, n, K]
    times = met.sum(0)
    since = np.argmax(met[::-1], axis=0)  # 0: in the last epoch
    since[times == 0] = -1
    result = {}
    for name, weights in runs.items():
        found = read(training, weights, "train", clips)
        ranks = rank_margins.ranks_of(found.margins)[:clips]
        row = found.summary()
        row["val"] = read(training, weights, "val").summary()
        row["since"] = _ranks_by(since, ranks)
        row["times"] = _ranks_by(times, ranks)
        result[name] = row
    return result


def _ranks_by(counts: np.ndarray, ranks: np.ndarray) -> dict[str, dict[str, float]]:
    """Recall and mean log rank of the pairs that share a count."""
    rows = {}
    for count in np.unique(counts):
        chosen = ranks[counts == count]
        row = {"pairs": chosen.size}
        row["recall"] = recall_of(chosen)
        row["log_rank"] = float(np.log(chosen).mean())
        rows[str(count)] = row
    return rows
