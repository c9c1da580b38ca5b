"""Theorem D: smoothed ranks against the ranks themselves, and the expansion against brute force."""

import pandas as pd
import pytest
import sympy as sp
import torch

from atri_lib.theory.experiment import Arm, Experiment
from atri_lib.theory.model_functions import Flat, Task
from atri_lib.theory.optimizers import SGD
from studies import rank_excess
from studies.mean_displacement import slope
from studies.rank_excess import SmoothRanks
from studies.rank_margins import ranks_of
from tests.theory.toy_heads import features, heads

CLIPS = 6
RATE = 0.002


def toy(width=0.2):
    clip_features, texts = (part.double() for part in features(CLIPS))
    task = Task(Flat(heads()), 0.2)
    return SmoothRanks(task, (clip_features, texts), width), task.flat.start


def some(count, size, scale=0.02):
    generator = torch.Generator().manual_seed(1)
    return scale * torch.randn(count, size, generator=generator, dtype=torch.float64)


def test_a_narrow_step_gives_the_ranks_themselves():
    ranks, weights = toy(1e-9)
    margins = ranks.margins(weights)
    own = torch.eye(CLIPS, dtype=torch.bool)[:, None]
    assert (margins[own.expand_as(margins)] == 0).all()  # exactly, else a rank is off by one
    plain = ranks_of(margins.masked_fill(own, float("inf")))
    assert ranks.ranks(weights).round().long().tolist() == plain.tolist()
    assert ranks.plain_mrv(weights) == pytest.approx(plain.var(axis=-1).mean())
    assert ranks.mrv(weights) == pytest.approx(plain.var(axis=-1).mean(), rel=1e-6)


def test_the_expansion_is_the_mean_excess_up_to_third_order():
    ranks, weights = toy()
    errors = []
    for scale in (0.04, 0.02):
        moved = some(12, len(weights), scale) + scale / 2
        said = rank_excess.expansion(ranks.mrv, weights, moved).total
        errors.append(abs(rank_excess.excess(ranks.mrv, weights, moved) - said))
    assert errors[0] > 0
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.35)


def test_linear_in_the_systematic_and_quadratic_in_the_own_part():
    ranks, weights = toy()
    moved = some(12, len(weights), 0.005) + 0.005
    table = rank_excess.scaled(ranks, weights, moved)
    sizes = table.abs()
    assert slope(sizes.index, sizes.systematic) == pytest.approx(1, abs=0.05)
    assert slope(sizes.index, sizes.own) == pytest.approx(2, abs=0.05)


def test_the_own_part_to_leading_order_is_the_variance_of_profiles():
    ranks, weights = toy()
    moved = some(12, len(weights), 0.002)
    measured = rank_excess.own_part(ranks, weights, moved)
    assert rank_excess.own_part_expanded(ranks, weights, moved) == pytest.approx(measured, rel=0.02)


def test_gaussian_margins_agree_with_the_closed_form_to_second_order():
    """E Phi(-(d + x) / h) = Phi(-(d + mean) / sqrt(h^2 + v)) for Gaussian x: sympy's expansion."""
    d, h, e, mean, v = sp.symbols("d h e mu v", positive=True)
    phi = sp.Lambda(d, (1 + sp.erf(d / sp.sqrt(2))) / 2)
    exact = phi(-(d + e * mean) / sp.sqrt(h**2 + e**2 * v))
    series = sp.series(exact, e, 0, 3).removeO()
    step = phi(-d / h)
    taylor = step + e * mean * step.diff(d) + e**2 * (v + mean**2) * step.diff(d, 2) / 2
    assert sp.simplify(series - taylor) == 0


def test_arms_are_trained_foreseen_and_compared():
    clip_features, texts = features(CLIPS)
    experiment = Experiment(heads(), clip_features, texts, temperature=0.2, batch=3, epochs=2)
    arms = [Arm("ML-CLAP", "ml_clap"), Arm("2 of K", "m_of_k", m=2)]
    ideal, trained = rank_excess.displaced(experiment, arms, 3, 0, SGD(RATE))
    again, _ = rank_excess.displaced(experiment, arms, 3, 0, SGD(RATE))
    assert torch.equal(ideal, again)
    seen = rank_excess.foreseen(experiment, arms, 3, 0, SGD(RATE))
    for name, displacement in trained.items():
        off = (seen[name] - displacement).norm() / displacement.norm()
        assert off < 0.2, name
    ranks = SmoothRanks(experiment.task, (clip_features.double(), texts.double()), 0.2)
    table = rank_excess.compare(ranks, ideal, trained, seen)
    assert list(table.index) == ["ML-CLAP", "2 of K"]
    one = rank_excess.scaled(ranks, ideal, trained["ML-CLAP"]).abs()
    found = {part: slope(one.index, one[part]) for part in one}
    slopes = pd.DataFrame(found, index=["ML-CLAP"])
    assert rank_excess.holds(table, slopes)["quadratic in the own part"]
    wrong = table.assign(expanded=2 * table.excess)
    assert not rank_excess.holds(wrong, slopes)["excess, second order"]
