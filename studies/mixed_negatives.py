"""Theorem B: the loss that practical ML-CLAP follows on average.

Practical ML-CLAP contrasts a clip with the captions that the batch happened to draw, each in a
language of its own. On average over the draws it follows L_p + R, to second order in the spread of
scores over languages; `symbolic.mixed` derives R.
"""

from torch import Tensor

from atri_lib.losses import pair_losses
from atri_lib.theory.model_functions import Batch, Task


def excess(clips: Tensor, texts: Tensor, temperature: float) -> Tensor:
    """R = 1 / (4 |B|) sum_i [Var_l(sum_j pi_ij s_ij^l) - sum_j pi_ij^2 Var_l(s_ij^l)].

    s_ij^l: similarity of clip i and caption j in language l, divided by the temperature; pi_i: the
    softmax over captions of the scores averaged over languages. clips: [B, d]; texts: [B, K, d],
    both L2-normalised. Returns nats, a scalar; gradients flow through pi, too.
    """
    scores = clips @ texts.permute(1, 2, 0) / temperature  # [K, i, j]
    chance = scores.mean(0).softmax(-1)
    level = (chance * scores).sum(-1)
    together = level.var(0, correction=0)
    spread = scores.var(0, correction=0)
    apart = (chance.square() * spread).sum(-1)
    difference = together - apart
    return difference.mean() / 4


def excess_of(task: Task, weights: Tensor, even: Tensor, batch: Batch) -> Tensor:
    """R at weights [D]; even is not used, so that this is a loss that `Task.gradients` takes."""
    clips, texts = task.embed(weights, batch)
    return excess(clips, texts, task.temperature)


def expected_loss(task: Task, weights: Tensor, even: Tensor, batch: Batch) -> Tensor:
    """L_p + R at weights [D], what practical ML-CLAP follows on average; even: p on the batch, [B,
    K].
    """
    clips, texts = task.embed(weights, batch)
    losses = pair_losses(clips, texts, task.temperature)
    ideal = (even * losses).sum()
    return ideal + excess(clips, texts, task.temperature)
