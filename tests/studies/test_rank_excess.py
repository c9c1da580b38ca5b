"""Theorem D: smoothed ranks against the ranks themselves, and the expansion against brute force."""

import pandas as pd
import pytest
import sympy as sp
import torch
from pytest import approx

from atri_lib.theory.experiment import Arm
from atri_lib.theory.optimizers import SGD
from studies import rank_excess
from studies.mean_displacement import slope
from studies.rank_excess import SmoothRanks
from studies.rank_margins import ranks_of
from tests.studies import toys

CLIPS = 6


def smooth(width=0.2, **options):
    """Smoothed ranks of the toy, the weights at its start, and its experiment."""
    setup = toys.toy(CLIPS, temperature=0.2, **options)
    features = setup.clip_features.double(), setup.texts.double()
    ranks = SmoothRanks(setup.task, features, width)
    return ranks, setup.task.start, setup


@pytest.fixture
def toy():
    ranks, start, _ = smooth()
    return ranks, start


def moved(weights, scale, shift=0.0):
    """Twelve displacements."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(12, len(weights), generator=generator, dtype=torch.float64)
    return scale * noise + shift


def test_a_narrow_step_gives_the_ranks_themselves():
    ranks, weights, _ = smooth(1e-9)
    margins = ranks.margins(weights)
    own = torch.eye(CLIPS, dtype=torch.bool)[:, None].expand_as(margins)
    assert (margins[own] == 0).all()  # exactly, else a rank is off by one
    plain = ranks_of(margins.masked_fill(own, torch.inf))
    assert ranks.ranks(weights).round().long().tolist() == plain.tolist()
    variance = plain.var(axis=-1).mean()
    assert ranks.plain_mrv(weights) == approx(variance)
    assert ranks.mrv(weights) == approx(variance, rel=1e-6)


def test_the_expansion_is_the_mean_excess_up_to_third_order(toy):
    ranks, weights = toy
    errors = []
    for scale in (0.04, 0.02):
        apart = moved(weights, scale, shift=scale / 2)
        said = rank_excess.expansion(ranks.mrv, weights, apart).total
        found = rank_excess.excess(ranks.mrv, weights, apart)
        errors.append(abs(found - said))
    assert errors[0] > 0
    assert errors[0] / errors[1] == approx(8, rel=0.35)


def test_linear_in_the_systematic_and_quadratic_in_the_own_part(toy):
    ranks, weights = toy
    apart = moved(weights, 0.005, shift=0.005)
    sizes = rank_excess.scaled(ranks, weights, apart).abs()
    assert slope(sizes.index, sizes.systematic) == approx(1, abs=0.05)
    assert slope(sizes.index, sizes.own) == approx(2, abs=0.05)


def test_the_own_part_to_leading_order_is_the_variance_of_profiles(toy):
    ranks, weights = toy
    apart = moved(weights, 0.002)
    measured = rank_excess.own_part(ranks, weights, apart)
    expanded = rank_excess.own_part_expanded(ranks, weights, apart)
    assert expanded == approx(measured, rel=0.02)


def test_gaussian_margins_agree_with_the_closed_form_to_second_order():
    """E Phi(-(d + x) / h) = Phi(-(d + mean) / sqrt(h^2 + v)) for Gaussian x: sympy's expansion."""
    d, h, e, mean, v = sp.symbols("d h e mu v", positive=True)
    phi = sp.Lambda(d, (1 + sp.erf(d / sp.sqrt(2))) / 2)
    width = sp.sqrt(h**2 + e**2 * v)
    exact = phi(-(d + e * mean) / width)
    series = sp.series(exact, e, 0, 3).removeO()
    step = phi(-d / h)
    square = e**2 * (v + mean**2)
    taylor = step + e * mean * step.diff(d) + square * step.diff(d, 2) / 2
    assert sp.simplify(series - taylor) == 0


def test_arms_are_trained_foreseen_and_compared():
    ranks, _, experiment = smooth(batch=3, epochs=2)
    arms = [Arm("ML-CLAP", "ml_clap"), Arm("2 of K", "m_of_k", m=2)]
    asked = experiment, arms, 3, 0, SGD(0.002)
    ideal, trained = rank_excess.displaced(*asked)
    again, _ = rank_excess.displaced(*asked)
    assert torch.equal(ideal, again)
    seen = rank_excess.foreseen(*asked)
    for name, displacement in trained.items():
        off = seen[name] - displacement
        assert off.norm() < 0.2 * displacement.norm(), name
    table = rank_excess.compare(ranks, ideal, trained, seen)
    assert list(table.index) == ["ML-CLAP", "2 of K"]
    one = rank_excess.scaled(ranks, ideal, trained["ML-CLAP"]).abs()
    found = {part: slope(one.index, one[part]) for part in one}
    slopes = pd.DataFrame(found, index=["ML-CLAP"])
    assert rank_excess.holds(table, slopes)["quadratic in the own part"]
    wrong = table.assign(expanded=2 * table.excess)
    assert not rank_excess.holds(wrong, slopes)["excess, second order"]
