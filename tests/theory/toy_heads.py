"""A pair of projection heads small enough for exact oracles, and features to go with it."""

import torch
from torch import nn


class Heads(nn.Module):
    """Two layers per side to unit vectors; tanh is twice differentiable."""

    def __init__(self, width: int = 3, hidden: int = 4, out: int = 3):
        super().__init__()
        self.clips = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, out))
        self.text = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, out))

    def forward(self, clip_features, texts):
        return nn.functional.normalize(self.clips(clip_features), dim=-1), nn.functional.normalize(
            self.text(texts), dim=-1
        )


def heads(seed=0, **sizes) -> Heads:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Heads(**sizes)


def features(clips=6, languages=3, width=3, seed=0):
    """clip_features [N, F]; texts [N, K, F]: what clip and caption share, plus each language's own
    way of saying it.
    """
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(clips, 1, width, generator=generator)
    clip_features = shared[:, 0] + 0.3 * torch.randn(clips, width, generator=generator)
    return clip_features, shared + 0.7 * torch.randn(clips, languages, width, generator=generator)


def moved(task, runs=2, size=0.1):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(runs, len(task.start), generator=generator, dtype=torch.float64)
    return task.start + size * noise


def pair_gradients(task, weights, batch):
    """Every grad l_ik by one backward pass each, [B, K, D]."""
    weights = weights.clone().requires_grad_()
    losses = task.losses(weights, batch)
    rows = [torch.autograd.grad(loss, weights, retain_graph=True)[0] for loss in losses.flatten()]
    return torch.stack(rows).reshape(*losses.shape, -1)
